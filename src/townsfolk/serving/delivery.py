"""Parts of a reply -> verdicts -> decisions for the game, and the turn's record."""

import time

from townsfolk.agents import Occasion, Session, View, echoes
from townsfolk.engine import Finish, Timings
from townsfolk.interpreter import Part
from townsfolk.policy.check import Policy
from townsfolk.serving.decode import Draft
from townsfolk.serving.games import GameState
from townsfolk.types import Action, Decision, Persona, Turn, Verdict


class Delivery:
    """Judges the parts of one turn and hands them to the game."""

    def __init__(
        self,
        policy: Policy,
        state: GameState,
        session: Session,
        persona: Persona,
        view: View,
        occasion: Occasion,
        turn_id: str,
    ) -> None:
        self._policy, self._state, self._session = policy, state, session
        self._persona, self._view, self._occasion = persona, view, occasion
        self.turn_id = turn_id
        self.sent = 0
        self._spoken = False
        self._actions: list[Action] = []
        self._verdicts: list[Verdict] = []

    def deliver(self, part: Part) -> None:
        """Send what policy allows of `part`."""
        allowed = tuple(action for action in part.actions if self._judge(action).allowed)
        speech = part.speech if self._worth_saying(part.speech) else ""
        if allowed or speech:
            self._send(speech, allowed, done=False)

    def close(self, finish: Finish) -> None:
        """Tell the game that nothing more comes of this turn; who was spoken to is never just silent."""
        silent = self._occasion.speech and not self._spoken and finish in ("stop", "length")
        self._send(self._persona.at_a_loss if silent else "", (), done=True)

    def record(self, context: str, draft: Draft, adapter: str, started: float) -> Turn:
        timings = draft.timings or Timings(0, 0, 0, 0, 0)
        return Turn(
            turn_id=self.turn_id,
            game_id=self._session.game_id,
            villager_id=self._session.villager_id,
            persona=self._persona.name,
            adapter_hash=adapter,
            player=self._occasion.player,
            context=context,
            reply=draft.text,
            actions=tuple(self._actions),
            verdicts=tuple(self._verdicts),
            started_at=started,
            queue_ms=timings.queue_ms,
            prefill_ms=timings.prefill_ms,
            decode_ms=timings.decode_ms,
            prompt_tokens=timings.prompt_tokens,
            cached_tokens=timings.cached_tokens,
            reply_tokens=draft.tokens,
            finish=draft.finish,
        )

    def _judge(self, action: Action) -> Verdict:
        spec = self._state.specs.get(action.name)
        verdict = self._policy.check(
            self._persona.name, self._persona.actions, action, spec, self._session.key, time.monotonic()
        )
        return self._note(action, verdict)

    def _worth_saying(self, text: str) -> bool:
        return bool(text) and not echoes(text, self._occasion.text) and self._judge_speech(text).allowed

    def _judge_speech(self, text: str) -> Verdict:
        verdict = self._policy.check_speech(text)
        return verdict if verdict.allowed else self._note(Action(name="say", args=(text,)), verdict)

    def _note(self, action: Action, verdict: Verdict) -> Verdict:
        self._actions.append(action)
        self._verdicts.append(verdict)
        return verdict

    def _send(self, speech: str, actions: tuple[Action, ...], *, done: bool) -> None:
        decision = Decision(
            villager_id=self._session.villager_id,
            turn_id=self.turn_id,
            part=self.sent,
            done=done,
            snapshot_time=self._view.snapshot_time,
            reply_to=self._occasion.player if self._occasion.speech else "",
            private=self._occasion.private,
            speech=speech,
            actions=actions,
        )
        self.sent += 1
        self._spoken |= bool(speech)
        self._state.put(decision)
