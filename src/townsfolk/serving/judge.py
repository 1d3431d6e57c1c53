"""One reply before policy: what of it may be done and said, and the turn's record with every verdict."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from townsfolk.engine import Timings
from townsfolk.policy.check import Policy, Proposal
from townsfolk.serving.decode import Draft
from townsfolk.types import MAX_TEXT, Action, ActionSpec, Persona, Position, Turn, Verdict


@dataclass
class Judge:
    """Asks policy about the parts of one reply and keeps what it said.

    Attributes:
        specs: the registry that the actions are of, by name.
        villager: whom limits and freeze are counted for; empty: nobody, and nothing is counted.
        at: where it stands.
    """

    policy: Policy
    persona: Persona
    specs: Mapping[str, ActionSpec]
    villager: str = ""
    at: Position | None = None
    actions: list[Action] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def may(self, action: Action) -> bool:
        """May it be done? Noted either way."""
        spec = self.specs.get(action.name)
        proposal = Proposal(self.persona.name, self.persona.actions, action, spec, self.villager, self.at)
        verdict = self.policy.check(proposal, time.monotonic(), counted=bool(self.villager))
        return self._note(action, verdict)

    def may_say(self, text: str) -> bool:
        """May it be said? Noted where not."""
        verdict = self.policy.check_speech(text)
        return verdict.allowed or self._note(Action(name="say", args=(text[:MAX_TEXT],)), verdict)

    def record(
        self,
        turn_id: str,
        context: str,
        draft: Draft,
        adapter: str | None,
        started: float,
        *,
        game_id: str = "",
        villager_id: str = "",
        player: str = "",
    ) -> Turn:
        """The turn as it is stored."""
        return Turn(
            turn_id=turn_id,
            game_id=game_id,
            villager_id=villager_id,
            persona=self.persona.name,
            adapter_hash=adapter or "",
            player=player,
            context=context,
            reply=draft.text,
            actions=tuple(self.actions),
            verdicts=tuple(self.verdicts),
            started_at=started,
            reply_tokens=draft.tokens,
            finish=draft.finish,
            areas=self.policy.areas_at(self.at),
            **asdict(draft.timings or Timings(0, 0, 0, 0, 0)),
        )

    def _note(self, action: Action, verdict: Verdict) -> bool:
        """Keep a verdict; a violation freezes at once."""
        if self.villager and self.policy.is_violation(verdict):
            self.policy.freeze(self.villager, verdict.reason, time.monotonic())
        self.actions.append(action)
        self.verdicts.append(verdict)
        return verdict.allowed
