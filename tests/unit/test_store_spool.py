"""The spool: order, durability's book-keeping, torn lines, bounds, one owner."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from townsfolk.errors import StoreError
from townsfolk.feedback.spool import Spool

ROOM = 10_000_000


def texts(spool: Spool) -> list[str]:
    found = []
    while batch := spool.read():
        found += [record.payload["text"] for record in batch]
    return found


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("0*.jsonl"))


def test_reads_in_order_and_only_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    spool.append([{"text": "a"}, {"text": "b\n\u2028ü"}])
    assert texts(spool) == ["a", "b\n\u2028ü"]
    spool.append([{"text": "c"}])
    assert texts(spool) == ["c"]
    assert spool.last == 3
    spool.close()


def test_outlives_its_process_and_counts_on(tmp_path: Path) -> None:
    first = Spool(tmp_path, ROOM)
    first.append([{"text": "a"}])
    first.close()
    second = Spool(tmp_path, ROOM)
    second.append([{"text": "b"}])
    assert second.spool_id == first.spool_id
    assert [record.seq for record in second.read() + second.read()] == [1, 2]
    second.close()


def test_counts_on_when_all_is_discarded(tmp_path: Path) -> None:
    for number in range(1, 5):
        spool = Spool(tmp_path, ROOM)
        spool.append([{"text": str(number)}])
        assert spool.last == number
        spool.discard(applied=number)
        spool.close()
    assert len(segments(tmp_path)) == 1


def test_second_process_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    with pytest.raises(StoreError, match="used by another process"):
        Spool(tmp_path, ROOM)
    spool.close()
    Spool(tmp_path, ROOM).close()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"set store\.spool_dir"):
        Spool(tmp_path / "file" / "spool", ROOM)


def test_full_spool_refuses_and_takes_again_when_applied(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000)
    for _ in range(6):
        spool.append([{"text": "x" * 100}])
    with pytest.raises(StoreError, match="is full"):
        spool.append([{"text": "y" * 300}])
    assert len(texts(spool)) == 6
    spool.discard(applied=spool.last)
    spool.append([{"text": "z"}])
    assert texts(spool) == ["z"]
    spool.close()


def test_failed_write_is_not_read_and_its_numbers_are_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, ROOM)
    spool.append([{"text": "a"}])
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StoreError, match="No space left"):
            spool.append([{"text": "lost"}])
    assert spool.last == 1
    spool.append([{"text": "b"}])
    assert spool.last == 3
    assert texts(spool) == ["a", "b"]
    spool.close()
    spool = Spool(tmp_path, ROOM)
    assert texts(spool) == ["a", "b"]  # else who wrote it again would have it twice
    spool.close()


@settings(max_examples=40)
@given(kept=st.integers(0, 5), cut=st.integers(1, 40))
def test_torn_tail_is_skipped(tmp_path_factory: pytest.TempPathFactory, kept: int, cut: int) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, ROOM)
    spool.append([{"text": str(number)} for number in range(kept)] + [{"text": "torn" * 20}])
    spool.close()
    data = segments(folder)[0].read_bytes()
    segments(folder)[0].write_bytes(data[:-cut])
    spool = Spool(folder, ROOM)
    spool.append([{"text": "next"}])
    assert texts(spool) == [*map(str, range(kept)), "next"]
    spool.close()


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.text(max_size=30), max_size=5), max_size=12), st.integers(1, 12), st.integers(0, 12)
)
def test_nothing_is_lost_over_segments_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[str]], restart_every: int, discarded: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, 4_000_000)
    spool._segment_bytes = 100
    for number, group in enumerate(groups):
        spool.append([{"text": text} for text in group])
        if number % restart_every == 0:
            spool.close()
            spool = Spool(folder, 4_000_000)
    spool.discard(discarded)
    spool.rewind()
    read = [(record.seq, record.payload["text"]) for batch in iter(spool.read, []) for record in batch]
    written = list(enumerate((text for group in groups for text in group), start=1))
    assert [pair for pair in read if pair[0] > discarded] == written[discarded:]
    spool.close()


def test_long_spool_is_read_in_chunks(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100_000_000)
    wanted = [str(number) * 300_000 for number in range(10)]
    spool.append([{"text": text} for text in wanted])
    assert len(spool.read()) < 10
    spool.rewind()
    assert texts(spool) == wanted
    spool.close()
