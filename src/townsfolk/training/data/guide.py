"""The guide's own JSON lines, `{"player_id", "context", "reply", "reward"}`, to rows and back.

What they don't say (persona, what was seen) is given for the whole file, or lost on the way out.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from townsfolk.errors import ConfigError
from townsfolk.training.data.privacy import Mask
from townsfolk.training.data.rows import DataRow
from townsfolk.types import Message, Text, faults_told

IMITATED = 1.0
"""The reward told of a reply that was not judged but is one to imitate."""
_GROUP = re.compile(r"player/[0-9a-f]{64}")
MOST_FAULTS = 20


class GuideLine(Message):
    """One line of such a file."""

    player_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    context: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    reply: Annotated[Text, StringConstraints(min_length=1)]
    reward: float = Field(ge=-1, le=1)


def plain_hash(player: str) -> str:
    """What stands for a player of whom it is not known where they played."""
    return hashlib.sha256(player.encode()).hexdigest()


def read_guide(file: Path, persona: str, hashed: Callable[[str], str] = plain_hash) -> list[DataRow]:
    """Rows of all lines, for `persona`; the player's id becomes a hash, their name a stand-in.

    Args:
        hashed: what stands for a player, in hexadecimal: the store's, if their wish to be forgotten counts.

    Raises:
        ConfigError: can't be read; or names the lines that are wrong, all at once.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: can't be read: {error}") from error
    rows, wrong = [], []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_row(GuideLine.model_validate_json(line), persona, number, hashed))
        except ValidationError as error:
            wrong.append(f"line {number}: {'; '.join(faults_told(error))}")
    if wrong:
        more = f" … and {len(wrong) - MOST_FAULTS} more" if len(wrong) > MOST_FAULTS else ""
        raise ConfigError(f"{file}: nothing is imported: {'. '.join(wrong[:MOST_FAULTS])}{more}")
    return rows


def guide_lines(rows: Iterable[DataRow], told: Callable[[DataRow], str]) -> str:
    """The rows as such a file; `told` writes the context of a row that has an observation."""
    lines = (
        GuideLine(
            player_id=row.group[:128],
            context=row.context or told(row),
            reply=row.reply,
            reward=IMITATED if row.reward is None else row.reward,
        )
        for row in rows
    )
    return "".join(f"{line.model_dump_json()}\n" for line in lines)


def _row(line: GuideLine, persona: str, number: int, hashed: Callable[[str], str]) -> DataRow:
    known = _GROUP.fullmatch(line.player_id)  # exported by us: already nobody's name
    mask = Mask(() if known else (line.player_id,), salt=line.player_id)
    context, reply = mask.text(line.context), mask.text(line.reply)
    content = hashlib.sha256(json.dumps([number, context, reply]).encode()).hexdigest()
    return DataRow(
        id=f"import/{content[:16]}",
        persona=persona,
        source="import",
        group=line.player_id if known else f"player/{hashed(line.player_id)}",
        context=context,
        reply=reply,
        reward=line.reward,
    )
