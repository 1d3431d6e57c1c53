"""Players' names <-> names of nobody that stand in for them.

A name is a player's own words: `go_home_now` says hey, and a model reads an order. So neither prompts nor
datasets have them. It refuses to know which texts matter.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count

STAND_INS = ("sam", "mia", "tom", "Ada", "jo_9", "wren", "Kai", "bob2", "lena", "Rufus", "ivy", "max_power")
"""Whom authored rows are told of, in no order of anything."""
BYSTANDERS = ("ann", "ben", "bob", "Jonas", "lina", "nora", "oskar", "ruby", "yuki")
"""Whom their scenes have near by."""
NO_WORDS = tuple(
    name for name in (*STAND_INS, *BYSTANDERS) if name.isalpha() and name not in ("ivy", "ruby", "wren")
)
"""Those that a text has for a person alone; only these are given to others than who bears them."""
MOST = 64
"""Players that are told apart though they are away."""


class StandIns:
    """The stand-ins of the players whom one villager meets, or one text names."""

    def __init__(self, salt: str = "", unlike: Iterable[str] = ()) -> None:
        """Set up without a stand-in given out.

        Args:
            salt: decides which names are given out first.
            unlike: names that are nobody's stand-in.
        """
        first = hashlib.sha256(salt.encode()).digest()[0] % len(NO_WORDS) if salt else 0
        self._names = (*NO_WORDS[first:], *NO_WORDS[:first])
        self._unlike = {name.casefold() for name in unlike}
        self._given: dict[str, str] = {}

    def given(self, players: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
        """The stand-ins of `players`, no two alike: those that they had, where nothing speaks against it.

        Args:
            taken: words in lower case that mean something else here. Whoever's stand-in is one gets another.
        """
        present = tuple(dict.fromkeys(filter(None, players)))
        for player in present:
            own = self._given.pop(player, "")
            if not own or own.casefold() in taken:
                own = self._new(player, present, self._unlike.union(taken))
            self._given[player] = own  # at the end: the first is the one not met for longest
        while len(self._given) > max(MOST, len(present)):
            del self._given[next(iter(self._given))]
        return {player: self._given[player] for player in present}

    def forget(self, player: str) -> None:
        """The player's stand-in is free again."""
        self._given.pop(player, None)

    def _new(self, player: str, present: Collection[str], barred: Collection[str]) -> str:
        holders = {own.casefold(): holder for holder, own in self._given.items()}
        for name in self._suited(player):
            holder = holders.get(name.casefold())
            if name.casefold() not in barred and holder not in present:
                self._given.pop(holder or "", None)
                return name
        raise AssertionError("there is always another")

    def _suited(self, player: str) -> Iterator[str]:
        """What may stand in for `player`, the best first: their own name, a free one, one of those away."""
        if player.casefold() in {name.casefold() for name in (*STAND_INS, *BYSTANDERS)}:
            yield player
        yield from (name for name in self._names if name not in self._given.values())
        yield from [own for own in self._given.values() if own in self._names]
        yield from (f"{name}{number}" for number in count(2) for name in self._names)


def replaced(text: str, names: Mapping[str, str], *, before: str = r"\w") -> str:
    """`text` with other words for `names`, whole words in whatever case they stand there.

    Args:
        before: as in a class of a pattern: what a name must not follow.
    """
    by = {name.casefold(): word for name, word in names.items() if name != word}
    if not text or not by:
        return text
    alternatives = "|".join(map(re.escape, sorted(by, key=len, reverse=True)))
    # Only ASCII has cases here: `ı` is no `i`, whatever Unicode says of the latter's.
    pattern = re.compile(rf"(?<![{before}])(?ai:{alternatives})(?![\w-])")
    return pattern.sub(lambda found: by[found[0].casefold()], text)
