"""A segment cut off or changed at any byte gives every whole record before the place, and never garbage."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from outlay.spool.segments import (
    HEADER_BYTES,
    RECORD_BYTES,
    SEALED,
    Damage,
    Record,
    framed,
    header,
    new_id,
    number_of,
    read_records,
    segment_id,
    segment_name,
    segments,
)
from tests.spool.scratch import Scratch

RECORDS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=8)


def content(identity: bytes, records: list[tuple[int, bytes]]) -> bytes:
    return header(identity) + b"".join(framed(identity, kind, body) + body for kind, body in records)


def ends(records: list[tuple[int, bytes]]) -> list[int]:
    """Where each record ends."""
    found = [HEADER_BYTES]
    for _, body in records:
        found.append(found[-1] + RECORD_BYTES + len(body))
    return found[1:]


def read(path: Path) -> tuple[list[tuple[int, bytes]], Damage | None]:
    records: list[tuple[int, bytes]] = []
    damage = None
    for one in read_records(path):
        assert damage is None, "damage is the last that is told"
        if isinstance(one, Record):
            records.append((one.kind, one.body))
        else:
            damage = one
    return records, damage


@given(records=RECORDS, data=st.data())
def test_cut_off_anywhere_it_gives_what_is_whole_before(records: list[tuple[int, bytes]], data: st.DataObject) -> None:
    whole = content(new_id(), records)
    cut = data.draw(st.integers(0, len(whole)))
    with Scratch() as folder:
        path = folder / "1-x.sealed"
        path.write_bytes(whole[:cut])
        found, damage = read(path)
    kept = [record for record, end in zip(records, ends(records), strict=True) if end <= cut]
    assert found == kept
    good = (HEADER_BYTES + sum(RECORD_BYTES + len(body) for _, body in kept)) if cut >= HEADER_BYTES else 0
    assert damage == (Damage(good, cut - good) if cut > good else None)


@given(records=RECORDS, data=st.data())
def test_changed_anywhere_it_gives_what_is_whole_before(records: list[tuple[int, bytes]], data: st.DataObject) -> None:
    whole = bytearray(content(new_id(), records))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with Scratch() as folder:
        path = folder / "1-x.sealed"
        path.write_bytes(whole)
        found, damage = read(path)
    kept = [record for record, end in zip(records, ends(records), strict=True) if end <= place]
    assert found == (kept if place >= HEADER_BYTES else [])
    assert damage is not None


@given(records=RECORDS, tail=st.binary(min_size=1, max_size=200))
def test_what_follows_the_last_record_is_none(records: list[tuple[int, bytes]], tail: bytes) -> None:
    whole = content(new_id(), records)
    with Scratch() as folder:
        path = folder / "1-x.sealed"
        path.write_bytes(whole + tail)
        assert read(path) == (records, Damage(len(whole), len(tail)))


@given(records=RECORDS)
def test_records_of_another_segment_are_none_of_this_one(records: list[tuple[int, bytes]]) -> None:
    mine, other = new_id(), new_id()
    foreign = content(other, [(1, b"old")])[HEADER_BYTES:]
    with Scratch() as folder:
        path = folder / "1-x.sealed"
        path.write_bytes(content(mine, records) + foreign)
        assert read(path)[0] == records


@given(size=st.integers(0, 3000))
def test_a_tail_of_zeros_is_no_record(size: int) -> None:
    whole = content(new_id(), [(1, b"a")])
    with Scratch() as folder:
        path = folder / "1-x.sealed"
        path.write_bytes(whole + bytes(size))
        assert read(path)[0] == [(1, b"a")]


def test_segments_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = [segment_name(number, new_id(), SEALED) for number in (9, 10, 11, 1_000_000_000_000)]
    for name in reversed(names):
        (tmp_path / name).touch()
    (tmp_path / "notes-of-mine.sealed").touch()
    assert [path.name for path in segments(tmp_path, SEALED)] == names
    assert number_of(tmp_path / names[1]) == 10
    assert segment_id(tmp_path / names[0]) is None
