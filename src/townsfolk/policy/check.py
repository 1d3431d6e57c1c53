"""Policy: one verdict for each proposed action, and who is frozen.

Deterministic: the same calls give the same verdicts; the time is an argument, in seconds of any one
clock. Verdicts are decided by the first of these rules that forbids, and only an allowed action
counts against the limits:

    unknown_action, frozen, persona, arguments, <permissions of the rules file>, <its names>, text_length,
    <its texts>, hostile, <its limits>
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from townsfolk.config import PolicySettings
from townsfolk.policy.limits import Limits
from townsfolk.policy.rules import Rules
from townsfolk.types import Action, ActionSpec, ArgKind, ArgSpec, Offer, Position, Slot, Verdict

ALLOWED = Verdict(allowed=True)
NAMES = 4_096
"""Verdicts kept on actions with what they are done with: villagers see the same things again and again."""
CREATURES = (ArgKind.PLAYER, ArgKind.CREATURE, ArgKind.MOB)


@dataclass(frozen=True)
class Proposal:
    """What a villager wants to do.

    Attributes:
        allowed_actions: of the persona.
        spec: the action's entry in the game's registry; None: there is none.
        villager: whom limits and freeze are counted for, unique over all games; empty: nobody.
        at: where it stands; None: not known, so that all areas' rules hold.
    """

    persona: str
    allowed_actions: Collection[str]
    action: Action
    spec: ActionSpec | None
    villager: str = ""
    at: Position | None = None


class Policy:
    """The rules with their state: what each villager did lately, and until when it is frozen."""

    def __init__(self, settings: PolicySettings, rules: Rules) -> None:
        self._freeze_seconds = settings.freeze_seconds
        self._rules = rules
        self._freezing = {"hostile", *rules.freezing()}
        self._check_name = lru_cache(NAMES)(self._of_name)
        self._limits = Limits(rules.limits)
        self._frozen: dict[str, tuple[float, str]] = {}

    def check(self, proposal: Proposal, now: float, *, counted: bool = True) -> Verdict:
        """May it be done? `counted`: it is going to be, so it counts against the limits."""
        action, spec = proposal.action, proposal.spec
        if spec is None or spec.name != action.name:
            return _refuse(
                "unknown_action", f"the game has no action {action.name!r}; use one of its registry"
            )
        return (
            self._check_frozen(proposal.villager, now)
            or _check_persona(proposal)
            or _check_arguments(action, spec)
            or self._check_permissions(action.name, proposal.persona, proposal.at)
            or self._check_content(action, spec)
            or _first(_check_hostile(spec, kind, value) for kind, value in _typed(action, spec))
            or self._check_limits(proposal, now, counted)
            or ALLOWED
        )

    def open_to(self, offer: Offer, spec: ActionSpec, persona: str, at: Position) -> Offer | None:
        """What permissions, names and hostility leave of an offer, None: nothing.

        What is not offered is not proposed: no player can have a villager frozen by asking for it.
        """
        if self._check_permissions(offer.name, persona, at):
            return None
        pairs = zip(spec.args, offer.slots, strict=True)
        slots = tuple(self._left_open(slot, spec, arg.kind) for arg, slot in pairs)
        if any(slot.kind == "choice" and not slot.choices for slot in slots):
            return None
        return offer.model_copy(update={"slots": slots})

    def check_speech(self, text: str) -> Verdict:
        """May this be said? Speech is not counted against the limits.

        A line that begins like a command is left out, but is no violation, as it is in an action's text: else
        a player could have a villager frozen by making it repeat one.
        """
        if text.lstrip().startswith("/"):
            return _refuse("speech", f"{text[:40]!r} begins like a command; begin with a word")
        return self._check_text(text) or ALLOWED

    def areas_at(self, at: Position | None) -> str | None:
        """The areas that hold a place, as `Turn.areas` has them; None: it is not known."""
        areas = self._rules.areas_at(at)
        return None if areas is None else ",".join(areas)

    def recall(
        self, persona: str, action: str, villager: str, areas: str | None, at: float, times: int
    ) -> None:
        """Count what was allowed before the start.

        Args:
            areas: where it was, as `areas_at` told; None: limits of all areas count it.
            at: when, on the clock that `check` goes by.
        """
        where = None if areas is None else areas.split(",")
        self._limits.count(villager, self._limiting(action, persona, where), at, times)

    def freeze(self, villager: str, why: str, now: float, seconds: float | None = None) -> None:
        """Refuse what `villager` proposes for `seconds` (None: the setting's); never shortens a freeze."""
        until = now + (self._freeze_seconds if seconds is None else seconds)
        self._frozen = {key: entry for key, entry in self._frozen.items() if entry[0] > now}
        if until > self._frozen.get(villager, (now, ""))[0]:
            self._frozen[villager] = (until, why)

    def frozen_for(self, villager: str, now: float) -> float:
        """Seconds that `villager` is frozen for yet; 0: it is not."""
        return max(0.0, self._frozen.get(villager, (now, ""))[0] - now)

    def is_violation(self, verdict: Verdict) -> bool:
        """Whether to freeze the villager and flag its turn, rather than only refuse the action."""
        return not verdict.allowed and self.freezes(verdict.rule)

    def freezes(self, rule: str) -> bool:
        """Whether a villager that breaks the rule is frozen for it."""
        return rule in self._freezing

    def _check_frozen(self, villager: str, now: float) -> Verdict | None:
        left = self.frozen_for(villager, now)
        if not left:
            return None
        return _refuse("frozen", f"frozen for {left:.1f} s more ({self._frozen[villager][1]}); wait")

    def _left_open(self, slot: Slot, spec: ActionSpec, kind: ArgKind) -> Slot:
        left = (
            value
            for value in slot.choices
            if not (self._check_name(spec.name, value) or _check_hostile(spec, kind, value))
        )
        return slot.model_copy(update={"choices": tuple(left)})

    def _check_permissions(self, action: str, persona: str, at: Position | None) -> Verdict | None:
        areas = self._rules.areas_at(at)
        for rule, permission in self._rules.permissions.items():
            if permission.fits(persona, areas) and permission.forbids(action):
                return _refuse(rule, f"{action}: {permission.reason}")
        return None

    def _check_content(self, action: Action, spec: ActionSpec) -> Verdict | None:
        return _first(
            self._check_text(value) if kind is ArgKind.TEXT else self._check_name(action.name, value)
            for kind, value in _typed(action, spec)
        )

    def _of_name(self, action: str, name: str) -> Verdict | None:
        for rule, content in self._rules.names.items():
            if content.forbids(action, name):
                return _refuse(rule, f"{action} {name}: {content.reason}")
        return None

    def _check_text(self, text: str) -> Verdict | None:
        if len(text) > self._rules.max_text:
            return _refuse(
                "text_length", f"{len(text)} characters, at most {self._rules.max_text}; say it shorter"
            )
        for rule, content in self._rules.texts.items():
            if content.forbids(text):
                return _refuse(rule, f"{text[:40]!r}: {content.reason}")
        return None

    def _check_limits(self, proposal: Proposal, now: float, counted: bool) -> Verdict | None:
        areas = self._rules.areas_at(proposal.at)
        fitting = self._limiting(proposal.action.name, proposal.persona, areas)
        if reached := self._limits.refusal(proposal.villager, fitting, now):
            name, told = reached
            return _refuse(name, f"{proposal.action.name}: {self._rules.limits[name].reason}: {told}")
        if counted:
            self._limits.count(proposal.villager, fitting, now)
        return None

    def _limiting(self, action: str, persona: str, areas: Collection[str] | None) -> list[str]:
        return [
            name
            for name, limit in self._rules.limits.items()
            if limit.counts(action) and limit.fits(persona, areas)
        ]


def _check_persona(proposal: Proposal) -> Verdict | None:
    if proposal.action.name in proposal.allowed_actions:
        return None
    allowed = ", ".join(sorted(proposal.allowed_actions)) or "none"
    return _refuse("persona", f"a {proposal.persona} may not {proposal.action.name}; it may: {allowed}")


def _check_arguments(action: Action, spec: ActionSpec) -> Verdict | None:
    if len(action.args) != len(spec.args):
        return _refuse(
            "arguments", f"{action.name} takes {len(spec.args)} argument(s), got {len(action.args)}"
        )
    for arg, value in zip(spec.args, action.args, strict=True):
        if fault := _fault(arg, value):
            return _refuse("arguments", f"{action.name}: {arg.name} {value[:40]!r}: {fault}")
    return None


def _fault(arg: ArgSpec, value: str) -> str:
    """What is wrong with `value`; empty: nothing that can be told without the world."""
    if arg.kind is ArgKind.INT and not _in_range(value, arg.min, arg.max):
        return f"must be a whole number from {arg.min} to {arg.max}"
    if arg.kind is ArgKind.CHOICE and value not in arg.choices:
        return f"must be one of {', '.join(arg.choices)}"
    if arg.kind is ArgKind.TEXT and len(value) > arg.max_length:
        return f"must have at most {arg.max_length} characters"
    return ""


def _in_range(value: str, low: int, high: int) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 10 and low <= int(value) <= high


def _check_hostile(spec: ActionSpec, kind: ArgKind, value: str) -> Verdict | None:
    """A mob bears a registered name (`mobs:wolf`); players and villagers never have a colon in theirs."""
    somebody = kind is ArgKind.PLAYER or (kind in CREATURES and ":" not in value)
    if not (spec.hostile and somebody):
        return None
    return _refuse("hostile", f"{spec.name} {value}: players and villagers are not hurt; choose a mob")


def _first(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    return next(filter(None, verdicts), None)


def _typed(action: Action, spec: ActionSpec) -> Iterator[tuple[ArgKind, str]]:
    return ((arg.kind, value) for arg, value in zip(spec.args, action.args, strict=True))


def _refuse(rule: str, reason: str) -> Verdict:
    return Verdict(allowed=False, rule=rule, reason=reason)
