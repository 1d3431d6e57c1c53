"""What tuned villagers still get wrong in scenes they learn from -> pairs for `dpo`.

Imitation says what is right, never what is wrong: beside the row's own reply stands the villager's, as
served, as the worse one. Taking a model's own replies for the worse ones is due to Chen et al. (2024,
arXiv:2401.01335); here only those that evaluation would fault. It refuses to judge: marks are evaluation's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from townsfolk.config import Settings
from townsfolk.errors import ConfigError
from townsfolk.personas import PersonaLibrary
from townsfolk.serving.examination import Examiner
from townsfolk.training.data import read_actions, read_names
from townsfolk.training.data.rows import TRAIN, DataRow, read_rows
from townsfolk.training.evaluation.marks import Played, World, is_faulty
from townsfolk.training.evaluation.scenarios import row_cases

AT_ONCE = 16
"""Turns under way together: nobody waits for one of them."""


def mistakes(
    settings: Settings,
    dataset: Path,
    adapters: Mapping[str, Path],
    data: Path,
    told: Callable[[int, int], None] = lambda *_: None,
) -> list[DataRow]:
    """Rows to learn from that the personas of `adapters` answer wrongly, each with that reply as `rejected`.

    Args:
        data: holds names/.
        told: called with how many scenes are done, and how many there are.

    Raises:
        ConfigError: no such persona, or the dataset has no row for any to imitate.
        AdapterError: says what is wrong with an adapter.
    """
    personas = {name: PersonaLibrary.read(settings.personas_dirs).get(name) for name in adapters}
    specs = read_actions(data / "names")
    world = World(read_names(data / "names"), {spec.name: spec for spec in specs}, personas)
    rows = {row.id: row for row in read_rows(dataset / TRAIN) if row.persona in personas and not row.rejected}
    cases = list(row_cases(rows.values()))
    if not cases:
        raise ConfigError(f"{dataset}: has no row to imitate of {', '.join(sorted(personas))}: name others")
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        told(done, len(cases))

    with Examiner.open(settings, specs, adapters.values()) as examiner:
        examiner.serve(adapters)
        played = examiner.play(cases, AT_ONCE, one_more)
    return [_pair(rows[it.case.id], it) for it in played if is_faulty(it, world)]


def _pair(row: DataRow, it: Played) -> DataRow:
    return row.model_copy(update={"rejected": it.reply})
