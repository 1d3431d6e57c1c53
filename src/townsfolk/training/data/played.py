"""What was played -> rows to learn from, with what players and rules thought of it as a reward.

A thumb counts whole. Where there is none, what the player did next is a hint, with a small weight; what was
refused is bad. A turn that nobody took to either way is left out: it is nothing to imitate.
"""

import re
from collections.abc import Iterable, Iterator

from townsfolk.training.data.privacy import Mask
from townsfolk.training.data.rows import DataRow
from townsfolk.types import MAX_TEXT, Observation, PlayedTurn, ShownStep

SIGNS = {"answered": 0.3, "stayed": 0.2, "followed": 0.3, "traded": 0.5, "came_back": 0.3, "left": -0.5}
"""What each sign of engagement adds to the reward, which is held within -1 and 1."""
REJECTED, REFUSED, FAILED = -1.0, -1.0, -0.3
"""Rewards where a reviewer rejected the turn; where policy refused; where the game did."""
EXPLICIT, BY_RULE, IMPLICIT = 1.0, 0.5, 0.2
"""Weights of a thumb or a reviewer's word, of a refusal, of a hint."""
NOT_FOR_VILLAGERS = frozenset({"craft"})
"""What players show that villagers have no action for."""
LONGEST = 4_000
"""Characters of a context window that a row takes."""
BYSTANDER = re.compile(r"\bplayer ([\w-]+) \d+ ")
"""How a context tells of a player near."""


def rows_of_turns(turns: Iterable[PlayedTurn], players: frozenset[str]) -> Iterator[DataRow]:
    """A row of each turn that was judged; `players` are the names to be masked."""
    for played in turns:
        judged = reward_of(played)
        turn = played.turn
        if not (judged and turn.finish == "stop" and turn.reply and turn.context):
            continue
        mask = Mask(players | {turn.player, *BYSTANDER.findall(turn.context)} - {""}, salt=turn.turn_id)
        context, reply = mask.text(turn.context), mask.text(turn.reply)
        if len(context) <= LONGEST and len(reply) <= MAX_TEXT:
            yield DataRow(
                id=f"turn/{turn.turn_id}",
                persona=turn.persona,
                source="turn",
                group=group_of(played.who) if played.who else f"villager/{turn.game_id}/{turn.villager_id}",
                context=context,
                reply=reply,
                reward=judged[0],
                weight=judged[1],
            )


def rows_of_steps(steps: Iterable[ShownStep], players: frozenset[str]) -> Iterator[DataRow]:
    """A row of each step that a villager could have done: to imitate."""
    for step in steps:
        mask = Mask(players | {step.player, *_players_near(step.observation)}, salt=step.demo_id)
        reply = f"[[ACTION:{mask.text(step.action)}]]"
        if step.action.partition(" ")[0] not in NOT_FOR_VILLAGERS and len(reply) <= MAX_TEXT:
            yield DataRow(
                id=f"demo/{step.demo_id}/{step.number}",
                persona=step.persona,
                source="demo",
                group=group_of(step.who),
                observation=mask.observation(step.observation),
                reply=reply,
            )


def _players_near(seen: Observation) -> set[str]:
    """Some may never have spoken to a villager, so that the store does not know them."""
    return {it.name for it in seen.around.things if it.kind == "player"} if seen.around else set()


def group_of(who: str) -> str:
    """The group of all rows of one player."""
    return f"player/{who}"


def reward_of(played: PlayedTurn) -> tuple[float, float] | None:
    """Reward in [-1, 1] and weight of a turn; None where nothing tells."""
    if played.review == "rejected":
        return REJECTED, EXPLICIT  # whatever players thought of it
    if played.ratings:
        return sum(played.ratings) / len(played.ratings), EXPLICIT
    if played.review != "approved" and not all(verdict.allowed for verdict in played.turn.verdicts):
        return REFUSED, BY_RULE
    hints = [SIGNS[sign] for sign in set(played.signs) & SIGNS.keys()]
    hints += [FAILED] if {"refused", "failed"} & {*played.outcomes} else []
    return (max(-1.0, min(1.0, sum(hints))), IMPLICIT) if hints else None
