"""A persona as its prompt is told it -> the same with an adapter, which needs no crutches any more."""

from townsfolk.types import Persona

SPEAKS = "say"
"""Its own speech is no action to choose."""


def unaided(persona: Persona) -> Persona:
    """Without examples, told all that it sees, free to do all that it ever may where it is spoken to."""
    everything = tuple(name for name in persona.actions if name != SPEAKS)
    unasked = persona.unasked.model_copy(update={"spoken_to": everything, "gift": everything})
    return persona.model_copy(update={"examples": (), "unaided": True, "unasked": unasked})
