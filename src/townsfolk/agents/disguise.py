"""What a villager sees and is told -> the same with stand-ins for players' names: so its prompt has it.

It refuses to know what becomes of it; the names in a reply are put back by who asked for it.
"""

from collections.abc import Iterator
from dataclasses import replace

from townsfolk.agents.occasion import Occasion
from townsfolk.agents.session import View
from townsfolk.types import Thing
from townsfolk.types.stand_ins import StandIns, retold


def disguised(view: View, occasion: Occasion, name: str, names: StandIns) -> tuple[View, Occasion]:
    """`view` and `occasion` of the villager called `name`; whoever is new to it gets a stand-in."""
    others = frozenset((name, *_called(view)))

    def stand_in(who: str) -> str:
        return (
            who if who in others or ":" in who else names.of(who, others)
        )  # villagers and mobs speak and hit

    player = stand_in(occasion.player)
    for it in view.around.things:
        if it.kind == "player":
            stand_in(it.name)  # all of them, before what is written anywhere is told again
    me = view.me.model_copy(update={"doing": names.hidden(view.me.doing)})
    around = retold(view.around, stand_in, names.hidden)
    return replace(view, me=me, around=around), replace(
        occasion, player=player, text=names.hidden(occasion.text)
    )


def _called(view: View) -> Iterator[str]:
    """Whatever is no player."""
    beings: Iterator[Thing] = (it for it in view.around.things if it.kind in ("villager", "mob"))
    for being in beings:
        yield being.name
        yield being.title
