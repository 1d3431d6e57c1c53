"""Parts of a reply -> verdicts -> decisions for the game, and the turn's record."""

import time
from math import ceil

from townsfolk.agents import Session, View, echoes, recites
from townsfolk.agents.prompt import opening
from townsfolk.engine import Finish
from townsfolk.interpreter import Part
from townsfolk.policy.check import Policy
from townsfolk.serving.decode import Draft
from townsfolk.serving.games import Cause, GameState, Wanted
from townsfolk.serving.judge import Judge
from townsfolk.types import Action, Decision, Persona, Refused, Turn


class Delivery:
    """Judges the parts of one turn and hands them to the game."""

    def __init__(
        self,
        policy: Policy,
        state: GameState,
        session: Session,
        persona: Persona,
        view: View,
        cause: Cause,
        turn_id: str,
    ) -> None:
        self._state, self._session = state, session
        self._persona, self._view, self._occasion = persona, view, cause.occasion
        self._wanted = Wanted(cause.deadline)
        self.turn_id = turn_id
        self.sent = 0
        self._spoken = self._frozen = False
        self._policy = policy
        self._secret = opening(persona)[0][1]
        self._judge = Judge(policy, persona, state.specs, session.key, view.me.position)

    def deliver(self, part: Part) -> None:
        """Send what policy allows of `part`; of a villager that broke a rule nothing more."""
        if self._frozen:
            return
        allowed = tuple(action for action in part.actions if self._judge.may(action))
        speech = part.speech if self._worth_saying(part.speech) else ""
        self._freeze()
        if allowed or speech:
            self._send(speech, allowed, done=not self._occasion.speech)  # a decision is one tag

    def close(self, finish: Finish) -> None:
        """Tell the game that nothing more comes of this turn; who was spoken to is never just silent.

        A turn that is late with nothing sent is refused as a whole, by who runs it.
        """
        if finish == "late" and not self.sent:
            return
        at_a_loss = not self._spoken and not self._frozen and finish in ("stop", "length")
        silent = self._occasion.speech and at_a_loss
        if self._occasion.speech or not self.sent:
            self._send(self._persona.at_a_loss if silent else "", (), done=True)

    def record(self, context: str, draft: Draft, adapter: str | None, started: float) -> Turn:
        """The turn as it is stored."""
        return self._judge.record(
            self.turn_id,
            context,
            draft,
            adapter,
            started,
            game_id=self._session.game_id,
            villager_id=self._session.villager_id,
            player=self._occasion.player,
        )

    def _freeze(self) -> None:
        """Tell the game at once where policy has frozen the villager for this part."""
        left = self._policy.frozen_for(self._session.key, time.monotonic())
        self._frozen = left > 0
        if self._frozen:
            self._state.put(frozen(self._session.villager_id, left))

    def _worth_saying(self, text: str) -> bool:
        told_again = echoes(text, self._occasion.text) or recites(text, self._secret)
        return bool(text) and not told_again and self._judge.may_say(text)

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
        self._state.put(decision, self._wanted)


def frozen(villager_id: str, seconds: float) -> Refused:
    """What the game is told of a villager that broke a rule: it stops what it does."""
    return Refused(
        villager_id=villager_id,
        code="frozen",
        reason=f"it broke a rule: wait {seconds:.1f} s",
        retry_after_ms=ceil(seconds * 1000),
    )
