"""Rules that were broken -> villagers frozen, flags with evidence for a person."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from townsfolk.types import MAX_EVIDENCE, MAX_TEXT, AuditFlag, Outcome, Turn

if TYPE_CHECKING:
    from townsfolk.serving.rooms import Rooms


def flag_violations(rooms: "Rooms", turn: Turn) -> None:
    """Flag a turn that broke a rule; its villager was frozen when it was judged."""
    for verdict in turn.verdicts:
        if rooms.policy.is_violation(verdict):
            where = (turn.game_id, turn.villager_id, turn.turn_id)
            _flag(rooms, where, verdict.rule, verdict.reason, evidence_of(turn))


def freeze_as_told(rooms: "Rooms", game_id: str, outcome: Outcome) -> None:
    """Where the game's own check found a violation that ours let pass, and froze the villager: so do we."""
    if not rooms.policy.freezes(outcome.rule):
        return
    rooms.policy.freeze(f"{game_id}/{outcome.villager_id}", outcome.reason, time.monotonic())
    told = f"{outcome.action}: {outcome.rule}: {outcome.reason}"
    where = (game_id, outcome.villager_id, outcome.turn_id)
    _flag(rooms, where, outcome.rule, outcome.reason, (told[:MAX_TEXT],))


def evidence_of(turn: Turn) -> tuple[str, ...]:
    """What a villager saw, said and wanted to do, a line each: what a reviewer judges it by."""
    wanted = (
        f"{action.tag()}: {'allowed' if verdict.allowed else f'{verdict.rule}: {verdict.reason}'}"
        for action, verdict in zip(turn.actions, turn.verdicts, strict=True)
    )
    told = (*turn.context.splitlines(), f"{turn.villager_id}: {turn.reply}", *wanted)
    return tuple(line[:MAX_TEXT] for line in told[-MAX_EVIDENCE:])


def _flag(
    rooms: "Rooms", where: tuple[str, str, str], rule: str, reason: str, evidence: Sequence[str]
) -> None:
    """Count it and keep it; `where` is the game, the villager and the turn."""
    rooms.metrics.violations.labels(rule).inc()
    game_id, villager_id, turn_id = where
    flag = AuditFlag(
        game_id=game_id,
        villager_id=villager_id,
        turn_id=turn_id,
        rule=rule,
        reason=reason[:MAX_TEXT],
        at=time.time(),
        evidence=tuple(evidence),
    )
    rooms.store.flag(flag)
