"""Rows as tokens, kept: what made them is in their file's name, so nothing here is ever out of date.

It refuses to know how a row becomes tokens.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from townsfolk.training.stages.tokens import TokenRow


def cached_rows(
    cache: Path, made_of: Sequence[str], make: Callable[[], Iterable[TokenRow]]
) -> list[TokenRow]:
    """The rows that `make` gives, from `cache` if they were made of the same before.

    Args:
        made_of: all that decides them: hashes of data, tokenizer, template, persona and code.
    """
    key = hashlib.sha256(json.dumps(list(made_of)).encode()).hexdigest()
    file = cache / f"{key}.jsonl"
    if not file.exists():
        _write(file, make())
    with file.open(encoding="utf-8") as lines:
        return [_row(line) for line in lines]


def _write(file: Path, rows: Iterable[TokenRow]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rows-", dir=file.parent) as folder:  # goes, whatever fails
        whole = Path(folder) / file.name
        with whole.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
        whole.replace(file)


def _row(line: str) -> TokenRow:
    values = json.loads(line)
    ids = {name: tuple(values[name]) for name in ("prompt", "reply", "rejected")}
    return TokenRow(**(values | ids))
