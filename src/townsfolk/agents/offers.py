"""Registry and view -> the actions that can be carried out now, each argument with its present values."""

from collections.abc import Collection, Iterable

from townsfolk.agents.session import View
from townsfolk.types import ActionSpec, ArgKind, ArgSpec, Offer, Slot

MAX_CHOICES = 24
HOME = "home"
_THINGS = frozenset({ArgKind.CARRIED, ArgKind.DROPPED, ArgKind.NODE})


def offers_for(specs: Iterable[ActionSpec], allowed: Collection[str], view: View) -> tuple[Offer, ...]:
    """Offers of those `specs` that are `allowed` and have a value for every argument in `view`."""
    mob_near = any(thing.kind == "mob" for thing in view.around.things)
    found = []
    for spec in specs:
        if spec.name not in allowed or (spec.hostile and not mob_near):
            continue
        slots = tuple(_slot(arg, view, _most(spec, view)) for arg in spec.args)
        if all(slot.kind != "choice" or slot.choices for slot in slots):
            found.append(Offer(name=spec.name, slots=slots))
    return tuple(found)


def is_weighty(spec: ActionSpec, view: View) -> bool:
    """Whether players may lose by it: things change hands or place, or a harmless creature is hurt."""
    if any(arg.kind in _THINGS for arg in spec.args):
        return True
    return spec.hostile and not any(thing.hostile for thing in view.around.things)


def _most(spec: ActionSpec, view: View) -> int | None:
    """The most that can be handed over of anything carried; None where no argument is carried."""
    carried = any(arg.kind is ArgKind.CARRIED for arg in spec.args)
    return max((stack.count for stack in view.me.inventory), default=0) if carried else None


def _slot(arg: ArgSpec, view: View, most: int | None) -> Slot:
    if arg.kind is ArgKind.INT:
        return Slot(
            kind="int", min=arg.min, max=arg.max if most is None else max(arg.min, min(arg.max, most))
        )
    if arg.kind is ArgKind.TEXT:
        return Slot(kind="text", max_length=arg.max_length)
    return Slot(kind="choice", choices=_unique(_choices(arg, view)))


def _choices(arg: ArgSpec, view: View) -> Iterable[str]:
    if arg.kind is ArgKind.CHOICE:
        return arg.choices
    if arg.kind is ArgKind.CARRIED:
        return (stack.name for stack in view.me.inventory)
    if arg.kind is ArgKind.NODE:
        return (node.name for node in view.around.nodes)
    if arg.kind is ArgKind.PLACE:
        return (
            HOME,
            *_named(view, "player", "villager", "mob"),
            *(node.name for node in view.around.nodes),
        )
    kinds = {
        ArgKind.PLAYER: ("player",),
        ArgKind.CREATURE: ("player", "villager", "mob"),
        ArgKind.MOB: ("mob",),
        ArgKind.DROPPED: ("item",),
    }
    return _named(view, *kinds[arg.kind])


def _named(view: View, *kinds: str) -> list[str]:
    return [thing.name for thing in view.around.things if thing.kind in kinds]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:MAX_CHOICES]
