"""The rules file: its shape, what each rule forbids, and reading it with every fault told at once.

The game reads the same rules as JSON (`townsfolk rules`) and judges by code of its own
(`mod/townsfolk/src/rules.lua`), so nothing here may mean more than that file can: no regular
expressions, and no rule that depends on the order of others.
"""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from townsfolk.errors import ConfigError
from townsfolk.types import Position

SHIPPED = Path(__file__).with_name("rules.yaml")
ANY = "*"

RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\[\]?]+$")]
Corner = tuple[float, float, float]
TextKind = Literal["control_character", "address", "link"]

_TEXT_KINDS: dict[TextKind, "re.Pattern[str]"] = {
    "control_character": re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]"),
    "address": re.compile(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+\.[A-Za-z]|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"),
    "link": re.compile(r"[A-Za-z]+://|www\."),
}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Area(_Section):
    """A box of the world, its corners included; x, y (up), z in nodes."""

    low: Corner = Field(alias="from")
    high: Corner = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> "Area":
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"from {self.low} must not be over to {self.high}: swap what is")
        return self

    def holds(self, at: Position) -> bool:
        own = (at.x, at.y, at.z)
        return all(low <= value <= high for low, value, high in zip(self.low, own, self.high, strict=True))


class _Scope(_Section):
    """Whom and where a rule is for; empty: everybody, everywhere."""

    personas: tuple[RuleName, ...] = ()
    areas: tuple[RuleName, ...] = ()
    reason: Reason

    def fits(self, persona: str, areas: Collection[str] | None) -> bool:
        """Whether the rule is for this persona here. One for an area holds where the place is not known."""
        if self.personas and persona not in self.personas:
            return False
        return not self.areas or areas is None or any(name in areas for name in self.areas)


class Permission(_Scope):
    """`deny`: none of these actions. `allow`: no actions but these."""

    allow: tuple[RuleName, ...] = ()
    deny: tuple[RuleName, ...] = ()
    freeze: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> "Permission":
        if bool(self.allow) == bool(self.deny):
            raise ValueError("exactly one of allow and deny must name actions")
        return self

    def forbids(self, action: str) -> bool:
        return action in self.deny or (bool(self.allow) and action not in self.allow)


class Limit(_Scope):
    """How often one villager may do any of `actions`, taken together (`*`: all)."""

    actions: tuple[Literal["*"] | RuleName, ...] = Field(min_length=1)
    per_minute: int | None = Field(default=None, ge=1, le=10_000)
    per_day: int | None = Field(default=None, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _says_something(self) -> "Limit":
        if self.per_minute is None and self.per_day is None:
            raise ValueError("at least one of per_minute and per_day must be given")
        return self

    def counts(self, action: str) -> bool:
        return ANY in self.actions or action in self.actions


class NameRule(_Section):
    """Forbids nodes, items and creatures by name, to all actions but `unless` (`except` in the file)."""

    patterns: tuple[Pattern, ...] = Field(min_length=1)
    unless: tuple[RuleName, ...] = Field(default=(), alias="except")
    reason: Reason
    freeze: bool = False

    def forbids(self, action: str, name: str) -> bool:
        if action in self.unless:
            return False
        return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in self.patterns)


class TextRule(_Section):
    """Forbids what begins so, spaces aside, or holds one of these texts or something of these kinds."""

    begins: tuple[Reason, ...] = ()
    holds: tuple[Reason, ...] = ()
    kinds: tuple[TextKind, ...] = ()
    reason: Reason
    freeze: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> "TextRule":
        if not (self.begins or self.holds or self.kinds):
            raise ValueError("at least one of begins, holds and kinds must be given")
        return self

    def forbids(self, text: str) -> bool:
        lower = text.lower()
        return (
            lower.lstrip().startswith(tuple(begin.lower() for begin in self.begins))
            or any(part.lower() in lower for part in self.holds)
            or any(_TEXT_KINDS[kind].search(text) for kind in self.kinds)
        )


class Rules(_Section):
    """The whole file."""

    version: Literal[1]
    max_text: int = Field(ge=1, le=500)
    areas: dict[RuleName, Area] = {}
    permissions: dict[RuleName, Permission] = {}
    limits: dict[RuleName, Limit] = {}
    names: dict[RuleName, NameRule] = {}
    texts: dict[RuleName, TextRule] = {}

    @model_validator(mode="after")
    def _areas_are_there(self) -> "Rules":
        for name, rule in [*self.permissions.items(), *self.limits.items()]:
            if unknown := ", ".join(sorted(set(rule.areas) - set(self.areas))):
                raise ValueError(f"{name} names area {unknown}, which areas does not hold: add it there")
        return self

    def areas_at(self, at: Position | None) -> Collection[str] | None:
        """The areas that hold a place; None: it is not known."""
        return None if at is None else [name for name, area in self.areas.items() if area.holds(at)]

    def freezing(self) -> Collection[str]:
        """Names of the rules that a villager is frozen for breaking."""
        kinds = (self.permissions, self.names, self.texts)
        return {name for rules in kinds for name, rule in rules.items() if rule.freeze}

    def for_game(self) -> str:
        """The same rules as the game reads them: JSON, without what is left at its default."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True, indent=1) + "\n"


def load_rules(file: Path = SHIPPED) -> Rules:
    """Read a rules file.

    Raises:
        ConfigError: lists every fault, one a line, as `section.rule.field: rule, value`.
    """
    try:
        return Rules.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"rules file {file}: can't be read: {error}") from error
    except ValidationError as error:
        faults = "\n".join(
            f"  {'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']} (got {fault['input']!r:.80})"
            for fault in error.errors()
        )
        raise ConfigError(f"rules file {file}: {error.error_count()} fault(s):\n{faults}") from error
