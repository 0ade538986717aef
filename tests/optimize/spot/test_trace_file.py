"""Traces are read as they are written, and whatever else is in the file is refused with a place and a way out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UnreadableError
from outlay.optimize.spot.trace_file import read_trace, read_traces
from tests.optimize.spot.traces import FIXTURES
from tests.shared import shared

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_CELLS = st.sampled_from(
    ["time", "instances_up", "0", "1", "300", "2026-10-01", "2026-10-01T00:05:00Z", "", '"', "x", "-1"]
)


def written(folder: Path, text: str | bytes, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_json_of_ticks() -> None:
    trace = read_trace(FIXTURES / "zone-a.json")

    assert (trace.name, len(trace.counts), trace.end) == ("zone-a", 2016, 7 * 86400)
    assert trace.times[:3].tolist() == [0, 300, 600]
    assert set(trace.counts.tolist()) == {0, 1}
    assert read_trace(FIXTURES / "machines.json").most == 4


def test_csv_of_changes_in_several_zones_of_time() -> None:
    trace = read_trace(FIXTURES / "changes.csv")

    assert (trace.times / 3600).tolist() == pytest.approx([0, 6.5, 7, 7 + 1 / 6, 22, 25])
    assert trace.counts.tolist() == [2, 0, 1, 2, 0, 2]
    assert trace.end == 36 * 3600


def test_csv_and_json_of_the_same_capacity_are_the_same(tmp_path: Path) -> None:
    ticks = read_trace(FIXTURES / "machines.json")
    rows = [f"{600 * number},{count}" for number, count in enumerate([*ticks.counts.tolist(), 0])]
    found = read_trace(
        written(
            tmp_path,
            "\ufeffInstances_Up , note,TIME\n"
            + "\n".join(f"{row[1]},,{row[0]}" for row in (one.split(",") for one in rows)),
        )
    )

    assert np.array_equal(found.times, ticks.times)
    assert np.array_equal(found.counts, ticks.counts)
    assert found.end == ticks.end


def test_seconds_may_start_anywhere_and_have_fractions(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "time,instances_up\n1790000000.5,1\n1790000001,0\n\n1790000003,1\n"))

    assert (trace.times.tolist(), trace.counts.tolist(), trace.end) == ([0, 0.5], [1, 0], 2.5)


def test_a_folder_is_its_traces_in_order(tmp_path: Path) -> None:
    assert [trace.name for trace in read_traces([FIXTURES])] == ["changes", "machines", "zone-a", "zone-b"]
    with pytest.raises(UnreadableError, match=r"no \.json or \.csv file"):
        read_traces([tmp_path])


def test_all_real_traces_are_read() -> None:
    files = sorted(shared("data/gpu_traces/aws_spot_traces").rglob("*.json"))
    traces = read_traces(files)

    assert len(traces) == 34
    for file, trace in zip(files, traces, strict=True):
        raw = json.loads(file.read_text(encoding="utf-8"))
        assert trace.counts.tolist() == raw["data"]
        assert trace.end == raw["metadata"]["gap_seconds"] * len(raw["data"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        (b"\x1f\x8b\x08\x00\xff", "is not UTF-8"),
        ("{", "is not JSON"),
        ("[1, 2]", "metadata or data is missing"),
        ('{"data": [1]}', "metadata or data is missing"),
        ('{"metadata": {"gap_seconds": 60}, "data": {}}', "metadata or data is missing"),
        ('{"metadata": {}, "data": [1]}', "gap_seconds is null"),
        ('{"metadata": {"gap_seconds": 0}, "data": [1]}', "gap_seconds is 0"),
        ('{"metadata": {"gap_seconds": NaN}, "data": [1]}', "gap_seconds is NaN"),
        ('{"metadata": {"gap_seconds": 1e999}, "data": [1]}', "gap_seconds is Infinity"),
        ('{"metadata": {"gap_seconds": true}, "data": [1]}', "gap_seconds is true"),
        ('{"metadata": {"gap_seconds": [60]}, "data": [1]}', "gap_seconds is a list"),
        ('{"metadata": {"gap_seconds": 60}, "data": []}', "has no ticks"),
        ('{"metadata": {"gap_seconds": 60}, "data": [1, null]}', r"data\[1\] is null"),
        ('{"metadata": {"gap_seconds": 60}, "data": [1, -1]}', r"data\[1\] is -1"),
        ('{"metadata": {"gap_seconds": 60}, "data": [0.5]}', r"data\[0\] is 0.5"),
        ('{"metadata": {"gap_seconds": 60}, "data": [1e99]}', r"data\[0\] is 1e\+99"),
        ('{"metadata": {"gap_seconds": 60}, "data": ["1"]}', r"data\[0\] is 1,"),
        ('{"metadata": {"gap_seconds": 60}, "data": [' + "9" * 5000 + "]}", "is not JSON"),
        ('{"metadata": {"gap_seconds": 3e9}, "data": [1, 1]}', "more than a century"),
        ("[" * 100_000, "is not JSON"),
        ("hour,gpus\n1,1\n", "trace.csv:1: is no trace"),
        ("time,time,instances_up\n1,1,1\n", "trace.csv:1: is no trace"),
        ("time,instances_up\n", "has no time in it"),
        ("time,instances_up\n0,1\n", "has no time in it"),
        ("time,instances_up\n0,1\n60\n", "trace.csv:3: has 1 fields"),
        ("time,instances_up\n0,1\nyesterday,1\n", "trace.csv:3: 'yesterday' is no time"),
        ("time,instances_up\n0,1\n1790000000000,1\n", "trace.csv:3: '1790000000000' is no time"),
        ("time,instances_up\n0,1\n2026-10-01,1\n", "trace.csv:3: mixes dates and seconds"),
        ("time,instances_up\n0,1\n60,1\n60,0\n", "trace.csv:4: the time 60 is not later"),
        ("time,instances_up\n60,1\n0,0\n", "trace.csv:3: the time 0 is not later"),
        ("time,instances_up\n0,1\n60,\n", "trace.csv:3: '' is no number"),
        ("time,instances_up\n0,1\n60,nan\n", "trace.csv:3: 'nan' is no number"),
        ("time,instances_up\n0,1\n60,1_0\n", "trace.csv:3: '1_0' is no number"),
        ("time,instances_up\n0001-01-01,1\n9999-12-31,1\n", "more than a century"),
        ("time,instances_up\n0," + "1" * 200_000 + "\n", "is not CSV"),
    ],
)
def test_what_can_not_be_used_is_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=message) as error:
        read_trace(written(tmp_path, content))
    assert error.value.where is not None


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path / "nul\0byte.json"):
        with pytest.raises(UnreadableError, match="can't be read"):
            read_traces([path])


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as handle:
        handle.truncate(65 * 1024 * 1024)
    with pytest.raises(UnreadableError, match="larger than 64 MiB"):
        read_trace(path)


def never_crashes(path: Path) -> None:
    try:
        trace = read_trace(path)
    except UnreadableError:
        return
    assert 0 <= trace.capacity(1).availability <= 1


@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    never_crashes(written(tmp_path_factory.getbasetemp(), content))


@given(_JSON, _JSON)
def test_any_json(tmp_path_factory: pytest.TempPathFactory, gap: object, data: object) -> None:
    for document in ({"metadata": {"gap_seconds": gap}, "data": data}, {"metadata": gap, "data": data}, data):
        never_crashes(written(tmp_path_factory.getbasetemp(), json.dumps(document), "any.json"))


@given(st.lists(st.lists(_CELLS, max_size=3), max_size=6))
def test_any_table(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    text = "time,instances_up\n" + "\n".join(",".join(row) for row in rows)
    never_crashes(written(tmp_path_factory.getbasetemp(), text))


def test_files_with_a_few_bytes_changed(tmp_path: Path) -> None:
    chance = random.Random(9)
    for name in ("machines.json", "changes.csv"):
        whole = (FIXTURES / name).read_bytes()
        for _ in range(500):
            content = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
            for _ in range(min(len(content), chance.randrange(4))):
                content[chance.randrange(len(content))] = chance.randrange(256)
            never_crashes(written(tmp_path, bytes(content), name))
