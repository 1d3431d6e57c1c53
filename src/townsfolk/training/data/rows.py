"""Rows of a dataset: what a villager saw, and the reply that it is to learn. One JSON object a line.

It refuses to know tokens: rows hold observations, so that a change of prompt or model needs no new data.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from townsfolk.errors import ConfigError
from townsfolk.types import Message, Observation, PersonaName, Text, faults_told

MANIFEST, TRAIN, HELD_OUT = "manifest.json", "train.jsonl", "held_out.jsonl"
"""Files of a dataset's folder."""

_TAG = re.compile(r"\[\[ACTION:(\w+).*?\]\]")

Source = Literal["authored", "turn", "demo", "import"]


class DataRow(Message):
    """One line of a dataset."""

    id: Text
    persona: PersonaName
    source: Source
    group: Text
    """Rows of one group (variants, near-copies, one player's turns) are never on both sides of a split."""
    observation: Observation | None = None
    """What the game sent; None where only `context` is known."""
    context: Annotated[str, StringConstraints(max_length=4_000)] = ""
    """The window's text as the model saw it, of a turn that was played or a file that was imported."""
    remembers: Text = ""
    """What the villager has in mind of the player: observations do not tell it."""
    reply: Text
    """The tag first, where there is one, then the speech: just what is to be decoded."""
    rejected: Text = ""
    """A worse reply to the same; empty: none is known."""
    reward: float | None = Field(default=None, ge=-1, le=1)
    """As players judged the reply; None: it was not judged, but is one to imitate."""
    weight: float = Field(default=1.0, gt=0, le=10)
    """How much the row's loss counts."""
    adverse: bool = False
    """What was said poses as an order and is none (a tag, the service's voice); the reply turns it down."""

    @model_validator(mode="after")
    def _one_scene(self) -> "DataRow":
        if (self.observation is None) == (not self.context):
            raise ValueError("a row has exactly one of observation and context")
        return self

    def scene(self) -> str:
        """What the villager saw, as one text: rows of the same scene say the same here."""
        return self.observation.model_dump_json() if self.observation else self.context

    def gist(self) -> str:
        """What both said, as one text: near-copies say nearly the same here. Empty where nothing is said."""
        speech = _TAG.sub("", self.reply).strip()
        return f"{self.heard()} {speech}" if speech else ""

    def heard(self) -> str:
        """What was said to the villager; empty where nobody spoke."""
        if self.observation:
            return " ".join(event.text for event in self.observation.events if event.text)
        return self.context.rpartition("\n")[2]

    def action(self) -> str:
        """The name of the action in the reply; empty: speech alone."""
        found = _TAG.search(self.reply)
        return found[1] if found else ""

    def label(self) -> str:
        """How the reply was judged, in a word."""
        if self.rejected:
            return "pair"
        if self.reward is None:
            return "to imitate"
        return "liked" if self.reward > 0 else "disliked"


def as_line(row: DataRow) -> bytes:
    """The row as it stands in a file."""
    return row.model_dump_json(exclude_defaults=True).encode() + b"\n"


def write_rows(file: Path, rows: Iterable[DataRow]) -> str:
    """Write rows, one a line; gives the sha256 of the file, hexadecimal."""
    digest = hashlib.sha256()
    with file.open("wb") as out:
        for row in rows:
            line = as_line(row)
            digest.update(line)
            out.write(line)
    return digest.hexdigest()


def write_new(file: Path, lines: Iterable[bytes]) -> None:
    """Write a file that was not there, and its folder: whole, or not at all.

    Raises:
        ConfigError: it is there, or can't be written.
    """
    if file.exists():
        raise ConfigError(f"{file} is there already and is never overwritten: give another name")
    half = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"".join(lines))
        half.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: can't be written: {error}") from error


def read_rows(file: Path) -> Iterator[DataRow]:
    """Rows of a file, one after the other.

    Raises:
        ConfigError: not there; or names the line that is no row.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _row(line, f"{file}: line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: can't be read: {error}") from error


def _row(line: str, where: str) -> DataRow:
    try:
        return DataRow.model_validate_json(line)
    except ValidationError as error:
        told = "; ".join(faults_told(error))
        raise ConfigError(f"{where}: {told}; build the dataset again") from error


def read_manifest(folder: Path) -> dict[str, object]:
    """The manifest of the dataset in `folder`.

    Raises:
        ConfigError: there is none, or it is no JSON object.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: no dataset: build one with townsfolk data build ({error})") from error
    if not isinstance(manifest, dict):
        raise ConfigError(f"{folder / MANIFEST}: must be a JSON object: build the dataset again")
    return manifest
