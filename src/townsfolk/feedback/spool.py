"""A durable queue on disk: append-only segment files of checksummed JSON lines.

    <spool_dir>/id                      this spool's random name
    <spool_dir>/lock                    held by the process that uses it
    <spool_dir>/0000000000000042.jsonl  a segment, named by the number of its first record
    3f9c01aa 42 {"kind":"turn", …}      one record: CRC-32 of the rest, number, payload

A run never appends to a segment of an earlier run, so a line that a crash tore needs no repair: its
checksum fails and it is skipped; it was never acknowledged. One thread appends, one reads.
Refuses to know what a payload means.
"""

import fcntl
import json
import logging
import os
import threading
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from townsfolk.disk import sync
from townsfolk.errors import StoreError

log = logging.getLogger(__name__)

SEGMENT_BYTES = 4_000_000
CHUNK_BYTES = 1_000_000


@dataclass(frozen=True)
class Record:
    """One payload and its number; numbers only grow, gaps are allowed."""

    seq: int
    payload: dict[str, Any]


@dataclass
class _Segment:
    path: Path
    first: int
    size: int
    """Bytes that are durable; what a failed append left behind them is never read."""


class Spool:
    """Opens the spool in `folder`, making it if need be, and locks it.

    Raises:
        StoreError: the folder can't be written, or another process uses it.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max_bytes // 4)
        self._mutex = threading.Lock()
        self._writer: FileIO | None = None
        self._rolled = False
        try:
            self._lock_file = _lock(folder)
            self.spool_id = _identity(folder)
            self._segments = _find_segments(folder)
        except OSError as error:
            raise StoreError(f"spool folder {folder} can't be used: {error}; set store.spool_dir") from error
        self._last = _last_seq(self._segments)
        self._next = self._last + 1
        self.rewind()

    @property
    def size_bytes(self) -> int:
        with self._mutex:
            return sum(segment.size for segment in self._segments)

    @property
    def last(self) -> int:
        """The number of the last durable record."""
        return self._last

    @property
    def first(self) -> int:
        """The number of the oldest record kept, applied or not."""
        with self._mutex:
            return self._segments[0].first if self._segments else self._next

    def append(self, payloads: Sequence[dict[str, Any]]) -> None:
        """Make `payloads` durable, all with one fsync.

        Raises:
            StoreError: no room; none of them counts as written.
        """
        if not payloads:
            return
        lines = b"".join(_encode(self._next + i, payload) for i, payload in enumerate(payloads))
        if self.size_bytes + len(lines) > self._max_bytes:
            raise StoreError(
                f"spool {self._folder} is full ({self._max_bytes} bytes, store.spool_max_bytes): "
                "the database has not taken its rows; see the log for the reason"
            )
        # Numbers of a write that fails are not used again: its lines may be on the disk all the same.
        first, self._next = self._next, self._next + len(payloads)
        try:
            self._write(lines, first)
        except OSError as error:
            self._take_back()
            raise StoreError(f"spool {self._folder} can't be written: {error}") from error
        self._last = self._next - 1

    def roll(self) -> None:
        """Have the next append begin a segment, so that `discard` can remove all that was written before."""
        self._rolled = True

    def read(self) -> list[Record]:
        """The next durable records after the last read, about a megabyte of them; empty at the end."""
        records: list[Record] = []
        while not records and (chunk := self._next_chunk()):
            records = self._decode_lines(chunk)
        return records

    def rewind(self) -> None:
        """Read again from the oldest record that is kept."""
        self._cursor: _Segment | None = None
        self._offset = 0

    def discard(self, applied: int) -> None:
        """Remove the segments that hold no record after `applied`.

        The last segment stays: its name carries the count on to the next run.
        """
        with self._mutex:
            done = [old for old, new in pairwise(self._segments) if new.first <= applied + 1]
            self._segments = self._segments[len(done) :]
        for segment in done:
            segment.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the lock; records stay for the next run."""
        self._end_segment()
        self._lock_file.close()

    def _write(self, lines: bytes, first: int) -> None:
        if self._rolled or self._writer is None or self._segments[-1].size >= self._segment_bytes:
            self._start_segment(first)
        assert self._writer is not None
        unwritten = memoryview(lines)
        while unwritten:
            unwritten = unwritten[self._writer.write(unwritten) :]
        os.fsync(self._writer.fileno())
        with self._mutex:
            self._segments[-1].size += len(lines)

    def _start_segment(self, first: int) -> None:
        self._end_segment()
        self._rolled = False
        path = self._folder / f"{first:016d}.jsonl"
        # A file of this name can only be a last segment without one good record: it may be emptied.
        writer = FileIO(path, "w")
        sync(self._folder)
        with self._mutex:
            self._segments = [old for old in self._segments if old.path != path]
            self._segments.append(_Segment(path, first, 0))
        self._writer = writer

    def _take_back(self) -> None:
        """Cut off what a failed write left: it will be written again, and the next run would read both."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.truncate(self._segments[-1].size)
        self._end_segment()

    def _end_segment(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _next_chunk(self) -> bytes:
        """Whole lines from the cursor on, all of one segment."""
        end = self._move_cursor()
        if self._cursor is None or end == self._offset:
            return b""
        with self._cursor.path.open("rb") as file:
            file.seek(self._offset)
            chunk = file.read(min(CHUNK_BYTES, end - self._offset))
            if self._offset + len(chunk) < end:
                chunk += file.readline()
        self._offset += len(chunk)
        return chunk

    def _move_cursor(self) -> int:
        """Step over segments that are read to their end; the durable size of the one arrived at."""
        with self._mutex:
            while self._cursor is None or self._offset >= self._cursor.size:
                past = -1 if self._cursor is None else self._cursor.first
                following = next((segment for segment in self._segments if segment.first > past), None)
                if following is None:
                    break
                self._cursor, self._offset = following, 0
            return self._cursor.size if self._cursor else 0

    def _decode_lines(self, chunk: bytes) -> list[Record]:
        records = []
        for line in chunk.splitlines(keepends=True):
            if (record := _decode(line)) is not None:
                records.append(record)
            else:
                log.warning("spool %s: skipped a torn line of %d bytes", self._folder, len(line))
        return records


def _encode(seq: int, payload: dict[str, Any]) -> bytes:
    body = f"{seq} {json.dumps(payload, separators=(',', ':'))}".encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _decode(line: bytes) -> Record | None:
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
        return None
    seq, _, payload = body.partition(b" ")
    return Record(int(seq), json.loads(payload))


def _lock(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreError(
            f"spool folder {folder} is used by another process: stop it, or set store.spool_dir"
        ) from error
    return file


def _identity(folder: Path) -> str:
    path = folder / "id"
    if not path.exists() or not (name := path.read_text(encoding="ascii").strip()):
        name = uuid.uuid4().hex
        with path.open("w", encoding="ascii") as file:
            file.write(name)
            file.flush()
            os.fsync(file.fileno())
        sync(folder)
    return name


def _find_segments(folder: Path) -> list[_Segment]:
    paths = sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit())
    for path in paths[-1:]:
        sync(path)  # what the last run wrote without its fsync is about to be applied
    return [_Segment(path, int(path.stem), path.stat().st_size) for path in paths]


def _last_seq(segments: list[_Segment]) -> int:
    if not segments:
        return 0
    return max(_seqs(segments[-1].path), default=segments[-1].first - 1)


def _seqs(path: Path) -> Iterator[int]:
    with path.open("rb") as file:
        for line in file:
            if (record := _decode(line)) is not None:
                yield record.seq
