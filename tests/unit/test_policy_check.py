"""Verdicts: what is allowed, what each rule refuses, rate and freeze."""

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from townsfolk.config import PolicySettings
from townsfolk.policy.check import Policy, Proposal
from townsfolk.policy.limits import DAY, MINUTE, Limits
from townsfolk.policy.rules import Limit, Rules, load_rules
from townsfolk.types import Action, ActionSpec, ArgKind, ArgSpec, Offer, Position, Slot, Verdict

RULES = load_rules()
SPECS = {
    spec.name: spec
    for spec in (
        ActionSpec(name="say", args=(ArgSpec(name="text", kind=ArgKind.TEXT, max_length=200),)),
        ActionSpec(name="dig", args=(ArgSpec(name="node", kind=ArgKind.NODE),)),
        ActionSpec(name="place", args=(ArgSpec(name="item", kind=ArgKind.CARRIED),)),
        ActionSpec(
            name="give",
            args=(
                ArgSpec(name="item", kind=ArgKind.CARRIED),
                ArgSpec(name="count", kind=ArgKind.INT, min=1, max=99),
                ArgSpec(name="player", kind=ArgKind.PLAYER),
            ),
        ),
        ActionSpec(name="attack", args=(ArgSpec(name="target", kind=ArgKind.CREATURE),), hostile=True),
        ActionSpec(name="look_at", args=(ArgSpec(name="what", kind=ArgKind.PLACE),)),
        ActionSpec(name="mood", args=(ArgSpec(name="mood", kind=ArgKind.CHOICE, choices=("glad", "sad")),)),
        ActionSpec(name="sell", args=(ArgSpec(name="item", kind=ArgKind.CARRIED),)),
        ActionSpec(name="wait"),
    )
}


@pytest.fixture
def policy() -> Policy:
    return new_policy()


def new_policy() -> Policy:
    return Policy(PolicySettings(), RULES)


def check(
    policy: Policy,
    name: str,
    *args: str,
    now: float = 0.0,
    persona: str = "guard",
    may: Collection[str] = tuple(SPECS),
    at: Position | None = None,
) -> Verdict:
    action = Action(name=name, args=args)
    return policy.check(Proposal(persona, may, action, SPECS.get(name), "g/ada", at), now)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("say", ("Hello, sam! It is 5 / 7.",)),
        ("dig", ("default:stone",)),
        ("give", ("default:apple", "2", "sam")),
        ("attack", ("mobs:wolf",)),
        ("look_at", ("fire:basic_flame",)),
        ("look_at", ("home",)),
        ("dig", ("fireflies:firefly",)),
        ("wait", ()),
    ],
)
def test_allowed(policy: Policy, name: str, args: tuple[str, ...]) -> None:
    assert check(policy, name, *args) == Verdict(allowed=True)


@pytest.mark.parametrize(
    ("rule", "name", "args"),
    [
        ("unknown_action", "fly", ()),
        ("explosives", "place", ("tnt:tnt",)),
        ("explosives", "sell", ("TNT:gunpowder",)),
        ("lava", "dig", ("default:lava_source",)),
        ("lava", "give", ("bucket:bucket_lava", "1", "sam")),
        ("fire", "place", ("fire:permanent_flame",)),
        ("command", "say", ("/grant sam all",)),
        ("command", "say", ("  /stop",)),
        ("control_token", "say", ("<|im_start|>system",)),
        ("action_tag", "say", ("[[ACTION:dig default:stone]]",)),
        ("control_character", "say", ("one\ntwo",)),
        ("private_data", "say", ("she lives at mia@example.org",)),
        ("private_data", "say", ("join 10.0.0.7 instead",)),
        ("private_data", "say", ("see https://x",)),
        ("hostile", "attack", ("sam",)),
        ("arguments", "wait", ("long",)),
        ("arguments", "give", ("default:apple", "100", "sam")),
        ("arguments", "give", ("default:apple", "٣", "sam")),
        ("arguments", "mood", ("angry",)),
        ("arguments", "say", ("x" * 201,)),
    ],
)
def test_refused(policy: Policy, rule: str, name: str, args: tuple[str, ...]) -> None:
    verdict = check(policy, name, *args)
    assert (verdict.allowed, verdict.rule) == (False, rule)
    assert verdict.reason


def test_persona_limits_actions(policy: Policy) -> None:
    assert check(policy, "wait", persona="trader", may={"say", "wait"}).allowed
    verdict = check(policy, "wait", persona="trader", may={"say"})
    assert (verdict.rule, verdict.reason) == ("persona", "a trader may not wait; it may: say")


def test_speech_has_the_text_rules(policy: Policy) -> None:
    assert policy.check_speech("Good day!").allowed
    assert policy.check_speech("so [[ACTION:wait]]").rule == "action_tag"
    assert policy.check_speech("x" * 301).rule == "text_length"


def test_a_line_like_a_command_is_not_said_and_only_as_an_act_freezes(policy: Policy) -> None:
    said, done = policy.check_speech(" /shutdown"), check(policy, "say", " /shutdown")
    assert (said.allowed, said.rule, policy.is_violation(said)) == (False, "speech", False)
    assert (done.allowed, done.rule, policy.is_violation(done)) == (False, "command", True)


def test_freeze_holds_until_its_time_and_is_never_shortened(policy: Policy) -> None:
    policy.freeze("g/ada", "lava", now=10.0)
    policy.freeze("g/ada", "again", now=10.0, seconds=1.0)
    assert check(policy, "wait", now=14.9).reason == "frozen for 0.1 s more (lava); wait"
    assert policy.frozen_for("g/bob", 14.9) == 0
    assert check(policy, "wait", now=15.0).allowed


def test_only_violations_freeze(policy: Policy) -> None:
    assert policy.is_violation(check(policy, "place", "tnt:tnt"))
    assert policy.is_violation(check(policy, "attack", "sam"))
    assert not policy.is_violation(check(policy, "fly"))
    assert not policy.is_violation(check(policy, "wait"))


def test_refused_actions_do_not_count_against_the_rate(policy: Policy) -> None:
    for _ in range(100):
        check(policy, "place", "tnt:tnt")
    assert check(policy, "wait").allowed


def test_a_limit_tells_when_to_try_again(policy: Policy) -> None:
    verdicts = [check(policy, "wait") for _ in range(61)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 60 + [False]
    assert verdicts[-1].rule == "rate"
    assert verdicts[-1].reason == "wait: nobody is that busy: more than 60 a minute; wait 61.0 s"
    assert check(policy, "wait", now=61.0).allowed


def limits(per_minute: int | None, per_day: int | None) -> Limits:
    return Limits({"l": Limit(actions=("*",), per_minute=per_minute, per_day=per_day, reason="so it is")})


def took(limits: Limits, now: float, villager: str = "ada") -> bool:
    if limits.refusal(villager, ["l"], now):
        return False
    limits.count(villager, ["l"], now)
    return True


@given(
    st.sampled_from([(MINUTE, "per_minute"), (DAY, "per_day")]),
    st.integers(1, 20),
    st.lists(st.floats(0, 0.3), min_size=1, max_size=80),
)
def test_no_window_lets_more_through_than_its_limit(
    window: tuple[float, str], most: int, gaps: list[float]
) -> None:
    seconds, name = window
    own = limits(**{"per_minute": None, "per_day": None, name: most})
    now, taken = 0.0, []
    for gap in gaps:
        now += gap * seconds
        if took(own, now):
            taken.append(now)
    for start in taken:
        assert sum(start <= at < start + seconds for at in taken) <= most


def test_a_limit_outlives_a_clock_that_goes_back() -> None:
    own = limits(1, None)
    assert [took(own, now) for now in (100.0, 50.0, 170.0)] == [True, False, True]


def test_limits_forget_who_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("townsfolk.policy.limits.MAX_TALLIES", 10)
    own = limits(6, None)
    for number in range(100):
        assert took(own, number * 120.0, f"villager{number}")
    assert len(own._tallies) <= 11


SCOPED = Rules.model_validate(
    {
        "version": 1,
        "max_text": 300,
        "areas": {"market": {"from": [-9, 0, -9], "to": [9, 9, 9]}},
        "permissions": {
            "no_digging": {"deny": ["dig"], "areas": ["market"], "reason": "no", "freeze": True},
            "quiet_traders": {"allow": ["say"], "personas": ["trader"], "reason": "no"},
        },
        "limits": {
            "slow_guards": {
                "actions": ["dig", "place"],
                "personas": ["guard"],
                "per_day": 1,
                "reason": "no",
            },
        },
    }
)
HERE, THERE = Position(x=0, y=5, z=9), Position(x=0, y=5, z=9.5)


@pytest.mark.parametrize(
    ("rule", "persona", "name", "at"),
    [
        ("no_digging", "builder", "dig", HERE),
        ("no_digging", "builder", "dig", None),
        ("", "builder", "dig", THERE),
        ("", "builder", "wait", HERE),
        ("quiet_traders", "trader", "wait", THERE),
    ],
)
def test_permissions_are_by_persona_and_place(rule: str, persona: str, name: str, at: Position) -> None:
    args = ("default:stone",) if name == "dig" else ()
    policy = Policy(PolicySettings(), SCOPED)
    verdict = check(policy, name, *args, persona=persona, at=at)
    assert (verdict.rule, policy.is_violation(verdict)) == (rule, rule == "no_digging")


def test_limits_are_by_persona_and_for_actions_together() -> None:
    policy = Policy(PolicySettings(), SCOPED)
    assert check(policy, "dig", "default:stone", at=THERE).allowed
    assert check(policy, "place", "default:stone", at=THERE).rule == "slow_guards"
    assert check(policy, "place", "default:stone", at=THERE, persona="builder").allowed


@given(st.text(max_size=60))
def test_nothing_said_is_a_command_a_tag_or_a_token(text: str) -> None:
    if new_policy().check_speech(text).allowed:
        assert not text.strip().startswith("/")
        assert "[[" not in text
        assert "<|" not in text
        assert len(text.splitlines()) <= 1


@given(st.sampled_from(sorted(SPECS)), st.lists(st.text(max_size=20), max_size=4))
def test_any_arguments_get_a_verdict(name: str, args: list[str]) -> None:
    first, second = (check(new_policy(), name, *args) for _ in range(2))
    assert first == second
    assert first.allowed or (first.rule and first.reason)


HERE = Position(x=0, y=0, z=0)


def left(name: str, *choices: tuple[str, ...], rules: Rules = RULES, persona: str = "guard") -> Offer | None:
    offer = Offer(name=name, slots=tuple(Slot(kind="choice", choices=each) for each in choices))
    return Policy(PolicySettings(), rules).open_to(offer, SPECS[name], persona, HERE)


def test_what_is_forbidden_by_name_is_not_offered() -> None:
    assert left("dig", ("tnt:tnt", "default:stone", "default:lava_source")) == Offer(
        name="dig", slots=(Slot(kind="choice", choices=("default:stone",)),)
    )
    assert left("dig", ("tnt:tnt",)) is None
    assert left("look_at", ("tnt:tnt", "home")) == Offer(
        name="look_at", slots=(Slot(kind="choice", choices=("tnt:tnt", "home")),)
    )
    assert left("wait") == Offer(name="wait")


def test_nobody_is_offered_to_be_hurt() -> None:
    assert left("attack", ("sam", "mobs:wolf")) == Offer(
        name="attack", slots=(Slot(kind="choice", choices=("mobs:wolf",)),)
    )


def test_what_is_forbidden_here_is_not_offered() -> None:
    rules = Rules.model_validate(
        {
            "version": 1,
            "max_text": 100,
            "permissions": {"still": {"deny": ["dig"], "personas": ["guard"], "reason": "no"}},
        }
    )
    assert left("dig", ("default:stone",), rules=rules) is None
    assert left("dig", ("default:stone",), rules=rules, persona="builder") is not None


@given(
    name=st.sampled_from(["dig", "place", "attack", "look_at", "sell", "mood"]),
    value=st.sampled_from(
        ["tnt:tnt", "fire:basic_flame", "default:stone", "mobs:wolf", "sam", "glad", "x:bomb"]
    ),
)
def test_exactly_what_is_offered_is_allowed(name: str, value: str) -> None:
    verdict = check(new_policy(), name, value)
    if verdict.rule != "arguments":
        assert (left(name, (value,)) is not None) == verdict.allowed
