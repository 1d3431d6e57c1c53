"""What was played -> rows to learn from, with what players and rules thought of it as a reward.

A thumb counts whole. Where there is none, what the player did next is a hint, with a small weight; what was
refused is bad. A turn that nobody took to either way is left out: it is nothing to imitate.
"""

from collections.abc import Iterable, Iterator

from townsfolk.training.data.privacy import Mask
from townsfolk.training.data.rows import DataRow
from townsfolk.types import PlayedTurn, ShownStep

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


def rows_of_turns(turns: Iterable[PlayedTurn], players: frozenset[str]) -> Iterator[DataRow]:
    """A row of each turn that was judged; `players` are the names to be masked."""
    for played in turns:
        judged = reward_of(played)
        turn = played.turn
        if judged and turn.finish == "stop" and turn.reply and 0 < len(turn.context) <= LONGEST:
            mask = Mask(players | {turn.player} - {""}, salt=turn.turn_id)
            yield DataRow(
                id=f"turn/{turn.turn_id}",
                persona=turn.persona,
                source="turn",
                group=group_of(played.who) if played.who else f"villager/{turn.game_id}/{turn.villager_id}",
                context=mask.text(turn.context),
                reply=mask.text(turn.reply),
                reward=judged[0],
                weight=judged[1],
            )


def rows_of_steps(steps: Iterable[ShownStep], players: frozenset[str]) -> Iterator[DataRow]:
    """A row of each step that a villager could have done: to imitate."""
    for step in steps:
        if step.action.partition(" ")[0] not in NOT_FOR_VILLAGERS:
            mask = Mask(players | {step.player}, salt=step.demo_id)
            yield DataRow(
                id=f"demo/{step.demo_id}/{step.number}",
                persona=step.persona,
                source="demo",
                group=group_of(step.who),
                observation=mask.observation(step.observation),
                reply=f"[[ACTION:{mask.text(step.action)}]]",
            )


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
