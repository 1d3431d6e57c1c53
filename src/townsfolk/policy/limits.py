"""How often: what each villager did in the last minute and the last day. Pure: the time is an argument."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from townsfolk.policy.rules import Limit

MINUTE, DAY = 60.0, 86_400.0
SLOTS = 60
"""A window is counted in so many parts: an action weighs on it for at most a sixtieth longer."""
MAX_TALLIES = 100_000


@dataclass
class _Tally:
    """Actions of the last `seconds`, by slots of them."""

    seconds: float
    slots: dict[int, int] = field(default_factory=dict)

    def count(self, now: float) -> int:
        """Of the last `seconds`; what is older is forgotten."""
        oldest = self._slot(now) - SLOTS
        self.slots = {slot: count for slot, count in self.slots.items() if slot >= oldest}
        return sum(self.slots.values())

    def add(self, now: float, times: int = 1) -> None:
        slot = self._slot(now)
        self.slots[slot] = self.slots.get(slot, 0) + times

    def wait(self, now: float) -> float:
        """Seconds until the oldest counts no more."""
        return (min(self.slots) + SLOTS + 1) * self.seconds / SLOTS - now

    def _slot(self, now: float) -> int:
        return int(now * SLOTS // self.seconds)


class Limits:
    """The limits of a rules file with what each villager did. No window lets through more than its limit."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._limits = limits
        self._tallies: dict[tuple[str, str, float], _Tally] = {}

    def refusal(self, villager: str, names: list[str], now: float) -> tuple[str, str] | None:
        """The first of the limits `names` that is reached, and what to do; None: there is room in all."""
        for name in names:
            for most, tally in self._windows(villager, name, now):
                if tally.count(now) >= most:
                    per = "a minute" if tally.seconds == MINUTE else "a day"
                    return name, f"more than {most} {per}; wait {tally.wait(now):.1f} s"
        return None

    def count(self, villager: str, names: list[str], now: float, times: int = 1) -> None:
        """The villager does `times` things that count for the limits `names`."""
        for name in names:
            for _, tally in self._windows(villager, name, now):
                tally.add(now, times)

    def _windows(self, villager: str, name: str, now: float) -> Iterator[tuple[int, _Tally]]:
        limit = self._limits[name]
        for most, seconds in ((limit.per_minute, MINUTE), (limit.per_day, DAY)):
            if most is not None:
                yield most, self._tally((villager, name, seconds), now)

    def _tally(self, key: tuple[str, str, float], now: float) -> _Tally:
        if key not in self._tallies and len(self._tallies) >= MAX_TALLIES:
            self._tallies = {own: tally for own, tally in self._tallies.items() if tally.count(now)}
        return self._tallies.setdefault(key, _Tally(key[2]))
