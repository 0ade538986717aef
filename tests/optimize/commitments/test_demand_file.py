"""A demand file: empty is a gap and never zero, a bad cell is told, and a doubtful file is refused whole."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.errors import OutlayError, UnreadableError
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.demand_file import read_demand


def written(folder: Path, text: str) -> Path:
    path = folder / "demand.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_dates_gaps_and_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "hour,A10,H100/us-east-1/inference\n"
        "2026-10-01T02:00:00Z,3,0\n"
        "2026-10-01T02:00:00+02:00,1.5,\n",  # that is midnight UTC
    )
    found = read_demand(path)
    first, second = found.pools
    assert (first.pool, first.first) == ("A10", datetime(2026, 10, 1))
    assert first.known.tolist() == [True, False, True]
    assert first.nanos.tolist() == [1_500_000_000, 0, 3 * NANOS]
    assert second.known.tolist() == [False, False, True]
    assert (second.hours, second.gaps, second.total) == (1, 2, 0)
    assert found.problems == ()


def test_numbers_of_hours(tmp_path: Path) -> None:
    (pool,) = read_demand(written(tmp_path, "hour,A\n7,1\n9,2.123456789\n")).pools
    assert pool.first == 7
    assert pool.nanos.tolist() == [NANOS, 0, 2_123_456_789]


def test_bad_cells_beyond_a_thousand_are_counted(tmp_path: Path) -> None:
    problems = read_demand(written(tmp_path, "hour,A\n" + "".join(f"{hour},-1\n" for hour in range(1003)))).problems
    assert len(problems) == 1001
    assert problems[-1].message == "only the first 1,000 are listed: 3 more can't be used"


def test_a_bad_cell_is_a_problem_and_a_gap(tmp_path: Path) -> None:
    found = read_demand(written(tmp_path, "hour,A,B\n0,x,1\n1,-2,1\n2,1_000,1\n3,nan,1\n4,2000000,1\n5,1\n"))
    first, second = found.pools
    assert first.known.tolist() == [False, False, False, False, False, True]
    assert second.known.tolist() == [True, True, True, True, True, False]
    assert [(one.line, one.code) for one in found.problems] == [
        (2, "unparsable-amount"),
        (3, "negative-quantity"),
        (4, "unparsable-amount"),
        (5, "unparsable-amount"),
        (6, "unfit-value"),
        (7, "ragged-row"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not start with the column 'hour'"),
        ("time,A\n0,1\n", "does not start with the column 'hour'"),
        ("time,A\n0,1\n", "but with 'time'"),
        ("hour;A\n0;1,5\n", "has its cells parted by semicolons. Save it parted by commas"),
        ("hour\tA\n0\t1\n", "has its cells parted by tabs"),
        ("hour,A\n2026-10-01,1\n2026-10-01,2\n", "demand.csv:3: tells the hour .* Write the time of day too"),
        ("hour\n0\n", "a pool without a name"),
        ("hour,A,A\n0,1,1\n", "has the pool 'A' twice"),
        ("hour,A\n", "has no rows"),
        ("hour,A\nsoon,1\n", "demand.csv:2: 'soon' is not an hour"),
        ("hour,A\n0,1\n2026-10-01T00:00:00Z,1\n", "demand.csv:3: '2026-10-01T00:00:00Z' stands among numbers"),
        ("hour,A\n2026-10-01T00:30:00Z,1\n", "is not on the full hour"),
        ("hour,A\n3,1\n4,1\n3,2\n", "demand.csv:4: tells the hour 3 twice"),
        ("hour,A\n0,1\n9999999,1\n", "more than twenty years"),
        ('hour,A\n0,"1\n', "is not a CSV file that can be read"),
    ],
)
def test_a_doubtful_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        read_demand(written(tmp_path, text))


def test_a_spreadsheet_that_was_not_exported(tmp_path: Path) -> None:
    path = tmp_path / "demand.csv"
    path.write_bytes("hour,A\n0,1\n".encode("utf-16"))
    with pytest.raises(UnreadableError, match=r"is not text in UTF-8\. .*save it as CSV UTF-8"):
        read_demand(path)
    with pytest.raises(UnreadableError, match=r"none\.csv: can't be read: No such file or directory\. Check --demand"):
        read_demand(tmp_path / "none.csv")


def test_a_decimal_comma_is_told_and_not_guessed(tmp_path: Path) -> None:
    found = read_demand(written(tmp_path, 'hour,A\n0,"12,56"\n1,1\n'))
    assert found.pools[0].known.tolist() == [False, True]
    assert "(write 12.56)" in found.problems[0].message


def test_one_pool_of_many(tmp_path: Path) -> None:
    path = written(tmp_path, "hour,A10,A100\n0,1,2\n")
    assert [one.pool for one in read_demand(path, ["A100"]).pools] == ["A100"]
    with pytest.raises(UnreadableError, match=r"has no pool 'A101'. Did you mean"):
        read_demand(path, ["A101"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"hour,A\n{text}".encode())))
def test_it_never_crashes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz.csv"
    path.write_bytes(content)
    with suppress(OutlayError):
        read_demand(path)
