"""Service and game judge the same rules with code of their own, and come to the same verdict on each case."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

from townsfolk.config import PolicySettings
from townsfolk.policy.check import Policy, Proposal
from townsfolk.policy.rules import Rules, load_rules
from townsfolk.types import Action, ActionSpec, ArgKind, ArgSpec, Position

MOD = Path(__file__).parents[2] / "mod" / "townsfolk"
JUDGE = """\
local rules = assert(dofile("src/rules.lua").new(RULES))
local spent = {}
for _, case in ipairs(CASES) do
	local rule = rules:permission(case.persona, case.action, { case.at })
		or (case.text and rules:text(case.text))
		or (case.name and rules:name(case.action, case.name))
		or rules:limit(case.persona, case.action, { case.at }, spent, case.now)
	print(rule or "")
end
"""
ACTIONS = {
    "say": ActionSpec(name="say", args=(ArgSpec(name="words", kind=ArgKind.TEXT, max_length=500),)),
    "look_at": ActionSpec(name="look_at", args=(ArgSpec(name="what", kind=ArgKind.PLACE),)),
    "dig": ActionSpec(name="dig", args=(ArgSpec(name="node", kind=ArgKind.NODE),)),
    "give": ActionSpec(name="give", args=(ArgSpec(name="item", kind=ArgKind.CARRIED),)),
    "wait": ActionSpec(name="wait"),
}
NAMES = [
    *("tnt:tnt", "my_tnt:x", "mobs:Big_Bomb", "default:lava_source", "fire:flame", "a:flint_and_steel"),
    *("default:stone", "x:bedrock", "x:bedrock2", "command_block", "m:command_block_on", "a.b:lava-x"),
    *("mesecons_commandblock:commandblock_off", "moremesecons_commandblock:commandblock"),
]
PIECES = [
    *("/", " ", "<|", "|>", "</S>", "[inst]", "[[", "]]", "mia@b.org", "10.0.0.7", "http://x", "WWW.x"),
    *("www.", "hello", "ü", "\x01", "\x85", "\u2028", "@", "3.5", "a" * 150, "1.2.3", "x://", "tnt"),
]


def scoped() -> Rules:
    """The shipped rules, and some with scopes."""
    extra = {
        "areas": {"market": {"from": [-9, 0, -9], "to": [9, 9, 9]}},
        "permissions": {
            "no_digging": {"deny": ["dig"], "areas": ["market"], "reason": "no"},
            "quiet_traders": {"allow": ["say", "give"], "personas": ["trader"], "reason": "no"},
        },
    }
    slow = {"actions": ["give"], "personas": ["guard"], "per_minute": 3, "per_day": 9, "reason": "no"}
    shipped = json.loads(load_rules().for_game())
    return Rules.model_validate(shipped | extra | {"limits": shipped["limits"] | {"slow": slow}})


def cases(count: int) -> list[dict[str, Any]]:
    draw, now, made = random.Random(5), 1_000, []
    for _ in range(count):
        now += draw.choice((0, 0, 1, 7, 30, 500))
        action = draw.choice(tuple(ACTIONS))
        case: dict[str, Any] = {"action": action, "persona": draw.choice(("guard", "trader")), "now": now}
        case["at"] = {axis: draw.choice((-10.0, -9.0, 0.5, 9.0, 9.5)) for axis in "xyz"}
        if action == "say":
            case["text"] = "".join(draw.choices(PIECES, k=draw.randint(1, 3)))
        elif ACTIONS[action].args:
            case["name"] = draw.choice(NAMES)
        made.append(case)
    return made


def lua(value: Any) -> str:
    """The value as Lua writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ",".join(f"[{lua(key)}]={lua(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(lua, value)) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03}" for byte in value.encode()) + '"'
    return str(value)


def game_says(rules: Rules, made: list[dict[str, Any]]) -> list[str]:
    program = JUDGE.replace("RULES", lua(json.loads(rules.for_game()))).replace("CASES", lua(made))
    run = subprocess.run(["lua5.1", "-"], input=program, cwd=MOD, capture_output=True, text=True, check=True)
    return run.stdout.split("\n")[:-1]


def service_says(rules: Rules, made: list[dict[str, Any]]) -> list[str]:
    policy, verdicts = Policy(PolicySettings(), rules), []
    for case in made:
        args = tuple(case[key] for key in ("text", "name") if key in case)
        action, spec = Action(name=case["action"], args=args), ACTIONS[case["action"]]
        proposal = Proposal(case["persona"], set(ACTIONS), action, spec, "g/ada", Position(**case["at"]))
        verdicts.append(policy.check(proposal, case["now"]).rule)
    return verdicts


def test_both_come_to_the_same_verdict() -> None:
    rules, made = scoped(), cases(2_000)
    game, service = game_says(rules, made), service_says(rules, made)
    differ = [row for row in zip(made, game, service, strict=True) if bool(row[1]) != bool(row[2])]
    assert differ == []
    assert {*game} >= {"", "no_digging", "quiet_traders", "slow", "explosives", "lava", "private_data"}
