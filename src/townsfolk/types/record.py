"""What is kept: turns, ratings, demonstrations, memories; and the adapters that are served."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from townsfolk.types.base import Id, Message, Name, PersonaName, Text
from townsfolk.types.decision import Action, Verdict
from townsfolk.types.observation import Observation, Position

MAX_EVIDENCE = 64
"""Lines of it that one flag carries."""


class Rating(Message):
    turn_id: Id
    player: Name
    value: Literal[-1, 1]
    comment: Text = ""
    game_id: str = Field(default="", max_length=64)
    """Whose turn it is; empty: that of the token, else any."""


class LogEntry(Message):
    """A sign of how players take to the villagers."""

    game_id: Id
    villager_id: str = Field(default="", max_length=64)
    player: str = Field(default="", max_length=64)
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """The mod tells `answered`, `stayed`, `followed`, `traded`, `came_back` and `left`."""
    text: Text = ""
    at: float = 0
    """On the game's clock."""
    turn_id: str = Field(default="", max_length=64)
    """The turn that it followed on; empty: none."""


class LogBatch(Message):
    """What the game has to tell, gathered: at most one request in some seconds."""

    entries: tuple[LogEntry, ...] = Field(min_length=1, max_length=64)


class DemoStep(Message):
    """One thing that a player did, and what a villager in the player's place would have seen before it."""

    number: int = Field(ge=0)
    """0, 1, 2 … within the demonstration."""
    action: Text
    """As the inside of a tag: `place default:wood`, `move_north`, `say "Good day"`."""
    place: Position
    """Where, counted from where the demonstration began: the node placed or dug, else the feet."""
    observation: Observation
    """Whole, with `me` and `around`; its persona is that of the villager it is shown to."""


class DemoBatch(Message):
    """Steps of one demonstration in their order; a long one comes in several batches."""

    game_id: Id
    demo_id: Id
    """One recording; the same name recorded anew is another."""
    name: Name
    """What the player calls it."""
    player: Name
    villager_id: str = Field(default="", max_length=64)
    """The villager it is shown to; empty: none was near."""
    steps: tuple[DemoStep, ...] = Field(min_length=1, max_length=32)


class ForgetPlayer(Message):
    """A player's wish to be forgotten: what was kept of them goes, and no dataset learns from them again."""

    game_id: Id
    player: Name


class AuditFlag(Message):
    """Something that a person should look at: a villager that broke a rule, and was frozen for it."""

    game_id: str = Field(default="", max_length=64)
    villager_id: str = Field(default="", max_length=64)
    turn_id: str = Field(default="", max_length=64)
    rule: str
    reason: str
    at: float
    """Unix time in seconds."""
    evidence: tuple[Text, ...] = Field(default=(), max_length=MAX_EVIDENCE)
    """What was said and done, a line each, so that it can be judged without the turn."""


class Memory(Message):
    """What a villager remembers of a player; it outlives restarts."""

    game_id: Id
    villager_id: Id
    player: Name
    facts: tuple[Text, ...] = Field(default=(), max_length=32)
    met_count: int = Field(default=0, ge=0)
    last_seen: float = 0
    """Unix time in seconds."""


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
    """The text of this turn's context window; where it has players' names, the model saw stand-ins."""
    reply: str
    """All that was decoded, tags included, with players' names."""
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
    areas: str | None = None
    """Of the rules file, those that the villager stood in, with commas between; None: not known."""
