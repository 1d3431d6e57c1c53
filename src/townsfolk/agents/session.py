"""What one villager has seen, said and kept in mind, from one observation to the next."""

import math
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from townsfolk.agents.words import call
from townsfolk.errors import InvalidRequest
from townsfolk.types import Event, EventKind, Memory, Observation, SelfState, Surroundings
from townsfolk.types.stand_ins import StandIns

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
    """

    text: str
    reply: str
    confidant: str = ""


class Session:
    """One villager of one game.

    Attributes:
        windows: the last turns, oldest first; a ring buffer.
        first_window: how many of `windows` the prompt leaves out; moved on by PromptBuilder alone.
        memories: player -> what is remembered of them.
        placed: what players built near it lately.
        did: the action that it ended well last, as a tag has it.
        restored: whether `windows` and `memories` go on from what was stored.
        names: the stand-ins of players in what the villager's model is told; all else here has their own.
    """

    def __init__(self, game_id: str, villager_id: str, size: int, plain: Collection[str] = ()) -> None:
        """Args: size: turns kept. plain: words in which no player is meant, though one is called so."""
        self.game_id, self.villager_id = game_id, villager_id
        self.names = StandIns(villager_id, plain=plain)
        self.name = self.persona = ""
        self.view: View | None = None
        self.windows: deque[Window] = deque(maxlen=size)
        self._size = size
        self.first_window = 0
        self.memories: dict[str, Memory] = {}
        self.placed: deque[Event] = deque(maxlen=MAX_PLACED)
        self.did = ""
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
        self.windows.extend(self._disguised(list(windows)))
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

    def forget(self, player: str) -> None:
        """Keep nothing in mind of `player`, nor any turn that names them."""
        self.memories.pop(player, None)
        self.placed = deque((it for it in self.placed if it.who != player), maxlen=self.placed.maxlen)
        self.did = "" if player in self.did else self.did
        called = (player, self.names.of(player))
        kept = (it for it in self.windows if not any(name in f"{it.text} {it.reply}" for name in called))
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

    def _disguised(self, windows: Sequence[Window]) -> list[Window]:
        whole = " ".join(f"{window.text} {window.reply}" for window in windows)
        for player in {*self.memories, *(window.confidant for window in windows)}:
            if player in whole:
                self.names.of(player)
        hidden = self.names.hidden
        return [replace(it, text=hidden(it.text), reply=hidden(it.reply)) for it in windows]

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
