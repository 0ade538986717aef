"""GPU hours and lost hours are exact, what is unknown stays unknown, and what contradicts itself is no row."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.ledger.tables.runs import OUTCOMES_OF_RUNS
from outlay.sources.fact_file import Unusable
from outlay.sources.runs import states
from outlay.sources.runs.attempt import Attempt, at, quantity, rounded_to, text
from outlay.sources.runs.gpu_names import gpu_type, slice_share

START = datetime(2026, 10, 3, 4)


def attempt(**more: Any) -> Attempt:
    known: dict[str, Any] = {"run_id": "r", "outcome": "failed", "state": "FAILED", "started": START}
    return Attempt(**(known | more))


@given(gpus=st.integers(1, 100_000), seconds=st.integers(0, 10**8))
def test_gpu_hours_are_exact_to_the_18th_decimal(gpus: int, seconds: int) -> None:
    hours = attempt(gpus=gpus, held=seconds).gpu_hours
    assert hours is not None
    assert abs(Fraction(hours) - Fraction(gpus * seconds, 3600)) <= Fraction(1, 2 * 10**18)


def test_what_the_source_says_of_time_held_wins_over_start_and_end() -> None:
    ended = START + timedelta(hours=2)
    assert attempt(gpus=2, ended=ended).gpu_hours == Decimal(4)
    assert attempt(gpus=2, ended=ended, held=1800).gpu_hours == Decimal(1)
    assert attempt(ended=ended).gpu_hours is None
    assert attempt(gpus=2).gpu_hours is None
    assert attempt(gpus=0, ended=ended).gpu_hours == Decimal(0)


@pytest.mark.parametrize(
    ("outcome", "checkpoint", "lost"),
    [
        ("failed", timedelta(minutes=90), "1"),  # 2 GPUs x 30 minutes
        ("preempted", timedelta(hours=-5), "4"),  # before the start: all of it
        ("cancelled", timedelta(hours=3), "0"),  # after the end, as another clock has it
        ("unknown", timedelta(hours=1), "2"),
        ("failed", None, None),
        ("succeeded", timedelta(hours=1), None),
        ("running", timedelta(hours=1), None),
        ("pending", timedelta(hours=1), None),
    ],
)
def test_lost_hours_run_from_the_last_checkpoint(outcome: str, checkpoint: timedelta | None, lost: str | None) -> None:
    one = attempt(
        outcome=outcome,
        gpus=2,
        ended=START + timedelta(hours=2),
        checkpoint=None if checkpoint is None else START + checkpoint,
    )
    assert one.lost_gpu_hours == (None if lost is None else Decimal(lost))


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"ended": START - timedelta(seconds=1)}, "period-reversed"),
        ({"gpus": -1}, "negative-quantity"),
        ({"held": -1}, "negative-quantity"),
        ({"gpus": 10**12}, "unparsable-amount"),
        ({"gpus": 10**11, "held": 10**14}, "unparsable-amount"),
    ],
)
def test_contradictions_are_no_rows(more: dict[str, Any], code: str) -> None:
    with pytest.raises(Unusable) as caught:
        attempt(**more).fact(1)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2026-10-03T06:00:00+02:00", START), (1791000000, START), ("1791000000", START), (0, None), (None, None)],
)
def test_times(value: Any, expected: datetime | None) -> None:
    assert at(value, "time") == expected


@pytest.mark.parametrize("value", ["soon", True, -1, 10**30, Decimal("1e40"), "9999-12-31T23:59:59-14:00", [], {}])
def test_what_is_no_time_is_said_so(value: Any) -> None:
    with pytest.raises(Unusable, match="is not a time"):
        at(value, "time")


def test_quantities_and_texts() -> None:
    assert quantity("8", "GPUs") == Decimal(8)
    assert quantity(Decimal("1e-30"), "GPUs") == Decimal(0)
    assert quantity(None, "GPUs") is None
    wrong: list[Any] = ["eight", True, "NaN", 10**12, [], {}]
    for value in wrong:
        with pytest.raises(Unusable, match="is not a usable number"):
            quantity(value, "GPUs")
    assert rounded_to(Fraction(1, 3), 6) == Decimal("0.333333")
    assert text("  x ") == "x"
    assert text("\ud800") == "?"
    assert text(7) == "7"
    none: list[Any] = ["", " ", None, True, Decimal("1.5"), [], {}]
    assert [text(value) for value in none] == [None] * 7
    assert len(text("x" * 5000) or "") == 1000


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("h100", "H100"),
        ("nvidia_h100_80gb_hbm3", "H100"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("a100", "A100"),
        ("V100M16", "V100-16GB"),
        ("nvidia-tesla-t4", "T4"),
        ("amd_mi300x", "MI300X"),
        ("rtx_pro_6000", "RTX-PRO-6000"),
        ("NVIDIA L40S", "L40S"),
        ("a100_1g.5gb", "A100"),
        ("G2", "G2"),
        ("", None),
        (None, None),
    ],
)
def test_names_of_gpus(name: str | None, card: str | None) -> None:
    assert gpu_type(name) == card


def test_shares_of_cards() -> None:
    assert slice_share("a100_1g.5gb") == Fraction(1, 7)
    assert slice_share("nvidia.com/mig-3g.40gb") == Fraction(3, 7)
    assert slice_share("a30_2g.12gb") == Fraction(2, 4)
    assert slice_share("h100") == slice_share(None) == 1


def test_every_word_of_every_system_is_one_of_our_outcomes() -> None:
    tables = [one for one in vars(states).values() if isinstance(one, states.States)]
    assert len(tables) == 10
    for table in tables:
        assert set(table.words.values()) <= set(OUTCOMES_OF_RUNS), table.system
        assert table.source
        assert table.outcome("no such word") == table.outcome(None) == "unknown"
