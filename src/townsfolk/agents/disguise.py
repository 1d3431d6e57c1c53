"""One turn's players by other names: what a model is told has stand-ins, what comes of it their own.

It refuses to know how a prompt is written and what may be done.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from townsfolk.agents.occasion import Occasion
from townsfolk.agents.offers import HOME
from townsfolk.agents.session import Past, Session, View
from townsfolk.types import Offer, Slot, Thing, words
from townsfolk.types.stand_ins import replaced

SHORTEST = 3
"""Letters that a name called by less must have: `steve` is steve_99, `me` is not me_2."""


@dataclass(frozen=True)
class Disguise:
    """Those who are here, or whom the villager deals with, and what stands in for their names.

    Attributes:
        names: player -> stand-in.
        things: what is spoken of here beside them, as `words` has it: no player is meant by such a word.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    things: Collection[str] = ()

    @classmethod
    def of(cls, session: Session, view: View, occasion: Occasion, plain: Collection[str] = ()) -> "Disguise":
        """For one turn; whoever is new to the villager gets a stand-in.

        Args: plain: further words in which no player is meant, though one is called so.
        """
        beings = {session.name, *(it.name for it in view.around.things if it.kind != "player")}
        spoken_with = occasion.player if ":" not in occasion.player and occasion.player not in beings else ""
        near = (it.name for it in view.around.things if it.kind == "player")
        dealt_with = (it for it in f"{view.me.doing} {session.did}".split() if it in session.memories)
        here = tuple(dict.fromkeys((spoken_with, *near, *dealt_with)))
        texts = tuple(_others(view, session.name))
        spoken_of = _tokens(" ".join((occasion.text, *texts))) - {name.casefold() for name in here}
        things = frozenset(plain).union(*map(words, texts))
        return cls(session.names.given(here, spoken_of), things)

    def name(self, player: str) -> str:
        """Their stand-in; what is no player's name stays."""
        return self.names.get(player, player)

    def target(self, choice: str) -> str:
        """The same for what may be chosen in a tag, where home is a place even if a player is called so."""
        return choice if choice == HOME else self.name(choice)

    def view(self, view: View) -> View:
        """The same with stand-ins; what is written anywhere stays."""
        me = view.me.model_copy(update={"doing": self.tag(view.me.doing)})
        things = tuple(self._thing(it) if it.kind == "player" else it for it in view.around.things)
        return replace(view, me=me, around=view.around.model_copy(update={"things": things}))

    def occasion(self, occasion: Occasion) -> Occasion:
        """The same with stand-ins, also for whom it calls by a shorter name, `steve` for steve_99."""
        return replace(occasion, player=self.name(occasion.player), text=self.hidden(occasion.text))

    def past(self, past: Past) -> Past:
        """The same with stand-ins."""
        return replace(past, did=self.tag(past.did))

    def offers(self, offers: Iterable[Offer]) -> tuple[Offer, ...]:
        """The same with stand-ins to choose from."""
        return tuple(
            offer.model_copy(update={"slots": tuple(map(self._slot, offer.slots))}) for offer in offers
        )

    def tag(self, inside: str) -> str:
        """An action as a tag has it, with stand-ins."""
        action, *arguments = inside.split(" ")
        return " ".join((action, *map(self.target, arguments)))

    def hidden(self, text: str) -> str:
        """Words of somebody, with stand-ins for those whom they name."""
        called = {_shortened(player): own for player, own in self.names.items()} | dict(self.names)
        return replaced(text, {name: own for name, own in called.items() if not self._means_a_thing(name)})

    def named(self, text: str) -> str:
        """Words of the villager, with players' own names again."""
        return replaced(text, {own: player for player, own in self.names.items()}, before=r"\w:-")

    def _slot(self, slot: Slot) -> Slot:
        return slot.model_copy(update={"choices": tuple(map(self.target, slot.choices))})

    def _thing(self, player: Thing) -> Thing:
        return player.model_copy(update={"name": self.name(player.name), "title": ""})

    def _means_a_thing(self, name: str) -> bool:
        only = words(name)
        return len(only) == 1 and only[0] in self.things


def _others(view: View, villager: str) -> Iterator[str]:
    """Names and texts of whatever is no player."""
    yield villager
    yield from (stack.name for stack in view.me.inventory)
    yield from (f"{it.name} {it.title}" for it in view.around.things if it.kind != "player")
    yield from (f"{node.name} {node.title} {node.text}" for node in view.around.nodes)


def _tokens(text: str) -> frozenset[str]:
    """Words in lower case; of `default:apple_tree` also apple_tree."""
    plain = text.casefold()
    return frozenset((*re.findall(r"\w+", plain), *re.findall(r"[^\W_]+", plain)))


def _shortened(player: str) -> str:
    """What others call a player with a number."""
    short = player.rstrip("0123456789_-")
    return short if len(short) >= SHORTEST else player
