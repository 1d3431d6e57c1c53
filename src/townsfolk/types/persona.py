"""Who a villager is."""

from pydantic import Field, model_validator

from townsfolk.types.base import Message, Name, PersonaName, Text


class Knowledge(Message):
    """Something a persona knows and tells when a player's words touch `about`."""

    about: tuple[Text, ...] = Field(min_length=1, max_length=16)
    says: Text


class Example(Message):
    """One exchange that shows the persona's voice. `{player}` and `{name}` are filled in."""

    player: Text
    hints: tuple[Text, ...] = Field(default=(), max_length=4)
    reply: Text
    """Tag first, then speech, as it is to be decoded."""


class Sampling(Message):
    """How speech is drawn; actions are always the most likely ones."""

    temperature: float = Field(default=0.6, ge=0, le=2)
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition_penalty: float = Field(default=1.1, ge=1, le=2)


class Unasked(Message):
    """Actions a persona takes of itself, by occasion: few for the base model, all for one that was tuned."""

    spoken_to: tuple[Name, ...] = Field(default=(), max_length=128)
    gift: tuple[Name, ...] = Field(default=(), max_length=128)
    punched: tuple[Name, ...] = Field(min_length=1, max_length=128)
    tick: tuple[Name, ...] = Field(min_length=1, max_length=128)


class Persona(Message):
    """`persona.yaml`: who a villager is, before any adapter. `{name}` stands for the villager's own name."""

    name: PersonaName
    title: Text
    traits: tuple[Text, ...] = Field(min_length=1, max_length=12)
    speech: Text
    knowledge: tuple[Knowledge, ...] = Field(default=(), max_length=128)
    actions: tuple[Name, ...] = Field(min_length=1, max_length=128)
    """What it may ever do."""
    unasked: Unasked
    """What it may do without a player asking for it in so many words."""
    on_request: tuple[Name, ...] = Field(default=(), max_length=128)
    """What a player may ask it for."""
    unaided: bool = False
    """It is shown all it sees and chooses among all that `unasked` names, instead of what a player's words
    touch and ask for: for models that were trained so, or are large. With an adapter every persona is so."""
    at_a_loss: Text = Field(default="I have no words for that.", min_length=1)
    """Said where the model found nothing to say but the player's own words, or nothing that may be said."""
    history: int = Field(default=32, ge=0, le=256)
    """Earlier turns shown in the prompt; a base model that was not tuned soon repeats what it sees there."""
    examples: tuple[Example, ...] = Field(default=(), max_length=12)
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _named_are_allowed(self) -> "Persona":
        named = {name for names in self.unasked.model_dump().values() for name in names} | {*self.on_request}
        extra = ", ".join(sorted(named - set(self.actions)))
        if extra:
            raise ValueError(
                f"unasked or on_request names {extra}, which actions does not allow: add it there"
            )
        return self
