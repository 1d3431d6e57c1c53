"""Whatever `docs/security.md` says is shown by a test or a script, is there."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SHOWN_BY = re.compile(r"`((?:tests|scripts)/[\w/.-]+)(?:::(\w+)| [\w -]+)?`")


def test_what_shows_it_is_there() -> None:
    page = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    shown = [found.groups() for found in SHOWN_BY.finditer(page)]
    assert len(shown) > 30
    for file, test in shown:
        assert (REPOSITORY / file).is_file(), file
        assert not test or f"def {test}(" in (REPOSITORY / file).read_text(encoding="utf-8"), test


def test_every_threat_names_what_shows_that_it_is_stopped() -> None:
    page = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    table = page.partition("| threat |")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(rows) > 30
    assert all(SHOWN_BY.search(row.split("|")[3]) for row in rows)
