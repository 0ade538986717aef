"""What stands keeps its date while nothing changes, is withdrawn by a drop of demand, and is computed when due."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.config import Settings
from outlay.errors import LedgerError, UsageError
from outlay.ledger.store import Ledger
from outlay.ledger.tables.recommendations import RECOMMENDATIONS
from outlay.optimize.commitments.inputs import NoGpuHoursError, inputs_from_ledger
from outlay.optimize.commitments.standing import standing_table
from outlay.optimize.commitments.standing.recompute import after_load, recompute
from outlay.optimize.commitments.standing.standing import Before, Computation, Recommendation, stand
from outlay.optimize.commitments.standing.standing_table import keep, known_already, newest, read
from outlay.optimize.commitments.standing.status import status_of
from outlay.report.commit_status import change_line
from outlay.sources.loading import load
from tests.optimize.commitments.ledgers import ARN, MORE, gpu, reserved
from tests.optimize.commitments.standings import (
    NOW,
    POOL,
    STEADY,
    ledger_with,
    offers,
    recomputed,
    settings_of,
)
from tests.sources.focus_bills import COLUMNS, write_csv

HALVED = [5] * 7
DAY = timedelta(days=1)


def made(level: str | None = "100", verdict: Any = "commit", *, days: float = 0, **more: Any) -> Recommendation:
    """A recommendation of 1y, computed so many days after NOW."""
    at = NOW + timedelta(days=days)
    amount = None if level is None else Decimal(level)
    told: dict[str, Any] = {
        "computed": Computation(at, "load", f"digest {days}", {"costs": int(days)}),
        "pool": POOL,
        "verdict": verdict,
        "since": at,
        "because": "It is so.",
        "reasons": ("It is so.",),
        "would_change": ("Much.",),
        "unit": "GPUs",
        "owned": Decimal(0),
        "offer": "1y" if verdict == "commit" else None,
        "level": amount,
        "level_then": amount,
    }
    return Recommendation(**(told | more))


def after(*rows: Recommendation) -> list[Recommendation]:
    """Each laid beside the one before."""
    known: list[Recommendation] = []
    for row in rows:
        known += stand([row], known[-1:], row.computed)
    return known


def files_of(ledger: Ledger) -> tuple[int, int]:
    """Files of the table that are live, and that are on the disk."""
    folder = ledger.recommendations()
    return len(folder.live()), len(list(folder.path.glob("*=*/**/*.parquet")))


def test_a_first_commit_is_new_and_stands_since_then(tmp_path: Path) -> None:
    one = recomputed(ledger_with(tmp_path, STEADY), settings_of(tmp_path))
    assert (one.pool, one.verdict, one.change, one.before, one.since) == (POOL, "commit", "new", None, NOW)
    assert (one.offer, one.currency, one.owned) == ("1y", "USD", Decimal(0))
    assert one.level == one.buy == one.level_then
    assert one.level is not None
    assert 0 < one.level <= 56  # 70 % of 80 GPUs
    assert one.demand_until == datetime(2027, 1, 28)
    assert one.reasons[-1] == one.because
    assert "1y is 40% cheaper than on-demand" in one.because


def test_more_of_the_same_demand_keeps_the_date(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    recomputed(ledger_with(tmp_path, STEADY), settings)
    one = recomputed(ledger_with(tmp_path, [*STEADY, *[10] * 7]), settings, days=7)
    assert (one.verdict, one.since, one.change) == ("commit", NOW, None)
    assert (one.computed.at, one.demand_until) == (NOW + 7 * DAY, datetime(2027, 2, 4))


def test_a_sudden_drop_withdraws_and_is_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    first = recomputed(ledger_with(tmp_path, STEADY), settings)
    ledger = ledger_with(tmp_path, [*STEADY, *HALVED])
    (change,) = after_load(ledger, settings, ["costs"], now=NOW + 7 * DAY).changes

    assert (change.verdict, change.change, change.since) == ("wait", "withdrawn", NOW + 7 * DAY)
    assert change.before == Before("commit", NOW, "1y", first.level)
    assert change.because.startswith("Demand dropped: the last seven days are 50% below the four weeks before.")
    assert (change.offer, change.level, change.buy, change.p50) == (None, None, None, None)
    line = change_line(change)
    assert line.startswith(f"{POOL}: commit withdrawn, since 2027-03-01 it was commit (")
    assert "GPUs of 1y). Demand dropped: " in line

    later = recomputed(ledger_with(tmp_path, [*STEADY, *HALVED, 5]), settings, days=8)
    assert (later.change, later.since) == (None, NOW + 7 * DAY)
    status = status_of(ledger, now=NOW + 8 * DAY)
    assert [(one.verdict, one.computed.at) for one in status.standing] == [("wait", NOW + 8 * DAY)]
    assert status.withdrawn == (replace(change, covered=False),)
    assert status_of(ledger, now=NOW + 98 * DAY).withdrawn == ()


@pytest.mark.parametrize(("late", "change"), [(1, None), (2, None), (3, "withdrawn")])
def test_machines_that_a_bill_has_not_told_yet_withdraw_nothing(tmp_path: Path, late: int, change: str | None) -> None:
    settings = settings_of(tmp_path)
    first = recomputed(ledger_with(tmp_path, STEADY), settings)
    known = len(STEADY) + 7 - late
    fee = {"SkuMeter": "TimedStorage-ByteHrs", "PricingUnit": "GB-Hours", "Tags": ""}
    rows = [gpu(24 * day, "240", cost="3840", hours=24) for day in range(known)]
    rows += [gpu(24 * (known + day), hours=24, **fee) for day in range(late)]
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [write_csv(tmp_path / "bill.csv", rows, [*COLUMNS, *MORE])], Settings())
    one = recomputed(ledger, settings, days=7)
    assert one.change == change
    if change is None:
        assert (one.since, one.level) == (NOW, first.level)
        assert one.demand_until == datetime(2026, 10, 1) + known * DAY
        assert settings.commitments.offers is not None
        given = inputs_from_ledger(ledger, (), settings.commitments.offers)
        assert any(f"nothing was used in the last {24 * late} hours" in note for note in given.notes)


def test_what_recovers_is_committed_again_with_a_new_date(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    first = recomputed(ledger_with(tmp_path, STEADY), settings)
    recomputed(ledger_with(tmp_path, [*STEADY, *HALVED]), settings, days=7)
    held = recomputed(ledger_with(tmp_path, [*STEADY, *HALVED * 5]), settings, days=35)
    assert (held.verdict, held.change) == ("wait", None)  # the drop is 35 days ago, and long_history_days are 90
    again = recomputed(ledger_with(tmp_path, [*STEADY, *HALVED * 15]), settings, days=105)
    assert (again.verdict, again.change, again.since) == ("commit", "changed", NOW + 105 * DAY)
    assert again.before == Before("wait", NOW + 7 * DAY, None, None)
    assert again.level is not None
    assert first.level is not None
    assert again.level < first.level
    assert "since 2027-03-08 it was wait" in change_line(again)


def test_what_was_bought_is_fulfilled_and_not_withdrawn(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    first = recomputed(ledger, settings)
    bought = tmp_path / "reserved.json"
    told = reserved(InstanceCount=9, Start="2027-01-01T00:00:00+00:00", End="2027-12-31T23:59:59+00:00")
    bought.write_text(json.dumps({"ReservedInstances": [told]}))
    load(ledger, [bought], Settings())
    one = recomputed(ledger, settings, days=1)
    assert first.level is not None
    assert one.owned == 72 > first.level
    assert (one.verdict, one.change) == ("wait", "fulfilled")
    assert one.because.startswith("1y: nothing to add to what is owned")
    assert "nothing more to buy" in change_line(one)
    assert status_of(ledger, now=NOW + DAY).withdrawn == ()


def test_a_part_that_was_bought_leaves_the_level_and_the_date(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    first = recomputed(ledger, settings)
    bought = tmp_path / "reserved.json"
    told = reserved(InstanceCount=1, Start="2027-01-01T00:00:00+00:00", End="2027-12-31T23:59:59+00:00")
    bought.write_text(json.dumps({"ReservedInstances": [told]}))
    load(ledger, [bought], Settings())
    one = recomputed(ledger, settings, days=1)
    assert (one.owned, one.level, one.since, one.change) == (Decimal(8), first.level, NOW, None)
    assert first.buy is not None
    assert one.buy == first.buy - 8


def test_the_level_may_move_by_a_tenth_of_what_it_began_with() -> None:
    rows = after(made("100"), made("109", days=1), made("91", days=2), made("110.1", days=3), made("119", days=4))
    assert [(one.since - NOW).days for one in rows] == [0, 0, 0, 3, 3]
    assert [one.change for one in rows] == ["new", None, None, "changed", None]
    assert rows[3].before == Before("commit", NOW, "1y", Decimal(91))
    assert [one.level_then for one in rows] == [100, 100, 100, Decimal("110.1"), Decimal("110.1")]


@pytest.mark.parametrize(
    ("earlier", "now", "change"),
    [
        (made(), made(offer="3y"), "changed"),
        (made(), made(None, "never"), "withdrawn"),
        (made(), made(None, "wait", covered=True), "fulfilled"),
        (made(None, "wait"), made(None, "never", covered=True), "changed"),
        (made(None, "never"), made(), "changed"),
        (made(None, "never"), made(None, "never", because="Another."), None),
    ],
)
def test_what_is_a_change(earlier: Recommendation, now: Recommendation, change: str | None) -> None:
    assert after(earlier, now)[-1].change == change


def test_waiting_from_the_start_is_no_change(tmp_path: Path) -> None:
    one = recomputed(ledger_with(tmp_path, [10] * 30), settings_of(tmp_path))
    assert (one.verdict, one.change) == ("wait", None)
    assert one.because == "30 days of production: a first commitment rests on at least 60."


def test_a_pool_without_demand_is_withdrawn_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    recomputed(ledger_with(tmp_path, STEADY), settings)
    ledger = ledger_with(tmp_path, [1], SkuMeter="BoxUsage:m5.large")
    one = recomputed(ledger, settings, days=1)
    assert (one.pool, one.verdict, one.change) == (POOL, "wait", "withdrawn")
    assert one.because == "The ledger knows no demand of this pool any more."
    assert recompute(ledger, settings, now=NOW + 3 * DAY, trigger="load") is None
    assert len(read(ledger)) == 2


def test_the_same_inputs_make_no_new_row_within_a_day(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    first = recomputed(ledger, settings)
    for hours in (0, 1, 23):
        assert recompute(ledger, settings, now=NOW + timedelta(hours=hours), trigger="load") is None
    assert len(read(ledger)) == 1
    again = recomputed(ledger, settings, days=1)
    assert (again.since, again.change, again.computed.inputs) == (NOW, None, first.computed.inputs)
    assert len(read(ledger)) == 2


def test_a_load_of_other_things_reads_no_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    recomputed(ledger, settings)
    reads: list[str] = []
    read_all: Callable[..., Any] = inputs_from_ledger

    def told(*arguments: Any, **more: Any) -> Any:
        reads.append("read")
        return read_all(*arguments, **more)

    monkeypatch.setattr("outlay.optimize.commitments.standing.recompute.inputs_from_ledger", told)
    other = [gpu(24 * day, SkuMeter="BoxUsage:m5.large", SubAccountId="2") for day in range(3)]
    load(ledger, [write_csv(tmp_path / "other.csv", other, [*COLUMNS, *MORE])], Settings(), source="other")
    assert len({scope.source for _, scope in ledger.live_files()}) == 2
    assert after_load(ledger, settings, ["costs"], now=NOW + DAY / 2).changes == ()
    assert reads == []

    # A row without a GPU, but of the commitment of some: what a payer's account was left with.
    told_of = {"CommitmentDiscountId": ARN, "CommitmentDiscountStatus": "Unused", "CommitmentDiscountCategory": "Usage"}
    other[0] |= told_of
    load(ledger, [write_csv(tmp_path / "other.csv", other, [*COLUMNS, *MORE])], Settings(), source="other")
    assert after_load(ledger, settings, ["costs"], now=NOW + DAY / 2).notes == ()
    assert reads == ["read"]
    # A day later all is read, whatever the files are.
    assert recomputed(ledger, settings, days=1).change is None
    assert reads == ["read"] * 2


def test_a_table_without_the_glance_gets_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.recommendations().create([one for one in RECOMMENDATIONS if one.name != "glance"])
    one = made()
    keep(ledger, [one], one.computed, DAY)
    assert "glance" in {field.name for field in ledger.recommendations().table().schema().fields}


def test_many_computations_are_put_together_and_read_as_they_were(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    rows = [made(days=0), *(made(None, "wait", days=n / 1000, p50=Decimal("0.01")) for n in range(1, 70))]
    for one in rows:
        keep(ledger, [one], one.computed, timedelta(0))
    assert files_of(ledger)[0] < 40
    assert [one.computed.at for one in read(ledger)] == [one.computed.at for one in rows]
    assert [one.change for one in read(ledger)] == ["new", "withdrawn", *[None] * 68]
    kept = read(ledger)[5]
    assert kept == replace(rows[5], since=rows[1].since)


@pytest.mark.parametrize("changed", ["demand", "offers", "settings"])
def test_other_inputs_are_computed_at_once(tmp_path: Path, changed: str) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    first = recomputed(ledger, settings)
    if changed == "demand":
        ledger_with(tmp_path, [*STEADY, 11])
    elif changed == "offers":
        text = offers(tmp_path).read_text()
        offers(tmp_path, text.replace("1.20", "1.99"))
    else:
        settings = settings_of(tmp_path, history_days=365)
    one = recomputed(ledger, settings, days=0.01)
    assert one.computed.inputs != first.computed.inputs


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    first = made("12.5", p50=Decimal("-3.25"), currency="EUR", demand_until=NOW, reasons=("a", "ü"), because="ü")
    second = made(None, "wait", days=1)
    told = [keep(ledger, [one], one.computed, DAY) for one in (first, second)]
    assert read(ledger) == [one for rows in told if rows for one in rows]
    assert [one.change for one in newest(read(ledger))] == ["withdrawn"]


def test_old_months_are_not_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for month in range(6):
        one = made(days=31 * month)
        keep(ledger, [one], one.computed, DAY)
    assert [one.computed.at.month for one in read(ledger)] == [5, 6, 7, 8]
    assert read(ledger)[-1].since == NOW


@pytest.mark.parametrize(
    ("last", "now", "known"),
    [
        (("a", 1, 0), ("a", 1, 1), True),
        (("a", 1, 0), ("a", 2, 1), True),
        (("a", 1, 0), ("a", 1, 24), False),
        (("a", 1, 0), ("b", 1, 1), False),
        (("a", 2, 0), ("b", 1, 1), True),  # the last one knew a newer table
        (("a", 2, 0), ("b", 1, 24), False),  # long ago: the ledger was made anew
        (("a", 1, 2), ("b", 2, 1), True),  # a later one is there
    ],
)
def test_what_is_known_already(last: tuple[str, int, int], now: tuple[str, int, int], known: bool) -> None:
    one, other = (
        Computation(NOW + timedelta(hours=hours), "load", digest, {"costs": version})
        for digest, version, hours in (last, now)
    )
    assert known_already(one, other, DAY) is known


def test_of_two_at_once_the_second_is_laid_beside_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "ledger")
    write: Callable[..., Any] = standing_table._write
    first, second = made("100"), made(None, "never", days=1)

    def overtaken(*arguments: Any) -> Any:
        written = write(*arguments)
        monkeypatch.setattr(standing_table, "_write", write)
        assert keep(ledger, [first], first.computed, DAY)
        return written

    monkeypatch.setattr(standing_table, "_write", overtaken)
    told = keep(ledger, [second], second.computed, DAY)
    assert told is not None
    assert [one.change for one in told] == ["withdrawn"]
    assert [one.verdict for one in read(ledger)] == ["commit", "never"]
    assert files_of(ledger) == (2, 2)


def test_many_at_once_of_the_same_are_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: recompute(ledger, settings, now=NOW, trigger="load"), range(4)))
    assert sum(one is not None for one in done) == 1
    assert files_of(ledger) == (1, 1)


def test_a_load_without_offers_does_nothing(tmp_path: Path) -> None:
    ledger = ledger_with(tmp_path, STEADY)
    found = after_load(ledger, Settings(), ["costs"], now=NOW)
    assert (found.changes, found.notes) == ((), ())
    assert not ledger.recommendations().exists()
    with pytest.raises(UsageError, match="no offers are set"):
        recompute(ledger, Settings(), now=NOW, trigger="asked")


def test_a_load_of_what_tells_no_demand_does_nothing(tmp_path: Path) -> None:
    ledger = ledger_with(tmp_path, STEADY)
    assert after_load(ledger, settings_of(tmp_path), ["requests", "runs"], now=NOW).changes == ()
    assert not ledger.recommendations().exists()


def test_a_ledger_without_gpus_says_nothing(tmp_path: Path) -> None:
    ledger = ledger_with(tmp_path, [1], SkuMeter="BoxUsage:m5.large")
    found = after_load(ledger, settings_of(tmp_path), ["costs"], now=NOW)
    assert (found.changes, found.notes) == ((), ())
    with pytest.raises(NoGpuHoursError):
        recompute(ledger, settings_of(tmp_path), now=NOW, trigger="asked")
    with pytest.raises(NoGpuHoursError, match="no bill and no telemetry"):
        recompute(Ledger(tmp_path / "none"), settings_of(tmp_path), now=NOW, trigger="asked")


@pytest.mark.parametrize("broken", ["bad offers", "no offers", "a bug"])
def test_what_goes_wrong_is_a_note_and_what_stood_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    settings = settings_of(tmp_path)
    ledger = ledger_with(tmp_path, STEADY)
    recomputed(ledger, settings)
    if broken == "bad offers":
        offers(tmp_path, "pool,offer\n*,1y\n")
    elif broken == "no offers":
        (tmp_path / "offers.csv").unlink()
    else:
        monkeypatch.setattr("outlay.optimize.commitments.standing.recompute.plan_of", lambda *_, **__: 1 / 0)
        ledger_with(tmp_path, [*STEADY, 10])
    found = after_load(ledger, settings, ["costs"], now=NOW + DAY)
    (note,) = found.notes
    assert note.startswith("GPU commitments were not computed anew")
    assert ("offers.csv" in note) is (broken != "a bug")
    assert ("ZeroDivisionError" in note) is (broken == "a bug")
    assert [one.verdict for one in read(ledger)] == ["commit"]


def test_the_status_says_when_it_is_not_current(tmp_path: Path) -> None:
    ledger = ledger_with(tmp_path, STEADY)
    with pytest.raises(LedgerError, match="no recommendations yet"):
        status_of(ledger, now=NOW)
    recomputed(ledger, settings_of(tmp_path))
    assert status_of(ledger, now=NOW + timedelta(hours=23)).why is None
    old = status_of(ledger, now=NOW + timedelta(hours=24))
    assert (old.why or "").startswith("it was computed 24 hours ago")
    assert "a clock" in (status_of(ledger, now=NOW - timedelta(hours=2)).why or "")
