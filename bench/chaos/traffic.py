"""A game that plays on whatever breaks: talks, rates what it hears, tells what happened; and its books.

What is not acknowledged is told again, as the mod does. What was, is in the books: in the end all of it has
to be in the database, once. Refuses to know what is broken meanwhile.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from sqlalchemy import text

from townsfolk.config import StoreSettings
from townsfolk.feedback.database import Database
from townsfolk.feedback.store import Store
from townsfolk.types import (
    Decision,
    Game,
    LogBatch,
    LogEntry,
    Message,
    Observation,
    Rating,
    StepReply,
    StepRequest,
)
from world import ACTIONS, observation, said

LATE_S = 3.0
"""So long a game waits for an answer."""
GIVE_UP_S = 30.0
PAUSE_S = 0.05
APPLY_S = 60.0


@dataclass
class Books:
    """What the service said it has taken."""

    turns: int = 0
    rated: set[str] = field(default_factory=set)
    logged: set[str] = field(default_factory=set)
    late: int = 0

    def lost(self, settings: StoreSettings) -> int:
        """Acknowledged rows that are not in the database, or are there twice; the spool is applied first."""
        store = Store.open(settings)
        try:
            store.drain(APPLY_S)
        finally:
            store.close()
        database = Database(settings.url)
        with database.transaction() as session:
            rated = Counter(session.scalars(text("SELECT turn_id FROM ratings")))
            turns = Counter(session.scalars(text("SELECT turn_id FROM turns")))
            logged = Counter(session.scalars(text("SELECT text FROM engagement")))
        database.close()
        kept = ((self.rated, rated), (self.rated, turns), (self.logged, logged))
        return sum(_missing_or_twice(told, rows) for told, rows in kept)


@dataclass(frozen=True)
class Mail:
    """What is told beside the steps."""

    message: Rating | LogBatch

    @property
    def path(self) -> str:
        return "/v1/ratings" if isinstance(self.message, Rating) else "/v1/log"

    def enter(self, books: Books) -> None:
        """It was acknowledged."""
        if isinstance(self.message, Rating):
            books.rated.add(self.message.turn_id)
        else:
            books.logged.update(entry.text for entry in self.message.entries)


class Traffic:
    """One game with one villager in a thread of its own, until the end of `playing`."""

    _numbers = itertools.count()

    def __init__(self, url: str) -> None:
        self.books = Books()
        json = {"Content-Type": "application/json"}
        self._http = httpx.Client(base_url=url, timeout=GIVE_UP_S, headers=json)
        self._game = Game(game_id=f"chaos{next(self._numbers)}", actions=ACTIONS)
        self._entries = itertools.count()
        self._mail: list[Mail] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    @contextmanager
    def playing(self) -> Iterator[Books]:
        """Play as long as the block; what is under way at its end is given up."""
        self._thread.start()
        try:
            yield self.books
        finally:
            self._over.set()
            self._thread.join()
            self._http.close()

    def _play(self) -> None:
        while not self._over.is_set():
            for decision in self._talk():
                self._mail.append(Mail(Rating(turn_id=decision.turn_id, player="sam", value=1)))
                self._mail.append(Mail(self._sign()))
            self._send_mail()

    def _talk(self) -> Sequence[Decision]:
        """The end of one turn, if it comes."""
        seen: tuple[Observation, ...] = (observation(said("follow me please")),)
        deadline = time.monotonic() + GIVE_UP_S
        while not self._over.is_set() and time.monotonic() < deadline:
            request = StepRequest(game_id=self._game.game_id, observations=seen, max_wait_ms=500)
            answer = self._post("/v1/step", request)
            if answer is None or not answer.is_success:
                self._settle(answer)
                continue
            seen = ()
            done = [told for told in StepReply.model_validate_json(answer.content).decisions if told.done]
            self.books.turns += len(done)
            if done:
                return done
        return ()

    def _settle(self, answer: httpx.Response | None) -> None:
        """A service that does not know the game is greeted; one that is away is left alone for a moment."""
        if answer is not None and answer.status_code == httpx.codes.CONFLICT:
            self._post("/v1/games", self._game)
        else:
            time.sleep(PAUSE_S)

    def _sign(self) -> LogBatch:
        number = next(self._entries)
        name = f"{self._game.game_id}/{number}"
        entry = LogEntry(game_id=self._game.game_id, kind="stayed", player="sam", text=name, at=number)
        return LogBatch(entries=(entry,))

    def _send_mail(self) -> None:
        """In order, up to the first that is not taken: it is told again after the next turn."""
        while self._mail and not self._over.is_set():
            answer = self._post(self._mail[0].path, self._mail[0].message)
            if answer is None or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return
            if answer.is_success:
                self._mail[0].enter(self.books)
            del self._mail[0]

    def _post(self, path: str, message: Message) -> httpx.Response | None:
        """None: no answer. An answer that came late is counted, one of a service that was stopped is not."""
        started = time.monotonic()
        try:
            answer = self._http.post(path, content=message.model_dump_json(exclude_defaults=True))
        except httpx.HTTPError:
            return None
        self.books.late += path == "/v1/step" and time.monotonic() - started > LATE_S
        return answer


def _missing_or_twice(told: set[str], rows: Counter[str]) -> int:
    return sum(rows[name] != 1 for name in told)
