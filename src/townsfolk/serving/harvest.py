"""What was played and what lies in files -> rows for a dataset. Who wishes to be forgotten is in neither."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from townsfolk.errors import ConfigError
from townsfolk.feedback.played import Played
from townsfolk.training.data.played import group_of, rows_of_steps, rows_of_turns
from townsfolk.training.data.rows import DataRow, read_rows

AUTHORED, TURNS, DEMOS = "authored", "turns", "demos"


def harvest(sources: Iterable[str], url: str) -> list[DataRow]:
    """Rows of `sources`: `turns` and `demos` of the store at `url`, files of rows; not what is authored.

    Raises:
        ConfigError: no such file, a line that is no row, or `url` names no database.
        StoreError: the database is away.
    """
    wanted = [source for source in sources if source != AUTHORED]
    if not wanted:
        return []
    with closing(Played(url)) as played:
        forgotten = {group_of(who) for who in played.forgotten}
        rows = [row for source in wanted for row in _rows_of(source, played)]
    return [row for row in rows if row.group not in forgotten]


def _rows_of(source: str, played: Played) -> Iterator[DataRow]:
    if source == TURNS:
        return rows_of_turns(played.turns(), played.players())
    if source == DEMOS:
        return rows_of_steps(played.steps(), played.players())
    if not Path(source).is_file():
        raise ConfigError(
            f"{source} is no source: give {AUTHORED}, {TURNS}, {DEMOS} or a file of rows, with commas between"
        )
    return read_rows(Path(source))
