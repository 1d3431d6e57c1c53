"""Audit: what villagers did -> what a person should look at, each finding with its evidence.

Pure. It looks at whole hours, and a finding is named by the first thing that it rests on, so the same is
found again as the same. It refuses to know where actions are kept and what becomes of a finding.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from townsfolk.types import MAX_EVIDENCE, MAX_TEXT, Acted, ActedTurn, AuditFlag

HOUR = 3_600.0
LONGEST_CYCLE, ROUNDS = 4, 5
"""So many rounds of a cycle of at most so many actions are a loop."""
UNDONE = (("dig", "place"), ("give", "take"), ("move_north", "move_south"), ("move_east", "move_west"))
MUCH = {"dig": 200, "place": 300, "take": 200, "give": 200, "attack": 60}
"""Done by one villager within an hour."""
CARRIES = 16 * 99
"""Items that one villager can carry."""
SAME_WORDS = 6
REFUSALS = 5
EXCHANGES = 8
"""Turns of two villagers that answer each other."""

Actions = Sequence[Acted]
T = TypeVar("T", Acted, ActedTurn)


def audit(actions: Iterable[Acted], turns: Iterable[ActedTurn]) -> list[AuditFlag]:
    """All findings, oldest first; both arguments in the order of time."""
    done, said = list(actions), list(turns)
    found = [flag for own in _hours(done, _villager) for find in _BY_VILLAGER for flag in find(own)]
    found += [flag for own in _hours(done, lambda it: (it.game_id, it.player)) for flag in _evasion(own)]
    found += [flag for its in _hours(said, _villager) for flag in _spam(its)]
    found += [flag for own in _grouped(done, _villager).values() for flag in _creation(own)]
    return sorted([*found, *_feeding(said)], key=lambda flag: flag.at)


def _loops(own: Actions) -> Iterator[AuditFlag]:
    """A cycle that gets nowhere: nothing of it comes off, or it undoes itself."""
    for length in range(1, LONGEST_CYCLE + 1):
        whole = length * ROUNDS
        for start in range(len(own) - whole + 1):
            part = own[start : start + whole]
            cycle = [action.tag for action in part[:length]]
            if [action.tag for action in part] == cycle * ROUNDS and _leads_nowhere(part):
                yield _flag("loop", f"{', '.join(cycle)}: over and over, and nothing comes of it", part)
                return


def _leads_nowhere(part: Actions) -> bool:
    names = {action.name for action in part}
    undone = any({one, other} <= names for one, other in UNDONE)
    return undone or all(action.outcome in ("failed", "refused") for action in part)


def _abuse(own: Actions) -> Iterator[AuditFlag]:
    for name, most in MUCH.items():
        its = [action for action in own if action.name == name and action.outcome == "done"]
        if len(its) > most:
            yield _flag("resource_abuse", f"{name} more than {most} times in an hour", its)


def _creation(own: Actions) -> Iterator[AuditFlag]:
    """Nobody hands out more than was taken in and can be carried."""
    balance: Counter[str] = Counter()
    for action in own:
        if action.outcome != "done" or not action.args:
            continue
        item = action.args[0]
        if action.name in ("take", "dig"):  # a stack at most, whatever it is called when it is carried
            balance["taken in"] += 99
        elif action.name in ("give", "place"):
            balance[item] += _handed_out(action)
        if balance[item] > CARRIES + balance["taken in"]:
            its = [other for other in own if item in other.args]
            yield _flag("item_creation", f"handed out more {item} than it can have had", its)
            return


def _handed_out(action: Acted) -> int:
    """How many of its item; a game may have registered a `give` of another shape, which counts as one."""
    count = action.args[1] if action.name == "give" and len(action.args) > 1 else "1"
    return int(count) if count.isascii() and count.isdecimal() else 1


def _evasion(own: Actions) -> Iterator[AuditFlag]:
    """A player who has villagers try what policy refuses, again and again."""
    refused = [action for action in own if action.player and action.allowed is False]
    if len(refused) >= REFUSALS:
        yield _flag("policy_evasion", f"{refused[0].player} had them try what is refused", refused)


def _spam(turns: Sequence[ActedTurn]) -> Iterator[AuditFlag]:
    by_words = _grouped([turn for turn in turns if turn.reply], lambda turn: turn.reply)
    for same in by_words.values():
        unasked = [turn for turn in same if not turn.player and not turn.reply.startswith("[[")]
        if len(unasked) >= SAME_WORDS:
            yield _flag("spam", "says the same to nobody, over and over", unasked)


def _feeding(turns: Sequence[ActedTurn]) -> Iterator[AuditFlag]:
    """Two villagers that go on because of each other: each is the other's player."""
    names = {(turn.game_id, turn.name) for turn in turns if turn.name}
    fed = [turn for turn in turns if (turn.game_id, turn.player) in names]
    for own in _hours(fed, lambda turn: (turn.game_id, *sorted((turn.name, turn.player)))):
        if len(own) >= EXCHANGES and len({turn.name for turn in own}) == 2:
            pair = " and ".join(sorted({turn.name for turn in own}))
            yield _flag("feeding", f"{pair} answer each other without end", own)


_BY_VILLAGER: tuple[Callable[[Actions], Iterator[AuditFlag]], ...] = (_loops, _abuse)


def _villager(it: Acted | ActedTurn) -> tuple[str, str]:
    return it.game_id, it.villager_id


def _grouped(items: Iterable[T], key: Callable[[T], object]) -> dict[object, list[T]]:
    groups: dict[object, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _hours(items: Iterable[T], key: Callable[[T], object]) -> Iterable[list[T]]:
    """`items` of one `key` and one hour each."""
    return _grouped(items, lambda it: (key(it), it.at // HOUR)).values()


def _flag(rule: str, reason: str, evidence: Sequence[Acted | ActedTurn]) -> AuditFlag:
    first = evidence[0]
    return AuditFlag(
        game_id=first.game_id,
        villager_id=first.villager_id,
        turn_id=first.turn_id,
        rule=rule,
        reason=reason[:MAX_TEXT],
        at=first.at,
        evidence=tuple(it.told()[:MAX_TEXT] for it in evidence[:MAX_EVIDENCE]),
    )
