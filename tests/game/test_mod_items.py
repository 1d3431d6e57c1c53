"""What villagers carry, across a kill and from worlds of before there were books."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bench.chaos.items import Counts, count, items_killed, lay_out, market

from server import TOWNSFOLK_MOD

pytestmark = pytest.mark.game


def test_a_kill_neither_doubles_nor_loses_an_item(tmp_path: Path) -> None:
    row = items_killed(tmp_path / "market", 3, random.Random(1))
    assert row.kept, row.note


def test_what_was_in_the_record_before_is_carried_still(tmp_path: Path) -> None:
    server = lay_out(tmp_path / "market", TOWNSFOLK_MOD)
    with market(server) as sam:
        there = count(sam)
    server.stop()
    (server.world / "townsfolk_items.lua").unlink()
    with closing(sqlite3.connect(server.world / "mod_storage.sqlite")) as storage, storage:
        changed = storage.execute(
            "UPDATE entries SET value = CAST(replace(CAST(value AS TEXT), 'return {', ?) AS BLOB)"
            " WHERE CAST(key AS TEXT) LIKE 'villager:%'",
            ('return {inventory={"default:gold_lump 7","","default:dirt"},',),
        )
        assert changed.rowcount == 2
    with market(server) as sam:
        # They had 20 lumps and 5 pieces of dirt each.
        assert count(sam) == Counts(there.dirt - 2 * 5 + 2 * 1, there.gold - 2 * 20 + 2 * 7)
    server.stop()
