"""Policy: one verdict for each proposed action, and who is frozen.

Deterministic: the same calls give the same verdicts; the time is an argument, in seconds of any one
clock. Verdicts are decided by the first of these rules that forbids, and only an allowed action
counts against the rate:

    unknown_action, frozen, persona, arguments, <names of the rules file>, text_length,
    <texts of the rules file>, hostile, rate
"""

from collections.abc import Collection, Iterator

from townsfolk.config import PolicySettings
from townsfolk.policy.rate import RateLimit
from townsfolk.policy.rules import Rules
from townsfolk.types import Action, ActionSpec, ArgKind, ArgSpec, Verdict

ALLOWED = Verdict(allowed=True)
CREATURES = (ArgKind.PLAYER, ArgKind.CREATURE, ArgKind.MOB)


class Policy:
    """The rules with their state: what each villager did lately, and until when it is frozen."""

    def __init__(self, settings: PolicySettings, rules: Rules) -> None:
        self._freeze_seconds = settings.freeze_seconds
        self._rules = rules
        self._rate = RateLimit(settings.actions_per_minute)
        self._frozen: dict[str, tuple[float, str]] = {}

    def check(
        self,
        persona: str,
        allowed_actions: Collection[str],
        action: Action,
        spec: ActionSpec | None,
        villager: str,
        now: float,
        *,
        may_hurt_players: bool = False,
        counted: bool = True,
    ) -> Verdict:
        """May `villager` do this?

        Args:
            allowed_actions: of the persona.
            spec: the action's entry in the game's registry; None: there is none.
            villager: whom rate and freeze are counted for, unique over all games.
            may_hurt_players: the persona's leave to do hostile things to players and villagers.
            counted: whether it is going to be done, so that it counts against the rate.
        """
        if spec is None or spec.name != action.name:
            return _refuse(
                "unknown_action", f"the game has no action {action.name!r}; use one of its registry"
            )
        return (
            self._check_frozen(villager, now)
            or _check_persona(persona, allowed_actions, action)
            or _check_arguments(action, spec)
            or self._check_content(action, spec)
            or (None if may_hurt_players else _check_hostile(action, spec))
            or (self._check_rate(villager, now) if counted else None)
            or ALLOWED
        )

    def check_speech(self, text: str) -> Verdict:
        """May this be said? Speech is not counted against the rate."""
        return self._check_text(text) or ALLOWED

    def freeze(self, villager: str, why: str, now: float, seconds: float | None = None) -> None:
        """Refuse what `villager` proposes for `seconds` (None: the setting's); never shortens a freeze."""
        until = now + (self._freeze_seconds if seconds is None else seconds)
        self._frozen = {key: entry for key, entry in self._frozen.items() if entry[0] > now}
        if until > self._frozen.get(villager, (now, ""))[0]:
            self._frozen[villager] = (until, why)

    def is_frozen(self, villager: str, now: float) -> bool:
        return villager in self._frozen and now < self._frozen[villager][0]

    def is_violation(self, verdict: Verdict) -> bool:
        """Whether to freeze the villager and flag its turn, rather than only refuse the action."""
        rule = self._rules.names.get(verdict.rule) or self._rules.texts.get(verdict.rule)
        return not verdict.allowed and (verdict.rule == "hostile" or (rule is not None and rule.freeze))

    def _check_frozen(self, villager: str, now: float) -> Verdict | None:
        if not self.is_frozen(villager, now):
            return None
        until, why = self._frozen[villager]
        return _refuse("frozen", f"frozen for {until - now:.1f} s more ({why}); wait")

    def _check_content(self, action: Action, spec: ActionSpec) -> Verdict | None:
        for kind, value in _typed(action, spec):
            refused = (
                self._check_text(value) if kind is ArgKind.TEXT else self._check_name(action.name, value)
            )
            if refused:
                return refused
        return None

    def _check_name(self, action: str, name: str) -> Verdict | None:
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

    def _check_rate(self, villager: str, now: float) -> Verdict | None:
        wait = self._rate.take(villager, now)
        if not wait:
            return None
        return _refuse("rate", f"more than {self._rate.per_minute} actions a minute; wait {wait:.1f} s")


def _check_persona(persona: str, allowed_actions: Collection[str], action: Action) -> Verdict | None:
    if action.name in allowed_actions:
        return None
    allowed = ", ".join(sorted(allowed_actions)) or "none"
    return _refuse("persona", f"a {persona} may not {action.name}; it may: {allowed}")


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


def _check_hostile(action: Action, spec: ActionSpec) -> Verdict | None:
    """A mob bears a registered name (`mobs:wolf`); players and villagers never have a colon in theirs."""
    if not spec.hostile:
        return None
    for kind, value in _typed(action, spec):
        if kind is ArgKind.PLAYER or (kind in CREATURES and ":" not in value):
            return _refuse(
                "hostile", f"{action.name} {value}: players and villagers are not hurt; choose a mob"
            )
    return None


def _typed(action: Action, spec: ActionSpec) -> Iterator[tuple[ArgKind, str]]:
    return ((arg.kind, value) for arg, value in zip(spec.args, action.args, strict=True))


def _refuse(rule: str, reason: str) -> Verdict:
    return Verdict(allowed=False, rule=rule, reason=reason)
