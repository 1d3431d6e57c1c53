"""The rules file: its shape, and reading it with every fault told at once."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from townsfolk.errors import ConfigError

SHIPPED = Path(__file__).with_name("rules.yaml")

RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]


def _compiles(expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return expression


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    """Forbids what matches `pattern`, anywhere in what is said or written."""

    pattern: Annotated[str, AfterValidator(_compiles)]
    reason: Reason
    freeze: bool = False

    def forbids(self, text: str) -> bool:
        return re.search(self.pattern, text) is not None


class Rules(_Section):
    """The whole file."""

    version: Literal[1]
    max_text: int = Field(ge=1, le=500)
    names: dict[RuleName, NameRule] = {}
    texts: dict[RuleName, TextRule] = {}


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
