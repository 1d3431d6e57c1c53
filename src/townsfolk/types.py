"""The messages that travel between the stages, each bounded, none with behaviour.

The same fields stand in `proto/townsfolk/v1/*.proto` (gRPC) and in the HTTP bodies; a test keeps
the two equal. Units: positions in nodes (x east, y UP, z north), times in seconds of the game's
own monotonic clock unless a name says otherwise, health in the game's points.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_OBSERVATIONS = 64
MAX_TEXT = 500
MAX_CONTEXT = 8_000

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
"""An identifier: game, villager, turn. Never shown to the model."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
"""A name the game registered or a player bears (`default:torch`, `singleplayer`): one word."""
OptionalName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")]
PersonaName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
"""What a player wrote, a sign says, a thing is called: untrusted, plain text to the model."""

Direction = Literal[
    "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest", "here"
]


class Message(BaseModel):
    """Base of all messages: immutable, unknown fields refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


# --- what a villager can do: sent by the game when it connects -----------------------------------


class ArgKind(StrEnum):
    """Types of an action's arguments; each but the last three is a choice from the observation."""

    PLAYER = "player"  # the name of a player near
    CREATURE = "creature"  # of a player, villager or mob near
    MOB = "mob"  # of a mob near
    DROPPED = "dropped"  # of an item lying near
    CARRIED = "carried"  # of an item in the villager's own inventory
    NODE = "node"  # of a notable node near
    PLACE = "place"  # home, or the name of a notable node or creature near
    INT = "int"  # a whole number from min to max
    TEXT = "text"  # quoted, up to max_length characters
    CHOICE = "choice"  # one of choices


class ArgSpec(Message):
    """One typed argument of an action."""

    name: Name
    kind: ArgKind
    min: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    max: int = Field(default=99, ge=-1_000_000, le=1_000_000)
    max_length: int = Field(default=120, ge=1, le=MAX_TEXT)
    choices: tuple[Name, ...] = Field(default=(), max_length=32)

    @model_validator(mode="after")
    def _some_number_fits(self) -> "ArgSpec":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is over max {self.max}: no number could be chosen, swap them")
        return self


class ActionSpec(Message):
    """An action that the game's registry offers (`townsfolk.register_action`)."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    description: Text = ""
    args: tuple[ArgSpec, ...] = Field(default=(), max_length=4)
    phrases: tuple[Text, ...] = Field(default=(), max_length=16)
    """What a player says who wants this ("follow me", "come with me"): shows the model when to use it."""
    hostile: bool = False
    """Hurts a creature: offered only where there is a mob near."""


class Game(Message):
    """A game's greeting (`Connect`): who it is and what its villagers can do."""

    game_id: Id
    mod_version: Text = ""
    engine_version: Text = ""
    game_name: Text = ""
    actions: tuple[ActionSpec, ...] = Field(min_length=1, max_length=128)
    personas: tuple[PersonaName, ...] = Field(default=(), max_length=64)


class PersonaActions(Message):
    """What a persona may ever do, for the game's own check."""

    persona: PersonaName
    actions: tuple[Name, ...]


class Connected(Message):
    """The service's answer to a greeting."""

    service_version: str
    personas: tuple[PersonaName, ...]
    unknown_personas: tuple[PersonaName, ...] = ()
    """Asked for, not there: their villagers are answered by the `default_persona`."""
    default_persona: PersonaName
    max_observations: int = MAX_OBSERVATIONS
    allowed: tuple[PersonaActions, ...] = ()
    """One entry a persona."""


# --- what a villager sees ------------------------------------------------------------------------


class Position(Message):
    x: float
    y: float
    z: float


class Thing(Message):
    """A player, villager, mob or dropped item near."""

    kind: Literal["player", "villager", "mob", "item"]
    name: Name
    title: Text = ""
    """How it is called in speech (a mob's or item's description); empty: its name."""
    distance: float = Field(ge=0, le=1000)
    direction: Direction
    held: OptionalName = ""
    hp: float = Field(default=0, ge=0, le=1_000_000)
    count: int = Field(default=1, ge=0, le=65_535)
    hostile: bool = False


class Node(Message):
    """A notable node near (a chest, sign, ore, tree, bed …) by its registered name."""

    name: Name
    title: Text = ""
    distance: float = Field(ge=0, le=1000)
    direction: Direction
    text: Text = ""
    """What is written on it (signs, books): untrusted."""


class Stack(Message):
    name: Name
    count: int = Field(ge=1, le=65_535)


class SelfState(Message):
    """The villager's own state."""

    position: Position
    hp: float = Field(ge=0, le=1_000_000)
    hp_max: float = Field(default=20, gt=0, le=1_000_000)
    doing: Text = ""
    """The action under way, as a tag has it (`follow sam`); empty: idle."""
    held: OptionalName = ""
    inventory: tuple[Stack, ...] = Field(default=(), max_length=64)
    home_distance: float = Field(default=0, ge=0, le=100_000)
    home_direction: Direction = "here"


class Surroundings(Message):
    things: tuple[Thing, ...] = Field(default=(), max_length=48)
    nodes: tuple[Node, ...] = Field(default=(), max_length=48)


class EventKind(StrEnum):
    SPOKEN_TO = "spoken_to"  # `who` says `text` to this villager: it should answer
    HEARD = "heard"  # `who` says `text` near by, to somebody else
    PUNCHED = "punched"  # by `who`, `count` damage
    GIFT = "gift"  # `who` gave `count` of `name`
    PLACED = "placed"  # `who` placed the node `name` near
    DUG = "dug"  # `who` dug the node `name` near
    ARRIVED = "arrived"  # an action ended well: `text` is its tag
    FAILED = "failed"  # an action ended badly: `text` is its tag and the reason
    JOINED = "joined"  # the player `who` came near
    LEFT = "left"  # the player `who` went away
    TICK = "tick"  # the game asks for a decision though nothing happened


class Event(Message):
    """Something that happened since the last observation."""

    kind: EventKind
    at: float
    who: OptionalName = ""
    text: Text = ""
    name: OptionalName = ""
    count: int = Field(default=0, ge=0, le=65_535)
    private: bool = False
    """Said through the form or `/ai say`: the answer goes to `who` alone."""


class Observation(Message):
    """What one villager perceives. `me` and `around` are left out while unchanged since the last answer."""

    villager_id: Id
    name: Text
    persona: PersonaName
    snapshot_time: float
    time_of_day: float = Field(default=0.5, ge=0, le=1)
    """0 and 1 are midnight, 0.5 is noon."""
    me: SelfState | None = None
    around: Surroundings | None = None
    events: tuple[Event, ...] = Field(default=(), max_length=32)


class Outcome(Message):
    """What became of an action in the game: told with the next step."""

    turn_id: Id
    villager_id: Id
    action: Annotated[str, StringConstraints(max_length=MAX_TEXT)]
    """The tag's inside, as it was decided."""
    verdict: Literal["done", "refused", "failed"]
    reason: Text = ""


class StepRequest(Message):
    """All villagers that are due, once a server step."""

    game_id: Id
    observations: tuple[Observation, ...] = Field(default=(), max_length=MAX_OBSERVATIONS)
    outcomes: tuple[Outcome, ...] = Field(default=(), max_length=256)
    max_wait_ms: int = Field(default=50, ge=0, le=10_000)
    """Answer after this time with what is ready; the rest comes with a later step."""


# --- who a villager is ---------------------------------------------------------------------------


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


# --- what a villager may decide now: made from the registry and the observation, read by the grammar ---


class Slot(Message):
    """The values that one argument may take now."""

    kind: Literal["choice", "int", "text"]
    choices: tuple[str, ...] = ()
    min: int = 0
    max: int = 0
    max_length: int = 0


class Offer(Message):
    """An action that can be carried out now, each slot with at least one value."""

    name: str
    slots: tuple[Slot, ...] = ()


# --- what a villager decides ---------------------------------------------------------------------


class Action(Message):
    """One action; `args` are text, as in the tag, of the kinds that its ActionSpec names."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    args: tuple[Annotated[str, StringConstraints(max_length=MAX_TEXT)], ...] = Field(default=(), max_length=4)

    def tag(self) -> str:
        """The inside of the action's tag: `give default:apple 2 sam`; text that has spaces is quoted."""
        return " ".join((self.name, *(f'"{arg}"' if " " in arg or not arg else arg for arg in self.args)))


class Verdict(Message):
    """Policy's answer on one action."""

    allowed: bool
    rule: str = ""
    """The rule that decided, empty when nothing forbids."""
    reason: str = ""


class Decision(Message):
    """One part of a villager's turn: a sentence, actions, or both. A turn may come in several parts."""

    villager_id: Id
    turn_id: Id
    part: int
    """0, 1, 2 … within the turn."""
    done: bool
    snapshot_time: float
    """Of the observation that it was made from; the game drops what is stale."""
    reply_to: str = ""
    """The player who is answered; empty: nobody spoke."""
    private: bool = False
    speech: str = ""
    actions: tuple[Action, ...] = ()


class Refused(Message):
    """An observation that was not taken, so that the game can go on by script."""

    villager_id: Id
    code: Literal["busy", "stale", "frozen", "late", "invalid"]
    reason: str
    retry_after_ms: int = 0


class StepReply(Message):
    decisions: tuple[Decision, ...] = ()
    refused: tuple[Refused, ...] = ()
    pending: int = 0
    """Turns under way for this game: ask again soon."""


# --- a turn asked for directly (guide section 3.1) -----------------------------------------------


class InferRequest(Message):
    persona: PersonaName
    context: str = Field(min_length=1, max_length=MAX_CONTEXT)
    max_len: int = Field(default=64, ge=1, le=512)
    """Tokens to generate at most."""
    max_wait_ms: int = Field(default=10_000, ge=1, le=120_000)


class InferReply(Message):
    text: str
    actions: tuple[str, ...]
    """The insides of the action tags, in order."""
    turn_id: Id


class InferChunk(Message):
    """One piece of a streamed reply."""

    turn_id: Id
    text: str = ""
    """What was said since the last chunk; all of them joined as they are make the reply's text."""
    actions: tuple[str, ...] = ()
    done: bool = False


class CheckRequest(Message):
    """May this persona do this, here?"""

    persona: PersonaName
    action: Action
    villager_id: str = Field(default="", max_length=64)
    game_id: str = Field(default="", max_length=64)


# --- feedback ------------------------------------------------------------------------------------


class Rating(Message):
    turn_id: Id
    player: Name
    value: Literal[-1, 1]
    comment: Text = ""


class LogEntry(Message):
    """Something that happened in the game and is worth keeping (demonstrations, engagement)."""

    game_id: Id
    villager_id: str = Field(default="", max_length=64)
    player: str = Field(default="", max_length=64)
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    text: Text = ""
    at: float = 0


class AuditFlag(Message):
    """Something that a person should look at: a villager that broke a rule, and was frozen for it."""

    game_id: str = Field(default="", max_length=64)
    villager_id: str = Field(default="", max_length=64)
    turn_id: str = Field(default="", max_length=64)
    rule: str
    reason: str
    at: float
    """Unix time in seconds."""


class Memory(Message):
    """What a villager remembers of a player; it outlives restarts."""

    game_id: Id
    villager_id: Id
    player: Name
    facts: tuple[Text, ...] = Field(default=(), max_length=32)
    met_count: int = Field(default=0, ge=0)
    last_seen: float = 0
    """Unix time in seconds."""


# --- adapters ------------------------------------------------------------------------------------


class AdapterVersion(Message):
    """An adapter that the engine holds, or a fault that keeps it out."""

    name: str
    """The persona it belongs to, or the name it was loaded under."""
    content_hash: str
    """sha256 over the config and weights, hexadecimal; what caches and rows are keyed by."""
    rank: int
    size_bytes: int
    resident: bool
    base_hash: str = ""


class AdapterFault(Message):
    name: str
    reason: str


class AdapterList(Message):
    adapters: tuple[AdapterVersion, ...] = ()
    faults: tuple[AdapterFault, ...] = ()


class LoadAdapter(Message):
    name: PersonaName
    path: str = Field(min_length=1, max_length=512)
    """A folder inside the service's `adapters_dir` or the personas' folders."""


class UnloadAdapter(Message):
    name: PersonaName


# --- one turn, as it is stored -------------------------------------------------------------------


class Turn(Message):
    """One turn with everything needed to learn from it, audit it and repeat it."""

    turn_id: Id
    game_id: str
    villager_id: str
    persona: str
    adapter_hash: str
    """Empty: the base model alone."""
    player: str
    context: str
    """The text of this turn's context window, as the model saw it."""
    reply: str
    """All that was decoded, tags included."""
    actions: tuple[Action, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """One per action, in order."""
    started_at: float
    """Unix time in seconds."""
    queue_ms: float = 0
    prefill_ms: float = 0
    decode_ms: float = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's tokens, how many were in the KV cache already."""
    reply_tokens: int = 0
    finish: Literal["stop", "length", "cancelled", "late", "error"] = "stop"
