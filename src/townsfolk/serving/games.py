"""One connected game: its registry, its villagers' sessions, and the decisions that wait for it."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from opentelemetry.trace import Span

from townsfolk.agents import Occasion, RequestMatcher, Session
from townsfolk.serving.tracing import TRACER
from townsfolk.types import ActionSpec, Decision, Game, Observation, Refused, StepReply

MAX_DECISIONS = 64
MAX_READY = 1_024
MAX_SESSIONS = 512


@dataclass(frozen=True)
class Cause:
    """Why a turn is taken.

    Attributes:
        deadline: on the monotonic clock, counted from the observation on: who waits for the turn before
            does not act on an old view in the end.
    """

    observation: Observation
    occasion: Occasion
    deadline: float


@dataclass
class Wanted:
    """How long the game wants what comes of one turn.

    Attributes:
        until: on the monotonic clock; what the game has not taken by then was decided on too old a view.
        begun: it has taken the first part: the rest follows however late, so that no reply is torn.
    """

    until: float = inf
    begun: bool = False

    def takes(self, now: float) -> bool:
        """Whether the next part goes to the game."""
        self.begun |= now <= self.until
        return self.begun


class GameState:
    """What the service knows of a game, from its greeting until it greets again.

    Attributes:
        sessions: villager id -> session, the one used last at the end.
        turns: villager id -> the turn under way.
        deciding: villagers whose turn is a decision: so short that a step's answer waits for all of them.
        next_up: villager id -> what came meanwhile; only the latest is kept.
        under_way: turn id -> its task; players may rate what they hear before the turn is over.
        heard_at: when it stepped last.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.specs: dict[str, ActionSpec] = {spec.name: spec for spec in game.actions}
        self.matcher = RequestMatcher(game.actions)
        self.sessions: dict[str, Session] = {}
        self.turns: dict[str, asyncio.Task[None]] = {}
        self.deciding: set[str] = set()
        self.next_up: dict[str, Cause] = {}
        self.under_way: dict[str, asyncio.Task[None]] = {}
        self.heard_at = time.monotonic()
        self._ready: deque[tuple[Decision | Refused, Wanted, Span]] = deque(maxlen=MAX_READY)
        self._news = asyncio.Event()

    def session(self, villager_id: str) -> Session | None:
        """The villager's session, if it has one; it counts as used now."""
        if session := self.sessions.pop(villager_id, None):
            self.sessions[villager_id] = session
        return session

    def admit(self, session: Session) -> Session:
        """Keep a new session, unless the villager has got one meanwhile.

        No game tells that a villager is gone for good: of too many, the one unused longest makes way. It
        comes back from the store if its villager does.
        """
        idle = (villager for villager in self.sessions if villager not in self.turns)
        if len(self.sessions) >= MAX_SESSIONS and (unused := next(idle, None)):
            del self.sessions[unused]
        return self.sessions.setdefault(session.villager_id, session)

    def put(self, item: Decision | Refused, wanted: Wanted | None = None) -> None:
        """Queue a decision for the game's next step; wakes a step that waits.

        Args:
            wanted: the turn's, shared by all its parts; None: for ever.
        """
        self._ready.append((item, wanted or Wanted(), TRACER.start_span("delivery")))
        self._news.set()

    def end(self, villager_id: str, turn_id: str) -> Cause | None:
        """The villager's turn is over; gives what came meanwhile."""
        del self.turns[villager_id], self.under_way[turn_id]
        self.deciding.discard(villager_id)
        self._news.set()
        return self.next_up.pop(villager_id, None)

    async def take(self, max_wait_s: float) -> StepReply:
        """What is ready, after at most `max_wait_s`: sooner where there is something and nobody decides.

        A game steps every 90 ms: the first of ten decisions, given at once, would cost the others that.
        """
        if max_wait_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(max_wait_s):
                    while self.deciding or (self.turns and not self._ready):
                        self._news.clear()
                        await self._news.wait()
        return self.ready()

    def ready(self) -> StepReply:
        """What is ready now, in the order in which claims are settled: who saw it first, then by id."""
        items = list(self._taken(time.monotonic()))
        decisions = [item for item in items if isinstance(item, Decision)]
        return StepReply(
            decisions=tuple(sorted(decisions, key=lambda told: (told.snapshot_time, told.villager_id))),
            refused=tuple(item for item in items if isinstance(item, Refused)),
            pending=len(self.turns) + len(self._ready),
        )

    def _taken(self, now: float) -> Iterator[Decision | Refused]:
        """What waited too long is left out; of a turn that goes so, the game is told once."""
        for _ in range(min(len(self._ready), MAX_DECISIONS)):
            item, wanted, delivery = self._ready.popleft()
            delivery.end()
            if wanted.takes(now):
                yield item
            elif isinstance(item, Decision) and item.part == 0:
                yield Refused(
                    villager_id=item.villager_id,
                    code="stale",
                    reason=f"it waited {now - wanted.until:.1f} s too long for the game to ask: step oftener",
                )

    def stop(self) -> None:
        """Drop all turns, under way and next up: the game has gone or greets anew."""
        self.next_up.clear()
        for task in self.turns.values():
            task.cancel()
