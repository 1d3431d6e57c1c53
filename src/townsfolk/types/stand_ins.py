"""Players' names <-> names of nobody that stand in for them.

A name is a player's own words: `go_home_now` says hey, and a model reads an order. So neither prompts nor
datasets have them. It refuses to know which texts matter.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import count

from townsfolk.types.observation import Surroundings
from townsfolk.types.text import words

STAND_INS = ("sam", "mia", "tom", "Ada", "jo_9", "wren", "Kai", "bob2", "lena", "Rufus", "ivy", "max_power")
"""In no order of anything; adapters are trained on these."""
MOST = 256
"""Players that a villager tells apart; the one not met for longest loses its stand-in to a new one."""
SHORTEST = 3
"""Letters that a name called by less must have: `steve` is steve_99, `me` is not me_2."""

Retell = Callable[[str], str]


class StandIns:
    """The stand-ins of the players whom one villager meets, or one text names; each keeps its own."""

    def __init__(self, salt: str, unlike: Iterable[str] = (), plain: Collection[str] = ()) -> None:
        """Set up without a stand-in given out.

        Args:
            salt: decides which names are given out first.
            unlike: names that are nobody's stand-in.
            plain: everyday words, as `words` has them: no player called so is meant where a text has one.
        """
        first = hashlib.sha256(salt.encode()).digest()[0] % len(STAND_INS)
        self._names = (*STAND_INS[first:], *STAND_INS[:first])
        self._unlike, self._plain = {name.casefold() for name in unlike}, plain
        self._given: dict[str, str] = {}

    def of(self, player: str, near: Iterable[str] = ()) -> str:
        """The player's stand-in, which is their own name if that is one and free; "" of nobody.

        Args:
            near: names of others, which a new stand-in must not be taken for.
        """
        if not player:
            return ""
        own = self._given.pop(player, "") or self._new(player, near)
        self._given[player] = own  # at the end: the first is the one not met for longest
        if len(self._given) > MOST:
            del self._given[next(iter(self._given))]
        return own

    def hidden(self, text: str) -> str:
        """`text` with the stand-ins given so far, in whatever case the players are called by it."""
        called = {_shortened(player): stand_in for player, stand_in in self._given.items()}
        called |= {player.casefold(): stand_in for player, stand_in in self._given.items()}
        return _replaced(text, {name: it for name, it in called.items() if not self._is_plain(name)})

    def named(self, text: str, villager: str = "") -> str:
        """`text` with players' own names again; where it has the name of `villager`, that is meant."""
        players = {
            stand_in.casefold(): player for player, stand_in in self._given.items() if stand_in != player
        }
        return _replaced(text, players, villager)

    def forget(self, player: str) -> None:
        """The player's stand-in is free again."""
        self._given.pop(player, None)

    def _new(self, player: str, near: Iterable[str]) -> str:
        taken = self._unlike.union(name.casefold() for name in (*self._given.values(), *near))
        return next(name for name in self._suited(player) if name.casefold() not in taken)

    def _suited(self, player: str) -> Iterator[str]:
        """What may stand in for `player`, the best first; there is always another."""
        yield from (name for name in self._names if name == player)
        yield from self._names
        yield from (f"{name}{number}" for number in count(3) for name in self._names)

    def _is_plain(self, name: str) -> bool:
        only = words(name)
        return len(only) == 1 and only[0] in self._plain


def retold(near: Surroundings, name: Retell, text: Retell) -> Surroundings:
    """The same surroundings: players by other names, and in other words what they may have written."""
    things = tuple(
        it.model_copy(
            update={"name": name(it.name) if it.kind == "player" else it.name, "title": text(it.title)}
        )
        for it in near.things
    )
    nodes = tuple(it.model_copy(update={"text": text(it.text), "title": text(it.title)}) for it in near.nodes)
    return near.model_copy(update={"things": things, "nodes": nodes})


def _shortened(player: str) -> str:
    """What others call a player with a number, in lower case."""
    short = player.casefold().rstrip("0123456789_-")
    return short if len(short) >= SHORTEST else player.casefold()


def _replaced(text: str, names: Mapping[str, str], kept: str = "") -> str:
    """`text` with other words for `names`, which are in lower case, in whatever case it has them.

    What stands there exactly as `kept` stays, and so does a mod's (`flowers:ivy`).
    """
    if not names:
        return text
    alternatives = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w:-])(?:{alternatives})(?![\w-])", re.IGNORECASE)
    return pattern.sub(lambda found: kept if found[0] == kept else names[found[0].casefold()], text)
