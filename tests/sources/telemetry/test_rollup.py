"""Readings of GPUs become hours that add up to the card: to the last digit, in any order, however often told."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.sources.telemetry.rollup import Row, Rules, grid, roll_up
from outlay.sources.telemetry.samples import (
    METRICS,
    NOBODY,
    Holder,
    Part,
    Sample,
    Telemetry,
    micros,
    whole,
    whole_of_text,
)

TEN = datetime(2026, 10, 1, 10)
CARD = Part("GPU-1", host="node-a", index=0, model="NVIDIA H100 80GB HBM3")
ALICE = Holder("alice-0", "research", "train")
BOB = Holder("bob-0", "serving", "vllm")
ENGINE, UTIL = "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"
TENSOR, POWER = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_DEV_POWER_USAGE"
ENERGY, MEMORY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_FB_USED"
HOUR = 10**9


def rolled(samples: list[Sample], rules: Rules | None = None) -> list[Row]:
    telemetry = Telemetry()
    for sample in samples:
        telemetry.add(sample)
    return list(roll_up(telemetry, rules or Rules()))


def every(seconds: int, count: int, value: str | None, **of: object) -> list[Sample]:
    start = of.get("start", TEN)
    assert isinstance(start, datetime)
    return [
        Sample(
            start + timedelta(seconds=seconds * tick),
            of.get("part", CARD),  # type: ignore[arg-type]
            of.get("holder", ALICE),  # type: ignore[arg-type]
            str(of.get("metric", ENGINE)),
            None if value is None else Decimal(value),
        )
        for tick in range(count)
    ]


def at(minute: int) -> datetime:
    return TEN + timedelta(minutes=minute)


def test_an_hour_is_split_into_busy_and_idle() -> None:
    """By hand: 15 minutes at 0.8, 30 at 0.01, 15 at 0.05, which is not below the threshold of 0.05."""
    samples = [
        *every(60, 15, "0.8"),
        *every(60, 30, "0.01", start=at(15)),
        *every(60, 16, "0.05", start=at(45)),
    ]
    (row,) = rolled(samples)
    assert row.hours == (500_000_000, 500_000_000, 0, 0)
    assert row.active == 200_000_000 + 5_000_000 + 12_500_000
    assert (row.metric, row.samples) == (ENGINE, 60)


def test_time_is_cut_at_the_hour() -> None:
    """A scrape at 10:59:30 stands for half a minute of each hour."""
    rows = rolled(every(60, 3, "1", start=datetime(2026, 10, 1, 10, 58, 30)))
    assert [row.hours for row in rows] == [(25_000_000, 0, 0, 0), (8_333_333, 0, 0, 0)]
    assert [(row.start, row.end) for row in rows] == [
        (micros(datetime(2026, 10, 1, 10, 58, 30)), micros(at(60))),
        (micros(at(60)), micros(datetime(2026, 10, 1, 11, 0, 30))),
    ]


def test_a_gap_is_no_telemetry_never_idleness() -> None:
    """Scrapes each minute stop at 10:10 and go on at 10:40: one stands for 3 minutes, the other 27 were not seen."""
    (row,) = rolled([*every(60, 11, "0"), *every(60, 21, "0", start=at(40))])
    minute = Fraction(HOUR, 60)
    assert row.hours == (0, round(33 * minute), round(27 * minute), 0)


def test_a_gap_between_two_holders_is_nobodys_for_sure_and_no_ones_idleness() -> None:
    rows = rolled([*every(60, 11, "1"), *every(60, 21, "1", start=at(40), holder=BOB)])
    by_holder = {row.key.holder: row for row in rows}
    assert by_holder[None].hours == (0, 0, 450_000_000, 0)
    assert by_holder[None].key.remark == "holder not known"
    assert by_holder[ALICE].hours == (216_666_667, 0, 0, 0)
    assert sum(sum(row.hours) for row in rows) == HOUR


def test_a_longest_gap_can_be_given() -> None:
    (row,) = rolled([*every(60, 11, "0"), *every(60, 21, "0", start=at(40))], Rules(max_gap_seconds=3600))
    assert row.hours == (0, HOUR, 0, 0)


def test_nan_is_no_telemetry() -> None:
    (row,) = rolled([*every(60, 30, "0.5"), *every(60, 31, "NaN", start=at(30))])
    assert row.hours == (500_000_000, 0, 500_000_000, 0)
    assert row.active == 250_000_000


def test_a_card_without_an_activity_metric_was_not_seen_to_be_idle() -> None:
    (row,) = rolled(every(60, 61, "300", metric=POWER))
    assert row.hours == (0, 0, HOUR, 0)
    assert (row.metric, row.active) == (None, None)


def test_an_empty_holder_is_unallocated_even_where_somebody_works_on_the_card() -> None:
    (row,) = rolled(every(60, 61, "0.9", holder=NOBODY))
    assert row.hours == (0, 0, 0, HOUR)
    assert row.active is None
    assert row.active_while_free


def test_a_source_that_tells_no_holder_does_not_make_a_card_free() -> None:
    (row,) = rolled(every(60, 61, "0.9", holder=None))
    assert row.hours == (HOUR, 0, 0, 0)
    assert row.key.remark == "holder not told"


def test_per_cent_and_ratio_are_one_scale() -> None:
    (percent,) = rolled(every(60, 61, "40", metric=UTIL))
    (ratio,) = rolled(every(60, 61, "0.4"))
    assert percent.active == ratio.active == 400_000_000


def test_one_metric_speaks_for_a_card_and_its_name_is_carried() -> None:
    samples = [*every(60, 61, "99", metric=UTIL), *every(60, 31, "0.4"), *every(60, 61, "0.1", metric=TENSOR)]
    (engine,) = rolled(samples)
    (util,) = rolled(samples, Rules(metric=UTIL))
    (tensor,) = rolled(samples, Rules(metric=TENSOR))
    assert (engine.metric, engine.active, engine.hours[2]) == (ENGINE, 206_666_667, 483_333_333)
    assert (util.metric, util.active) == (UTIL, 990_000_000)
    assert (tensor.metric, tensor.active) == (TENSOR, 100_000_000)


def test_one_fleet_is_seventy_thirty_eight_or_twelve_per_cent_utilised() -> None:
    """Four cards whose GPU_UTIL, SM and tensor activity have the means of a published fleet, rounded."""
    sm = "DCGM_FI_PROF_SM_ACTIVE"
    told = {UTIL: ("100", "100", "80", "0"), sm: ("0.6", "0.5", "0.42", "0"), TENSOR: ("0.2", "0.18", "0.1", "0")}
    samples = [
        sample
        for metric, values in told.items()
        for card, value in enumerate(values)
        for sample in every(60, 61, value, part=Part(f"GPU-{card}"), metric=metric)
    ]
    found = {}
    for metric in told:
        rows = rolled(samples, Rules(metric=metric))
        assert {row.metric for row in rows} == {metric}
        found[metric] = Fraction(sum(row.active or 0 for row in rows), sum(sum(row.hours[:3]) for row in rows))
    assert found == {UTIL: Fraction(7, 10), sm: Fraction(38, 100), TENSOR: Fraction(12, 100)}


def test_time_slicing_gives_equal_parts() -> None:
    """Two pods on one card for half an hour, then one alone: 45 and 15 minutes, and the card's energy with them."""
    samples = [
        *every(60, 61, "0.6"),
        *every(60, 30, "0.6", holder=BOB),
        *every(60, 61, "400", metric=POWER),
        *every(60, 61, "20480", metric=MEMORY),
        *every(60, 30, "20480", metric=MEMORY, holder=BOB),
    ]
    rows = rolled(samples)
    by_key = {(row.key.holder, row.key.remark): row for row in rows}
    assert by_key[ALICE, None].hours == (500_000_000, 0, 0, 0)
    assert by_key[ALICE, "time-sliced"].hours == by_key[BOB, "time-sliced"].hours == (250_000_000, 0, 0, 0)
    assert by_key[BOB, "time-sliced"].key.share == Fraction(1, 2)
    assert sum(row.energy or 0 for row in rows) == 400 * 10**6 * 3600 * 10**6  # 400 W for an hour, in picojoules
    assert by_key[BOB, "time-sliced"].memory == (10 << 30) * 1800 * 10**6


def mig(instance: str, profile: str, model: str = "NVIDIA H100 80GB HBM3") -> Part:
    return Part("GPU-1", instance, profile, "node-a", 0, model)


def test_mig_instances_and_the_rest_add_up_to_the_card() -> None:
    samples = [
        *every(60, 61, "1", part=mig("7", "1g.10gb")),
        *every(60, 61, "0", part=mig("3", "2g.20gb"), holder=BOB),
        *every(60, 61, "0.2", part=mig("5", "1g.10gb+me"), holder=NOBODY),
        *every(60, 61, "55"[:1], metric=UTIL),  # the whole card beside its instances says nothing more
    ]
    rows = {(row.key.part.instance, row.key.holder): row for row in rolled(samples)}
    assert rows["7", ALICE].hours == (142_857_143, 0, 0, 0)
    assert rows["3", BOB].hours == (0, 285_714_286, 0, 0)
    assert rows["5", NOBODY].hours == (0, 0, 0, 142_857_143)
    assert rows[None, NOBODY].hours == (0, 0, 0, 428_571_428)
    assert rows["7", ALICE].key.share == Fraction(1, 7)
    assert rows["7", ALICE].active == 142_857_143
    assert sum(sum(row.hours) for row in rows.values()) == HOUR


@pytest.mark.parametrize(
    ("profile", "model", "share"),
    [
        ("1g.6gb", "NVIDIA A30", Fraction(1, 4)),
        ("2g.12gb", "NVIDIA A30", Fraction(1, 2)),
        ("3g.40gb", "NVIDIA A100-SXM4-80GB", Fraction(3, 7)),
        ("1c.3g.40gb", "NVIDIA A100-SXM4-80GB", Fraction(3, 7)),
        ("7g.180gb", "NVIDIA B200", Fraction(1)),
        ("1g.24gb", "NVIDIA RTX PRO 6000 Blackwell Server Edition", Fraction(1, 4)),
    ],
)
def test_a_profile_is_so_many_slices_of_its_card(profile: str, model: str, share: Fraction) -> None:
    rows = rolled(every(60, 61, "1", part=mig("1", profile, model)))
    assert next(row.key.share for row in rows if row.key.holder == ALICE) == share
    assert sum(sum(row.hours) for row in rows) == HOUR


def test_a_card_that_is_partitioned_anew_is_never_more_than_a_card() -> None:
    """Seven small instances for half an hour, then one large one; a pod moves from the one to the other."""
    samples = [
        *(one for number in range(7) for one in every(60, 30, "1", part=mig(str(number), "1g.10gb"), holder=NOBODY)),
        *every(60, 31, "0.5", part=mig("0", "7g.80gb"), start=at(30)),
    ]
    rows = rolled(samples)
    assert len(rows) == 8
    assert sum(row.hours[3] for row in rows) == 500_000_000
    assert [row.hours for row in rows if row.key.holder == ALICE] == [(500_000_000, 0, 0, 0)]


def test_a_time_sliced_instance_is_shared_within_its_slices() -> None:
    part = mig("1", "3g.40gb")
    rows = rolled([*every(60, 61, "1", part=part), *every(60, 61, "1", part=part, holder=BOB)])
    by_holder = {row.key.holder: row for row in rows}
    assert by_holder[ALICE].key.share == by_holder[BOB].key.share == Fraction(3, 14)
    assert {by_holder[ALICE].hours[0], by_holder[BOB].hours[0]} <= {214_285_714, 214_285_715}
    assert sum(sum(row.hours) for row in rows) == HOUR


def test_an_instance_of_an_unknown_profile_has_no_known_share() -> None:
    (row,) = rolled(every(60, 61, "1", part=Part("GPU-1", "7")))
    assert row.hours == (0, 0, HOUR, 0)
    assert row.key.remark == "MIG profile not known"


def test_energy_is_by_the_counter_and_by_the_gauge_where_it_was_reset() -> None:
    """A counter of 6 kJ a minute (100 W) for half an hour, reset at 10:31; the gauge says 200 W in that minute."""
    counter = [
        *(Sample(at(m), CARD, ALICE, ENERGY, 10**9 + 6_000_000 * m) for m in range(31)),
        *(Sample(at(m), CARD, ALICE, ENERGY, 6_000_000 * m) for m in range(31, 61)),
    ]
    (row,) = rolled([*every(60, 61, "1"), *counter, *every(60, 61, "200", metric=POWER)])
    assert row.energy == (59 * 100 + 200) * 60 * 10**12


def test_two_files_of_halves_of_an_hour_add_up() -> None:
    thirds = [TEN + timedelta(seconds=second, microseconds=333_333) for second in range(0, 3601, 100)]
    samples = [Sample(one, CARD, ALICE, ENGINE, Decimal(1)) for one in thirds]
    (both,) = [row for row in rolled(samples) if row.start < micros(at(60))]
    (first,) = rolled(samples[:15])
    (second,) = [row for row in rolled(samples[14:]) if row.start < micros(at(60))]
    assert first.hours[0] + second.hours[0] == both.hours[0]
    assert first.end == second.start


def test_a_silence_of_more_than_a_week_says_nothing_of_the_card() -> None:
    """A wrong clock, or a card that was given back and came again: two stretches, and no years between them."""
    week = timedelta(days=7)
    stretches = [*every(60, 61, "1"), *every(60, 61, "1", start=at(60) + week + timedelta(seconds=1))]
    assert (
        sum(sum(row.hours) for row in rolled([*every(60, 1, "1", start=datetime(26, 10, 1)), *stretches])) == 2 * HOUR
    )
    years_apart = [*every(60, 1, "1", start=datetime(26, 10, 1)), *every(60, 1, "1")]
    assert rolled(years_apart) == []
    silent = [*every(60, 61, "1"), *every(60, 61, "1", start=at(60) + week)]
    assert sum(row.hours[2] for row in rolled(silent)) == 7 * 24 * HOUR - 3 * HOUR // 60


def test_a_card_seen_once_has_no_hours() -> None:
    assert rolled(every(60, 1, "1")) == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "140737488355328", "1e400", "1e-400", "9" * 60])
def test_what_a_metric_cannot_have_is_no_reading(value: str) -> None:
    assert whole(METRICS[ENGINE], value) == (0 if value == "1e-400" else -1)
    assert whole(METRICS[ENGINE], "1.000001") == 10**9  # profiling counters come out a little over 1


@given(st.decimals(allow_nan=True), st.sampled_from(sorted(METRICS)))
def test_text_is_read_as_exactly_as_a_number(value: Decimal, metric: str) -> None:
    for text in (
        str(value),
        format(value, "f") if value.is_finite() and abs(value.adjusted()) < 40 else "0.1234567890123",
    ):
        assert whole_of_text(METRICS[metric], text) == whole(METRICS[metric], Decimal(text))


PARTS = [CARD, Part("GPU-1"), Part("GPU-2"), mig("1", "1g.10gb"), mig("2", "3g.40gb"), Part("GPU-2", "9")]
VALUES = st.one_of(st.none(), st.sampled_from(["NaN", "0", "0.04", "0.05", "1", "1.2"]), st.decimals(0, 1, places=6))
SAMPLES = st.lists(
    st.builds(
        Sample,
        at=st.datetimes(datetime(2026, 10, 1, 9, 30), datetime(2026, 10, 1, 12, 30)),
        part=st.sampled_from(PARTS),
        holder=st.sampled_from([None, NOBODY, ALICE, BOB]),
        metric=st.sampled_from([ENGINE, UTIL, POWER, ENERGY, MEMORY]),
        value=VALUES.map(lambda one: None if one is None else Decimal(one)),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(SAMPLES, st.randoms(use_true_random=False), st.sampled_from([None, 60, 100_000]))
def test_parts_add_up_to_the_card_in_any_order(
    samples: list[Sample], chance: random.Random, max_gap: int | None
) -> None:
    rules = Rules(max_gap_seconds=max_gap)
    rows = rolled(samples, rules)
    again = [*samples, *samples]
    chance.shuffle(again)
    assert rolled(again, rules) == rows

    known: dict[tuple[str, int], int] = defaultdict(int)
    for row in rows:
        busy, idle, unseen, free = row.hours
        assert min(row.hours) >= 0
        assert row.active is None or 0 <= row.active <= busy + idle
        assert (row.active is None) == (row.metric is None)
        assert row.key.holder != NOBODY or busy + idle + unseen == 0
        assert row.key.holder == NOBODY or free == 0
        assert 0 < row.key.share <= 1
        known[row.card.card, row.start // 3_600_000_000] += sum(row.hours)

    moments: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        moments[sample.part.card].append(micros(sample.at))
    for card, times in moments.items():
        for hour in range(min(times) // 3_600_000_000, max(times) // 3_600_000_000 + 1):
            start = max(min(times), hour * 3_600_000_000)
            end = min(max(times), (hour + 1) * 3_600_000_000)
            assert known.pop((card, hour), 0) == grid(end) - grid(start)
    assert not known
