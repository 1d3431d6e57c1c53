"""The service behind the wire: games come in, turns go through the stages, decisions go out."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from townsfolk import __version__
from townsfolk.agents import Session, Window, occasion_in
from townsfolk.errors import Busy, InvalidRequest, NotConnected, StoreError, TownsfolkError
from townsfolk.gateway.service import ChatMessage
from townsfolk.metrics import Reading
from townsfolk.policy.check import Proposal
from townsfolk.serving.delivery import frozen
from townsfolk.serving.direct import DirectTurns
from townsfolk.serving.games import Cause, GameState
from townsfolk.serving.rooms import Rooms
from townsfolk.serving.tracing import TRACER
from townsfolk.serving.turns import sequences_of
from townsfolk.serving.violations import freeze_as_told
from townsfolk.types import (
    AdapterList,
    AdapterVersion,
    CheckRequest,
    Connected,
    DemoBatch,
    ForgetPlayer,
    Game,
    InferChunk,
    InferReply,
    InferRequest,
    LoadAdapter,
    LogBatch,
    Observation,
    Outcome,
    Persona,
    PersonaActions,
    PromoteAdapter,
    Rating,
    Refused,
    RollbackAdapter,
    Standing,
    StepReply,
    StepRequest,
    UnloadAdapter,
    Verdict,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_GAMES = 64
WATCH_S = 5
PAST_WAIT_S = 2.0
"""What the store has of new villagers may take so long: a game gives up a step after three seconds."""


class Village:
    """Implements `gateway.service.Service` over the stages in `Rooms`."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._direct = DirectTurns(rooms)
        self._games: dict[str, GameState] = {}
        rooms.metrics.read("village", self._readings)

    @property
    def games(self) -> Mapping[str, GameState]:
        """The connected games, the one that greeted last at the end."""
        return self._games

    # --- games ----------------------------------------------------------------------------------

    async def connect(self, game: Game) -> Connected:
        """Take a game's greeting. A second one replaces its registry and drops its turns under way."""
        known = set(self._rooms.library.personas)
        if old := self._games.pop(game.game_id, None):
            old.stop()
        if len(self._games) >= MAX_GAMES:
            self._let_go(next(iter(self._games)))
        self._games[game.game_id] = GameState(game)
        self._rooms.store.record_game(game)
        return Connected(
            service_version=__version__,
            personas=tuple(sorted(known)),
            unknown_personas=tuple(sorted(set(game.personas) - known)),
            default_persona=self._rooms.settings.default_persona,
            allowed=tuple(
                PersonaActions(persona=name, actions=persona.actions)
                for name, persona in self._rooms.library.personas.items()
            ),
        )

    async def step(self, request: StepRequest) -> StepReply:
        """Start turns for what was observed, then give what is ready within `max_wait_ms`."""
        state = self._games.get(request.game_id)
        if state is None:
            raise NotConnected(
                f"game {request.game_id!r} is not connected, or the service was restarted: connect"
            )
        state.heard_at = time.monotonic()
        self._take_outcomes(state, request.outcomes)
        new = await self._new_sessions(state, request.observations)
        for observation in request.observations:
            try:
                await self._observe(state, observation, new)
            except InvalidRequest as error:
                state.put(Refused(villager_id=observation.villager_id, code="invalid", reason=str(error)))
        reply = await state.take(request.max_wait_ms / 1000)
        for refused in reply.refused:
            self._rooms.metrics.fallbacks.labels(refused.code).inc()
        return reply

    def forget_silent(self, silent_since: float) -> list[str]:
        """Let go of games that have not stepped since that moment of the monotonic clock; gives their ids.

        One that was only away is told to connect again when it steps.
        """
        gone = [name for name, state in self._games.items() if state.heard_at < silent_since]
        for name in gone:
            self._let_go(name)
        return gone

    async def watch(self) -> None:
        """Look for games that have gone, until cancelled."""
        timeout = self._rooms.settings.agents.game_timeout_s
        while True:
            await asyncio.sleep(min(timeout / 5, WATCH_S))
            for name in self.forget_silent(time.monotonic() - timeout):
                log.warning("game %s has not stepped for %g s: it is let go", name, timeout)

    def _let_go(self, game_id: str) -> None:
        """Drop a game's turns, and what the KV cache has of its villagers."""
        state = self._games.pop(game_id)
        state.stop()
        for session in state.sessions.values():
            for sequence in sequences_of(session.key):
                self._rooms.engine.drop(sequence)

    async def _observe(self, state: GameState, observation: Observation, new: dict[str, Session]) -> None:
        villager = observation.villager_id
        session = state.session(villager) or state.admit(
            new.get(villager)
            or await self._open_session(state, observation)  # it has just made way for others
        )
        session.observe(observation)
        events = session.news(observation.events)
        for memory in session.remember(events):
            if session.restored:  # else it would replace what could not be read
                self._rooms.store.remember(memory)
        occasion = occasion_in(events)
        if occasion:
            self._begin(state, session, self._rooms.turns.cause(observation, occasion))

    async def _new_sessions(self, state: GameState, seen: Sequence[Observation]) -> dict[str, Session]:
        """Of those seen that have none; all at once, so that many wait no longer than one."""
        new = {it.villager_id: it for it in seen if it.villager_id not in state.sessions}
        opened = await asyncio.gather(*(self._open_session(state, it) for it in new.values()))
        return dict(zip(new, opened, strict=True))

    async def _open_session(self, state: GameState, seen: Observation) -> Session:
        """A session with what the store kept of the villager; an empty one while the database is away."""
        windows = self._rooms.settings.agents.context_windows
        session = Session(state.game.game_id, seen.villager_id, windows)
        session.name = seen.name  # whom no player's stand-in must be taken for
        where = (session.game_id, session.villager_id)
        try:
            async with asyncio.timeout(PAST_WAIT_S):
                turns = await asyncio.to_thread(self._rooms.store.recent_turns, *where, windows)
                memories = await asyncio.to_thread(self._rooms.store.memories_of, *where)
            # Whether it was said in private is not stored, so it counts as such.
            windows_of = [Window(turn.context, turn.reply, turn.player) for turn in turns if turn.reply]
            session.restore(windows_of, memories)
        except (StoreError, TimeoutError) as error:
            told = str(error) or f"the database did not answer within {PAST_WAIT_S:g} s"
            log.warning("%s goes on without its memories, and stores no new ones: %s", session.key, told)
        return session

    def _begin(self, state: GameState, session: Session, cause: Cause) -> None:
        """Start the turn, or keep its occasion until the present turn is over: speech before the rest."""
        villager, now = session.villager_id, time.monotonic()
        if left := self._rooms.policy.frozen_for(session.key, now):
            state.put(frozen(villager, left))
        elif villager not in state.turns:
            turn_id = uuid.uuid4().hex
            turn = self._turn(state, session, cause, turn_id)
            state.turns[villager] = state.under_way[turn_id] = asyncio.create_task(turn)
            if not cause.occasion.speech:
                state.deciding.add(villager)
        elif cause.occasion.speech or villager not in state.next_up:
            state.next_up[villager] = cause

    async def _turn(self, state: GameState, session: Session, cause: Cause, turn_id: str) -> None:
        """Run one turn and clear up after it; its errors go to the game as a refusal, never further."""
        villager = session.villager_id
        try:
            told = {"villager": session.key, "kind": cause.occasion.kind.value, "turn_id": turn_id}
            with TRACER.start_as_current_span("turn", attributes=told):
                await self._run(state, session, cause, turn_id)
        except Busy as error:
            session.unheard(cause.observation.events)
            refusal = Refused(
                villager_id=villager, code="busy", reason=str(error), retry_after_ms=error.retry_after_ms
            )
            state.put(refusal)
        except TownsfolkError as error:
            log.warning("turn of %s failed: %s", session.key, error)
            state.put(Refused(villager_id=villager, code="invalid", reason=str(error)))
        finally:
            if waiting := state.end(villager, turn_id):
                self._begin(state, session, waiting)

    async def _run(self, state: GameState, session: Session, cause: Cause, turn_id: str) -> None:
        view = session.view or session.observe(cause.observation)
        metrics, persona = self._rooms.metrics, self._persona(cause.observation.persona)
        labels, started = (persona.name, cause.occasion.kind.value), time.monotonic()

        def first_part() -> None:
            metrics.first_part.labels(*labels).observe(time.monotonic() - started)

        turn = await self._rooms.turns.run(state, session, persona, view, cause, turn_id, first_part)
        metrics.latency.labels(*labels).observe(time.monotonic() - started)
        if turn.finish == "late":
            late = Refused(villager_id=session.villager_id, code="late", reason="its deadline passed")
            state.put(late)
        self._rooms.keep(turn)

    def _readings(self) -> Iterator[Reading]:
        games = list(self._games.values())
        yield "townsfolk_games", len(games), ()
        yield "townsfolk_sessions", sum(len(state.sessions) for state in games), ()
        yield "townsfolk_turns_running", sum(len(state.turns) for state in games), ()

    def _take_outcomes(self, state: GameState, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        self._rooms.store.record_outcomes(state.game.game_id, outcomes)
        for outcome in outcomes:
            session = state.sessions.get(outcome.villager_id)
            persona = self._persona(session.persona).name if session else ""
            verdict = "game_refused" if outcome.verdict == "refused" else outcome.verdict
            name = outcome.action.partition(" ")[0]
            known = name if name in state.specs else "unknown"
            self._rooms.metrics.actions.labels(persona, known, verdict).inc()
            self._rooms.behaviour_log.told(state.game.game_id, persona, [outcome])
            freeze_as_told(self._rooms, state.game.game_id, outcome)

    def _persona(self, name: str) -> Persona:
        library = self._rooms.library
        return library.personas.get(name) or library.get(self._rooms.settings.default_persona)

    # --- turns asked for directly ---------------------------------------------------------------

    async def infer(self, request: InferRequest) -> InferReply:
        """One turn of a persona on a raw context. Raises UnknownName, Busy, DeadlineExceeded."""
        return await self._direct.infer(request, self.newest_game())

    def infer_stream(self, request: InferRequest) -> AsyncGenerator[InferChunk, None]:
        """As `infer`, piece by piece."""
        return self._direct.infer_stream(request, self.newest_game())

    def chat(
        self,
        persona: str,
        messages: Sequence[ChatMessage],
        max_tokens: int,
        temperature: float | None,
        deadline: float,
    ) -> AsyncGenerator[InferChunk, None]:
        """A persona's answer to a chat."""
        plain = [(message.role, message.content) for message in messages]
        return self._direct.chat(persona, plain, max_tokens, temperature, deadline, self.newest_game())

    def newest_game(self) -> GameState | None:
        """The game that greeted last: its registry is what a raw context is answered with."""
        return next(reversed(self._games.values()), None)

    # --- policy, adapters, feedback -------------------------------------------------------------

    async def check(self, request: CheckRequest) -> Verdict:
        """Judge an action by the registry of the game named, else of the one that greeted last."""
        persona = self._rooms.library.get(request.persona)
        state = self._games.get(request.game_id) or self.newest_game()
        spec = state.specs.get(request.action.name) if state else None
        villager = f"{request.game_id}/{request.villager_id}"
        proposal = Proposal(persona.name, persona.actions, request.action, spec, villager, request.at)
        return self._rooms.policy.check(proposal, time.monotonic(), counted=False)

    async def adapters(self) -> AdapterList:
        """Adapters that personas are served with, and why others are not."""
        return await asyncio.to_thread(self._rooms.shelf.listing)

    async def load_adapter(self, request: LoadAdapter) -> AdapterVersion:
        """Read, check and put an adapter live. Raises UnknownName, AdapterError."""
        return await self._swap(request.name, self._rooms.shelf.load, request.name, Path(request.path))

    async def promote_adapter(self, request: PromoteAdapter) -> Standing:
        """Serve a persona with a version of the registry. Raises UnknownName, AdapterError."""
        return await self._swap(request.name, self._rooms.promotions.promote, request.name, request.version)

    async def rollback_adapter(self, request: RollbackAdapter) -> Standing:
        """Serve a persona with the version before. Raises UnknownName, InvalidRequest."""
        return await self._swap(request.name, self._rooms.promotions.rollback, request.name, request.reason)

    async def unload_adapter(self, request: UnloadAdapter) -> None:
        """Serve a persona by the base model. Raises UnknownName."""
        await self._swap(request.name, self._rooms.shelf.unload, request.name)

    async def _swap(self, persona: str, change: Callable[[*Ts], T], *told: *Ts) -> T:
        """Change what a persona is served with, and prefill its opening anew."""
        changed = await asyncio.to_thread(change, *told)
        self._rooms.turns.warm(self._rooms.library.get(persona))
        return changed

    async def rate(self, rating: Rating) -> None:
        """Store a thumb, once its turn is; returns when it is durable. Raises UnknownName, Forbidden."""
        under_way = [state.under_way.get(rating.turn_id) for state in self._games.values()]
        if turns := [task for task in under_way if task]:
            await asyncio.wait(turns)
        await asyncio.to_thread(self._rooms.store.rate, rating)
        self._rooms.metrics.ratings.labels("up" if rating.value > 0 else "down").inc()

    async def log(self, batch: LogBatch) -> None:
        """Store signs of engagement; returns when they are durable."""
        await asyncio.to_thread(self._rooms.store.log, *batch.entries)

    async def demonstrate(self, batch: DemoBatch) -> None:
        """Store steps of a demonstration; returns when they are durable."""
        await asyncio.to_thread(self._rooms.store.demonstrate, batch)

    async def forget(self, player: ForgetPlayer) -> None:
        """Forget a player, once the turns under way are stored; returns when that is durable."""
        state = self._games.get(player.game_id)
        if state and state.under_way:
            await asyncio.wait(state.under_way.values())
        for session in state.sessions.values() if state else ():
            session.forget(player.player)
        await asyncio.to_thread(self._rooms.forget, player)

    def personas(self) -> Sequence[str]:
        """Names of all personas."""
        return sorted(self._rooms.library.personas)

    def readiness(self) -> tuple[bool, str]:
        """Whether turns can be served."""
        return self._rooms.readiness()

    async def close(self) -> None:
        """Drop the turns under way."""
        tasks = [task for state in self._games.values() for task in state.turns.values()]
        for state in self._games.values():
            state.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
