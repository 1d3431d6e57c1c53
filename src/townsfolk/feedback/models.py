"""The tables: one class each, portable between SQLite and PostgreSQL.

`docs/store.md` is generated from the words here, and a test compares the migrations with the
classes. It refuses to know how rows arrive: `rows.py` makes them from messages.

Times named `at`, `*_at` and `last_seen` are Unix time in seconds, except in `demos` and
`engagement`, where `at` is the game's own clock as the game told it.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ID = String(64)
HASH = String(128)

# Constraints need names, else SQLite's batch migrations can't alter them later.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


def _id(doc: str, **options: Any) -> Mapped[str]:
    return mapped_column(ID, doc=doc, **options)


class Spool(Base):
    """How far each spool has been applied: written in the transaction of the rows, so none comes twice."""

    __tablename__ = "spools"

    spool_id: Mapped[str] = _id("the spool folder's own random name", primary_key=True)
    applied: Mapped[int] = mapped_column(BigInteger, doc="sequence number of the last record applied")


class GameRow(Base):
    """A game that has connected."""

    __tablename__ = "games"

    game_id: Mapped[str] = _id("the game's name for itself", primary_key=True)
    mod_version: Mapped[str] = mapped_column(Text, doc="of the mod townsfolk")
    engine_version: Mapped[str] = mapped_column(Text, doc="of Luanti")
    game_name: Mapped[str] = mapped_column(Text, doc="of the game that runs in it, e.g. minetest_game")
    actions: Mapped[list[Any]] = mapped_column(JSON, doc="the action registry, as the game sent it")
    connected_at: Mapped[float] = mapped_column(Float, doc="when it connected last")


class TurnRow(Base):
    """One turn of a villager: what the model saw and what it said."""

    __tablename__ = "turns"

    turn_id: Mapped[str] = _id("unique in all games", primary_key=True)
    game_id: Mapped[str] = _id("empty: asked for directly, through Infer")
    villager_id: Mapped[str] = _id("unique within its game")
    persona: Mapped[str] = _id("the persona that answered")
    adapter_hash: Mapped[str] = mapped_column(HASH, doc="content hash; empty: the base model alone")
    player: Mapped[str] = _id("who was answered; empty: nobody spoke")
    context: Mapped[str] = mapped_column(
        Text, doc="the context window's text; for players' names the model saw stand-ins"
    )
    reply: Mapped[str] = mapped_column(Text, doc="all that was decoded, tags included")
    started_at: Mapped[float] = mapped_column(Float, doc="when the turn was asked for")
    queue_ms: Mapped[float] = mapped_column(Float, doc="waiting for the engine")
    prefill_ms: Mapped[float] = mapped_column(Float, doc="reading the prompt")
    decode_ms: Mapped[float] = mapped_column(Float, doc="writing the reply")
    prompt_tokens: Mapped[int] = mapped_column(Integer, doc="tokens of the prompt")
    cached_tokens: Mapped[int] = mapped_column(Integer, doc="of these, already in the KV cache")
    reply_tokens: Mapped[int] = mapped_column(Integer, doc="tokens of the reply")
    finish: Mapped[str] = mapped_column(String(16), doc="stop, length, cancelled, late or error")
    areas: Mapped[str | None] = mapped_column(
        Text, doc="of the rules file, those that the villager stood in, with commas between; NULL: not known"
    )

    __table_args__ = (
        Index(None, "game_id", "villager_id", "started_at"),
        Index(None, "game_id", "player"),
        Index(None, "adapter_hash", "persona", "started_at"),
        Index(None, "started_at"),
    )


class ActionRow(Base):
    """One action of a turn: what policy said before, and what the game told after.

    The game may tell an outcome before the turn has ended. Then the row has no `position` and no
    verdict until the turn comes. It carries no foreign key for the same reason.
    """

    __tablename__ = "actions"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, doc="in the order of arrival")
    turn_id: Mapped[str] = _id("the turn that proposed it")
    game_id: Mapped[str] = _id("the turn's game")
    villager_id: Mapped[str] = _id("the turn's villager")
    position: Mapped[int | None] = mapped_column(Integer, doc="0, 1, 2 … within the turn")
    tag: Mapped[str] = mapped_column(Text, doc="the inside of the action tag: give default:apple 2 sam")
    name: Mapped[str] = _id("the action's name: give")
    args: Mapped[list[Any] | None] = mapped_column(JSON, doc="its arguments, a list of texts")
    allowed: Mapped[bool | None] = mapped_column(Boolean, doc="policy's verdict")
    rule: Mapped[str | None] = mapped_column(Text, doc="the rule that decided; empty: none forbids")
    reason: Mapped[str | None] = mapped_column(Text, doc="policy's reason")
    outcome: Mapped[str | None] = mapped_column(String(16), doc="the game's word: done, refused or failed")
    outcome_reason: Mapped[str | None] = mapped_column(Text, doc="the game's reason")
    outcome_at: Mapped[float | None] = mapped_column(Float, doc="when the service heard of it")

    __table_args__ = (Index(None, "turn_id", "position"), Index(None, "name"))


class RatingRow(Base):
    """A player's rating of a turn; rating it again replaces the first."""

    __tablename__ = "ratings"

    turn_id: Mapped[str] = mapped_column(
        ID, ForeignKey("turns.turn_id"), primary_key=True, doc="the turn rated"
    )
    player: Mapped[str] = _id("who rates", primary_key=True)
    value: Mapped[int] = mapped_column(Integer, doc="1 up, -1 down")
    comment: Mapped[str] = mapped_column(Text, doc="the player's own words")
    at: Mapped[float] = mapped_column(Float, doc="when it was given")


class DemoRow(Base):
    """One step that a player demonstrated: material for behavioural cloning.

    Rows of the first schema, which had none of the columns after `received_at`, have an empty `demo_id`.
    """

    __tablename__ = "demos"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, doc="in the order of arrival")
    game_id: Mapped[str] = _id("the game")
    villager_id: Mapped[str] = _id("the villager it is shown to; empty: none")
    player: Mapped[str] = _id("who demonstrates")
    text: Mapped[str] = mapped_column(Text, doc="what was done, as the inside of a tag: place default:wood")
    at: Mapped[float] = mapped_column(Float, doc="on the game's clock")
    received_at: Mapped[float] = mapped_column(Float, doc="when the service heard of it")
    demo_id: Mapped[str] = _id("one recording", server_default="")
    name: Mapped[str] = _id("what the player calls it", server_default="")
    number: Mapped[int] = mapped_column(Integer, server_default="0", doc="0, 1, 2 … within the recording")
    place: Mapped[dict[str, Any] | None] = mapped_column(
        JSON, doc="{x, y, z}: where, from where the recording began; the node placed or dug, else the feet"
    )
    observation: Mapped[dict[str, Any] | None] = mapped_column(
        JSON, doc="what a villager in the player's place would have seen before it (`types.Observation`)"
    )

    __table_args__ = (
        Index(None, "game_id", "player"),
        Index(None, "demo_id", "number"),
        Index(None, "received_at"),
    )


class EngagementRow(Base):
    """A sign of how players take to the villagers.

    The mod tells, of the player whom a villager answered: `answered` (spoke to it again soon), `stayed`
    (near it for a while), `followed` (walked along with it), `traded` (gave it something or got something),
    `left` (went away at once, without a word) and `came_back` (after a longer time).
    """

    __tablename__ = "engagement"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, doc="in the order of arrival")
    game_id: Mapped[str] = _id("the game")
    villager_id: Mapped[str] = _id("the villager concerned; empty: none")
    player: Mapped[str] = _id("the player concerned; empty: none")
    kind: Mapped[str] = mapped_column(String(32), doc="what happened, in the game's word")
    text: Mapped[str] = mapped_column(Text, doc="details: seconds since it spoke, what was given")
    at: Mapped[float] = mapped_column(Float, doc="on the game's clock")
    received_at: Mapped[float] = mapped_column(Float, doc="when the service heard of it")
    turn_id: Mapped[str] = _id("the turn that it followed on; empty: none", server_default="")

    __table_args__ = (
        Index(None, "game_id", "kind"),
        Index(None, "game_id", "player"),
        Index(None, "turn_id"),
        Index(None, "received_at"),
    )


class ForgottenRow(Base):
    """A player who wishes to be forgotten: no dataset learns from them again.

    Only this is kept of them, so that rows collected earlier can be left out, too.
    """

    __tablename__ = "forgotten"

    who: Mapped[str] = _id("sha256 of the game's id, a line break and the player's name", primary_key=True)
    at: Mapped[float] = mapped_column(Float, doc="when they said so")


class FlagRow(Base):
    """Something that a person should look at, and what they decided."""

    __tablename__ = "flags"

    id: Mapped[str] = _id("of what is flagged: the same finding is the same flag", primary_key=True)
    game_id: Mapped[str] = _id("the game; empty: asked for directly")
    villager_id: Mapped[str] = _id("the villager")
    turn_id: Mapped[str] = _id("the turn; empty: none")
    rule: Mapped[str] = mapped_column(Text, doc="the rule that was broken")
    reason: Mapped[str] = mapped_column(Text, doc="how")
    at: Mapped[float] = mapped_column(Float, doc="when")
    evidence: Mapped[list[Any]] = mapped_column(JSON, doc="what was said and done, a line each")
    state: Mapped[str] = mapped_column(String(16), doc="open, approved (right after all) or rejected")
    note: Mapped[str] = mapped_column(Text, doc="the reviewer's own words")
    who: Mapped[str] = _id("who decided; empty: nobody yet")
    decided_at: Mapped[float] = mapped_column(Float, doc="when; 0: not yet")

    __table_args__ = (Index(None, "state", "at"), Index(None, "turn_id"))


class AdapterRow(Base):
    """An adapter that has served, so that a turn's `adapter_hash` can be read."""

    __tablename__ = "adapter_versions"

    content_hash: Mapped[str] = mapped_column(HASH, primary_key=True, doc="sha256 of config and weights")
    name: Mapped[str] = _id("the persona it served, or the name it was loaded under", primary_key=True)
    base_hash: Mapped[str] = mapped_column(HASH, doc="of the base model it belongs to")
    rank: Mapped[int] = mapped_column(Integer, doc="of its matrices")
    size_bytes: Mapped[int] = mapped_column(BigInteger, doc="in 16 bit")
    loaded_at: Mapped[float] = mapped_column(Float, doc="when it was loaded last")


class AdapterChangeRow(Base):
    """Something that was decided about a version of an adapter: by the gate, by its trial, by a person."""

    __tablename__ = "adapter_changes"

    id: Mapped[str] = _id("its own random name", primary_key=True)
    name: Mapped[str] = _id("the persona")
    kind: Mapped[str] = mapped_column(
        String(16), doc="passed or refused (gate); tried, confirmed or rolled_back"
    )
    version: Mapped[str] = mapped_column(HASH, doc="content hash of the version it is about")
    instead_of: Mapped[str] = mapped_column(
        HASH, doc="content hash of what served, or serves again; empty: what is shipped"
    )
    reasons: Mapped[list[Any]] = mapped_column(JSON, doc="why, in sentences")
    at: Mapped[float] = mapped_column(Float, doc="when")

    __table_args__ = (Index(None, "name", "at"),)


class MemoryRow(Base):
    """What a villager remembers of a player."""

    __tablename__ = "memories"

    game_id: Mapped[str] = _id("the game", primary_key=True)
    villager_id: Mapped[str] = _id("who remembers", primary_key=True)
    player: Mapped[str] = _id("who is remembered", primary_key=True)
    facts: Mapped[list[Any]] = mapped_column(JSON, doc="short sentences, oldest first")
    met_count: Mapped[int] = mapped_column(Integer, doc="how many times they met")
    last_seen: Mapped[float] = mapped_column(Float, doc="when they met last")
