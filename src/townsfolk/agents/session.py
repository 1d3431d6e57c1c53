"""What one villager has seen, said and kept in mind, from one observation to the next."""

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from townsfolk.agents.words import call
from townsfolk.errors import InvalidRequest
from townsfolk.types import Event, EventKind, Memory, Observation, SelfState, Surroundings
from townsfolk.types.stand_ins import StandIns, replaced

MAX_FACTS = 8
MAX_PLACED = 64
"""Events of building kept: a villager speaks of what was built lately."""
MAX_PLAYERS = 256
"""Players that a villager keeps in mind; the one not seen for longest is forgotten for a new one."""


@dataclass(frozen=True)
class View:
    """The world as a villager last saw it, made whole again from observations that carry changes only."""

    snapshot_time: float
    time_of_day: float
    me: SelfState
    around: Surroundings


@dataclass(frozen=True)
class Window:
    """One turn in the prompt: what the villager was told, and what it answered, with stand-ins for players.

    Attributes:
        confidant: the player whom it was said to alone; empty: all may hear of it.
        about: players who were there, or were spoken of.
    """

    text: str
    reply: str
    confidant: str = ""
    about: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Past:
    """What a villager has in mind when it deals with one player.

    Attributes:
        name: the villager's.
        kept: of the player, without their name.
        placed: what the player built near lately.
        did: the action that the villager ended well last, as a tag has it.
    """

    name: str
    kept: tuple[str, ...] = ()
    placed: tuple[Event, ...] = ()
    did: str = ""


class Session:
    """One villager of one game.

    Attributes:
        windows: the last turns, oldest first; a ring buffer.
        first_window: how many of `windows` the prompt leaves out; moved on by PromptBuilder alone.
        memories: player -> what is remembered of them.
        placed: what players built near it lately.
        did: the action that it ended well last, as a tag has it.
        said: its last reply.
        restored: whether `windows` and `memories` go on from what was stored.
        names: the stand-ins of players in what the villager's model is told, `windows` among it; all else
            here has their own names.
    """

    def __init__(self, game_id: str, villager_id: str, size: int) -> None:
        self.game_id, self.villager_id = game_id, villager_id
        self.names = StandIns()
        self.name = self.persona = ""
        self.view: View | None = None
        self.windows: deque[Window] = deque(maxlen=size)
        self._size = size
        self.first_window = 0
        self.memories: dict[str, Memory] = {}
        self.placed: deque[Event] = deque(maxlen=MAX_PLACED)
        self.did = self.said = ""
        self.restored = False
        self._last_event_at = -math.inf

    @property
    def key(self) -> str:
        """Unique over all games; what the KV cache and the policy know the villager by."""
        return f"{self.game_id}/{self.villager_id}"

    def restore(self, windows: Iterable[Window], memories: Iterable[Memory]) -> None:
        """Take back what an earlier run of the service stored, with players' own names."""
        by_age = sorted(memories, key=lambda memory: memory.last_seen)
        self.memories = {memory.player: memory for memory in by_age}
        for window in windows:
            self.windows.append(self._disguised(window))
            self.said = window.reply
        self.restored = True

    def observe(self, observation: Observation) -> View:
        """Merge what changed into the view.

        Raises:
            InvalidRequest: the first observation of a session leaves `me` or `around` out, or a newer one
                was seen before.
        """
        if self.view and observation.snapshot_time < self.view.snapshot_time:
            raise InvalidRequest(
                f"snapshot {observation.snapshot_time} of villager {self.villager_id!r} is older than "
                f"{self.view.snapshot_time}, which was seen: send observations in order"
            )
        me = observation.me or (self.view.me if self.view else None)
        around = observation.around or (self.view.around if self.view else None)
        if me is None or around is None:
            raise InvalidRequest(
                f"villager {self.villager_id!r} is new to the service: send `me` and `around` whole first"
            )
        self.name, self.persona = observation.name, observation.persona
        self.view = View(observation.snapshot_time, observation.time_of_day, me, around)
        return self.view

    def news(self, events: Sequence[Event]) -> tuple[Event, ...]:
        """Those of `events` that are new: a game that had no answer in time sends them again."""
        fresh = tuple(event for event in events if event.at > self._last_event_at)
        self._last_event_at = max((event.at for event in fresh), default=self._last_event_at)
        return fresh

    def unheard(self, events: Iterable[Event]) -> None:
        """Take `events` for new when they are sent again: there was no room for their turn."""
        before = (math.nextafter(event.at, -math.inf) for event in events)
        self._last_event_at = min(self._last_event_at, *before)

    def remember(self, events: Iterable[Event]) -> list[Memory]:
        """Keep in mind what players did, and what it did itself; gives the memories that changed."""
        changed = {}
        for event in events:
            if event.kind is EventKind.PLACED:
                self.placed.append(event)
            if event.kind is EventKind.ARRIVED:
                self.did = event.text
            fact = _fact(event)
            if event.who and (fact or event.kind is EventKind.JOINED):
                grown = self._grown(event, fact)
                self.memories.pop(event.who, None)  # to the end: the first is the one not seen for longest
                changed[event.who] = self.memories[event.who] = grown
        while len(self.memories) > MAX_PLAYERS:
            del self.memories[next(iter(self.memories))]
        return list(changed.values())

    def past(self, player: str) -> Past:
        """What it has in mind when it deals with `player`; "": with nobody."""
        memory = self.memories.get(player)
        kept = tuple(fact for fact in memory.facts if not fact.startswith("said")) if memory else ()
        return Past(self.name, kept, tuple(it for it in self.placed if it.who == player), self.did)

    def forget(self, player: str) -> None:
        """Keep nothing in mind of `player`, nor any turn that names them."""
        self.memories.pop(player, None)
        self.placed = deque((it for it in self.placed if it.who != player), maxlen=self.placed.maxlen)
        self.did, self.said = ("" if player in text else text for text in (self.did, self.said))
        kept = (it for it in self.windows if player not in it.about)
        self.windows, self.first_window = deque(kept, maxlen=self._size), 0
        self.names.forget(player)

    def add_window(self, window: Window, shown: int) -> None:
        """Append a turn; the oldest fall out of a full ring.

        Args:
            shown: earlier turns that the persona's prompts have: more are not kept, but for the last.
        """
        kept = min(self._size, max(1, shown))
        while len(self.windows) >= kept:
            self.windows.popleft()
            self.first_window = max(0, self.first_window - 1)
        self.windows.append(window)

    def _disguised(self, window: Window) -> Window:
        """A stored turn. It tells alone whom it was with, so all who are remembered are looked for."""
        whole = f"{window.text} {window.reply}".casefold()
        about = [it for it in (*self.memories, window.confidant) if it and it.casefold() in whole]
        names = self.names.given(about, {self.name.casefold()})
        text, reply = replaced(window.text, names), replaced(window.reply, names)
        return replace(window, text=text, reply=reply, about=frozenset(about))

    def _grown(self, event: Event, fact: str) -> Memory:
        old = self.memories.get(event.who) or Memory(
            game_id=self.game_id, villager_id=self.villager_id, player=event.who
        )
        facts = [known for known in old.facts if known != fact] + ([fact] if fact else [])
        met = old.met_count + (event.kind is EventKind.JOINED or old.met_count == 0)
        return old.model_copy(
            update={"facts": tuple(facts[-MAX_FACTS:]), "met_count": met, "last_seen": time.time()}
        )


def _fact(event: Event) -> str:
    """What is worth remembering of an event, as the prompt will say it of the player."""
    if event.kind is EventKind.GIFT:
        return f"gave you {event.count or 1} {call(event.name)}"
    if event.kind is EventKind.PUNCHED:
        return "hit you"
    if event.kind is EventKind.SPOKEN_TO and event.text:
        return f'said "{event.text[:80]}"'
    return ""
