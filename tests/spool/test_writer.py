"""An append returns when its record is on the disk; what can't be stored is refused, and nothing is lost or doubled."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.disk import write_all
from outlay.errors import SpoolError
from outlay.spool import writer as writing
from outlay.spool.reader import remove, sealed, set_aside
from outlay.spool.segments import HEADER_BYTES, OPEN, RECORD_BYTES, SEALED, Damage, Record, read_records, segments
from outlay.spool.writer import Busy, Full, Limits, SpoolWriter, Unusable
from tests.spool.scratch import Scratch


@contextmanager
def opened(folder: Path, limits: Limits | None = None) -> Iterator[SpoolWriter]:
    spool = SpoolWriter(folder, limits)
    try:
        yield spool
    finally:
        spool.close()


def bodies(folder: Path, state: str = SEALED) -> list[tuple[int, bytes]]:
    """Kind and body of every record in the segments, in order; none is damaged."""
    found = []
    for path in segments(folder, state):
        for one in read_records(path):
            assert isinstance(one, Record)
            found.append((one.kind, one.body))
    return found


def test_an_appended_record_is_in_the_file_before_append_returns(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(segment_seconds=60)) as spool:
        spool.append(3, b"one")
        assert bodies(tmp_path, OPEN) == [(3, b"one")]
        spool.append(4, b"")
        assert bodies(tmp_path, OPEN) == [(3, b"one"), (4, b"")]
        assert sealed(tmp_path) == []
    assert bodies(tmp_path) == [(3, b"one"), (4, b"")]
    assert segments(tmp_path, OPEN) == []


def test_many_at_once_share_their_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        time.sleep(0.02)

    monkeypatch.setattr(writing, "sync_file", slow)
    with opened(tmp_path) as spool, ThreadPoolExecutor(32) as threads:
        list(threads.map(lambda n: spool.append(1, b"%d" % n), range(320)))
    assert sorted(int(body) for _, body in bodies(tmp_path)) == list(range(320))
    assert len(syncs) < 40


def test_it_seals_by_size_and_by_age(tmp_path: Path) -> None:
    with opened(tmp_path / "size", Limits(segment_bytes=1000, segment_seconds=60)) as spool:
        for _ in range(10):
            spool.append(1, bytes(600))
    assert [len(list(one.records())) for one in sealed(tmp_path / "size")] == [2] * 5
    with opened(tmp_path / "age", Limits(segment_seconds=0.05)) as spool:
        spool.append(1, b"a")
        deadline = time.monotonic() + 5
        while not sealed(tmp_path / "age") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert bodies(tmp_path / "age") == [(1, b"a")]


def test_no_segment_without_records(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(segment_seconds=0.01)) as spool:
        time.sleep(0.05)
        spool.seal()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_second_writer_is_told_who_has_it(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(SpoolError, match=f"process {os.getpid()} writes to this spool already"):
        SpoolWriter(tmp_path)
    with opened(tmp_path) as spool:
        spool.append(1, b"free again")


@given(bodies_=st.lists(st.binary(max_size=40), min_size=1, max_size=6), data=st.data())
def test_opening_mends_a_segment_cut_off_anywhere(bodies_: list[bytes], data: st.DataObject) -> None:
    with Scratch() as folder:
        with opened(folder) as spool:
            for body in bodies_:
                spool.append(7, body)
        (path,) = segments(folder, SEALED)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.unlink()
        path.with_suffix(OPEN).write_bytes(whole[:cut])
        kept = [one for one in read_records(path.with_suffix(OPEN)) if isinstance(one, Record)]

        with opened(folder) as spool:
            spool.append(8, b"after")

        expected = [(7, body) for body in bodies_[: len(kept)]]
        assert [(one.kind, one.body) for one in kept] == expected
        assert bodies(folder) == [*expected, (8, b"after")]
        end = HEADER_BYTES if cut >= HEADER_BYTES else 0
        for one in kept:
            end = one.offset + RECORD_BYTES + len(one.body)
        assert spool.cut_bytes == cut - end


def test_no_acknowledgement_after_a_sync_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as spool:
        spool.append(1, b"before")

        def fails(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(writing, "sync_file", fails)
            with pytest.raises(Unusable, match="the disk failed to store what was written: Input/output error"):
                spool.append(1, b"lost")
        with pytest.raises(Unusable):
            spool.append(1, b"the disk is well again, they say")
        with pytest.raises(Unusable):
            spool.seal()
        assert spool.broken
    with opened(tmp_path) as spool:
        spool.append(1, b"after")
    assert [body for _, body in bodies(tmp_path) if body != b"lost"] == [b"before", b"after"]


@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk_refuses_and_keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    real = write_all

    def half(descriptor: int, buffers: list[bytes]) -> None:
        real(descriptor, [b"".join(buffers)[:30]])
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(tmp_path) as spool:
        if not first:
            spool.append(1, b"before")
        with monkeypatch.context() as patch:
            patch.setattr(writing, "write_all", half)
            with pytest.raises(Full, match="No space left on device"):
                spool.append(1, b"refused" * 10)
        spool.append(1, b"after")
    assert bodies(tmp_path) == [(1, b"after")] if first else [(1, b"before"), (1, b"after")]


LIMITED = """
import resource, sys
from pathlib import Path
from outlay.errors import SpoolError
from outlay.spool.writer import Limits, SpoolWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
spool = SpoolWriter(Path(sys.argv[1]), Limits(segment_seconds=60))
for number in range(12):
    try:
        spool.append(1, b"%04d" % number * 150)
    except SpoolError as error:
        print("refused", number, type(error).__name__)
    else:
        print("stored", number)
spool.close()
"""


def test_a_disk_that_takes_half_a_record(tmp_path: Path) -> None:
    """The kernel's own partial write: a limit on the size of files."""
    out = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert out == [f"stored {n}" for n in range(8)] + [f"refused {n} Full" for n in range(8, 12)]
    assert [body[:4] for _, body in bodies(tmp_path)] == [b"%04d" % n for n in range(8)]


def test_the_limits_of_spool_and_disk_refuse(tmp_path: Path) -> None:
    with opened(tmp_path / "a", Limits(spool_bytes=5000, segment_bytes=500)) as spool:
        for _ in range(4):
            spool.append(1, bytes(1000))
        with pytest.raises(Full, match="as many as it may"):
            spool.append(1, bytes(1000))
        remove(sealed(tmp_path / "a"))
        time.sleep(1.05)
        spool.append(1, bytes(1000))
    with opened(tmp_path / "b", Limits(free_bytes=1 << 60)) as spool, pytest.raises(Full, match="bytes left"):
        spool.append(1, b"a")


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going = threading.Event()
    monkeypatch.setattr(writing, "sync_file", lambda _: going.wait())
    with opened(tmp_path, Limits(queue_bytes=1000)) as spool:
        first = spool.submit(1, b"first")
        while spool._asked.records:
            time.sleep(0.001)
        waiting = [spool.submit(1, bytes(500)) for _ in range(2)]
        with pytest.raises(Busy) as refused:
            spool.submit(1, bytes(500))
        assert refused.value.retry_after == 1
        going.set()
        for one in (first, *waiting):
            one.result(5)
    with pytest.raises(Unusable, match="is closed"):
        spool.append(1, b"too late")


def test_who_stopped_waiting_is_not_written_or_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going = threading.Event()
    monkeypatch.setattr(writing, "sync_file", lambda _: going.wait())
    with opened(tmp_path) as spool:
        first: Future[None] = spool.submit(1, b"first")
        while spool._asked.records:
            time.sleep(0.001)
        gone, last = spool.submit(1, b"gone"), spool.submit(1, b"last")
        assert gone.cancel()
        assert not first.cancel()
        going.set()
        last.result(5)
    assert [body for _, body in bodies(tmp_path)] == [b"first", b"last"]


def test_a_damaged_segment_is_set_aside(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(1, b"whole")
        spool.append(1, b"damaged")
    (one,) = sealed(tmp_path)
    with one.path.open("r+b") as handle:
        handle.seek(-1, os.SEEK_END)
        handle.write(b"!")
    first, damage = one.records()
    assert isinstance(first, Record)
    assert isinstance(damage, Damage)
    assert set_aside(one) == tmp_path / "damaged" / one.path.name
    assert sealed(tmp_path) == []


def test_the_reader_takes_no_more_than_asked_but_one(tmp_path: Path) -> None:
    with opened(tmp_path, Limits(segment_bytes=100)) as spool:
        for _ in range(4):
            spool.append(1, bytes(100))
    every = sealed(tmp_path)
    assert len({one.id for one in every}) == 4
    assert sealed(tmp_path, most_bytes=1) == every[:1]
    assert sealed(tmp_path, most_bytes=2 * every[0].size) == every[:2]
    remove(every[:2])
    assert sealed(tmp_path) == every[2:]
