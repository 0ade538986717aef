"""The plan's page has the plan's numbers, draws gaps as gaps, stays small, and passes on nothing that would harm."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from outlay.config import CommitmentSettings
from outlay.errors import MissingExtraError
from outlay.money import plain
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.ladder import Owned, Step
from outlay.optimize.commitments.plan import Plan, plan
from outlay.optimize.commitments.plan_json import plan_json
from outlay.report import commit_html
from outlay.report.commit_charts import Mark, demand_steps, draw_curve, draw_demand, grain_of, within
from outlay.report.commit_html import write_commit_plan
from outlay.report.commit_ladder import Holding, after, ladder_of
from outlay.report.commit_plan import show_plan
from outlay.report.commit_wording import advised, bound
from tests.optimize.commitments.series import demand, offer, steady, write_demand
from tests.report.answers import problem
from tests.report.commit_plans import CLAIM, EVIL, GAPS, HELD, SERVED, whole_plan
from tests.sources.focus_bills import run_outlay

_PLACES = ("data-point", "data-scenario", "data-pool")


class Page(HTMLParser):
    """A page's text, tags, and numbers by where they stand: ``(pool, row or offer, metric)``."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.text = source, ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: dict[tuple[str, str, str], list[str]] = {}
        self._pool = self._row = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "section":
            self._pool, self._row = found.get("data-pool") or "", ""
        elif tag in ("tr", "td") and (tag != "td" or "data-offer" in found):
            self._row = next((found[name] or "" for name in ("data-offer", *_PLACES) if name in found), "")
        if "data-metric" in found:
            place = (self._pool, self._row, found["data-metric"] or "")
            self.numbers.setdefault(place, []).append(found["data-value"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._row = ""

    def handle_data(self, data: str) -> None:
        self.text = " ".join(f"{self.text} {data}".split())

    def number(self, pool: str, row: str, metric: str) -> str | None:
        """The one number there; None where it is shown as not known."""
        (found,) = self.numbers[pool, row, metric]
        return found or None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page(whole_plan(), tmp_path_factory.mktemp("plan"))


def page(made: Plan, folder: Path, problems: Sequence[Any] = ()) -> Page:
    write_commit_plan(made, folder / "plan.html", problems)
    return Page((folder / "plan.html").read_text(encoding="utf-8"))


def same(shown: str | None, said: str | None) -> None:
    """A ratio of the page has all digits, and six in JSON."""
    assert (shown is None) == (said is None)
    if shown is not None and said is not None:
        assert Decimal(shown).quantize(Decimal("0.000001")) == Decimal(said)


def test_every_option_has_the_numbers_of_the_plan(whole: Page) -> None:
    options = [(pool["pool"], one) for pool in plan_json(whole_plan())["pools"] for one in pool["options"]]
    assert len(options) == 2 * 6 + 2 + 2 + 1  # for every pool, for one, the plan in each of its pools, and in both
    for pool, said in options:
        at = (pool, said["offer"])
        prices = ("unit_price",) if said["price_unit"].startswith("share") else ("unit_price", "on_demand_price")
        for name in ("quantity", "buy", "saving", "exposure", *prices):
            assert whole.number(*at, name) == said[name], name
        for name in ("saving_rate", "coverage", "utilization", "discount", "break_even_utilization"):
            same(whole.number(*at, name), said[name])
        if said["quantity"] not in (None, "0"):
            for name in ("p10", "p50", "p90", "worst"):
                assert whole.number(*at, name) == said[name], name
            same(whole.number(*at, "loss_probability"), said["loss_probability"])
        if said["break_even_month"] is not None:
            assert whole.number(*at, "break_even_month") == str(said["break_even_month"])
        if "flex" in said:
            assert whole.number(*at, "paid_back") == said["paid_back"]
            assert whole.number(*at, "payout_cap") == said["flex"]["cap"] == "0.5"


def test_the_points_of_the_curve_and_the_price_of_the_cap(whole: Page) -> None:
    pool = plan_json(whole_plan())["pools"][0]
    for row, said in (("optimum", pool["optimum"]), ("recommended", pool["recommended"])):
        assert whole.number(SERVED, row, "quantity") == said["quantity"]
        assert whole.number(SERVED, row, "saving") == said["saving"]
        same(whole.number(SERVED, row, "saving_rate"), said["saving_rate"])
    for cap, share in zip(pool["caps"], ("60%", "70%", "80%"), strict=True):
        assert whole.number(SERVED, f"cap of {share}", "quantity") == cap["quantity"]
        points = Decimal(whole.number(SERVED, f"cap of {share}", "price_points") or "")
        assert points.quantize(Decimal("0.01")) == Decimal(cap["price_points"])
    assert whole.numbers[SERVED, "", "cap_price_points"] == whole.numbers[SERVED, "cap of 70%", "price_points"]
    assert "on coverage costs you 5.5 points of saving against the optimum" in whole.text.replace("\xa0", " ")


def test_what_is_owned_is_marked_at_the_price_of_the_curve(whole: Page) -> None:
    """40 GPUs were in use in every known hour: at half the price they would have saved half of what they served."""
    hours = 26 * 168 - GAPS
    assert whole.number(SERVED, "owned today", "quantity") == "40"
    assert Decimal(whole.number(SERVED, "owned today", "saving") or "") == 40 * hours
    assert "as nobody said what was paid for it" in whole.text


def test_totals_count_each_pool_once(whole: Page) -> None:
    made = whole_plan()
    exposure = {one.pool: best.exposure for one, best in advised(made)}
    assert list(exposure) == [SERVED, "A100", "A10"]
    assert bound(made) == {"USD": sum(found for found in exposure.values() if found is not None)}
    assert whole.numbers["", "", "exposure_total"] == [plain(bound(made)["USD"])]
    assert "Commit in 3 of 7 pools, wait in 1, never in 2." in whole.text.replace(" ,", ",")
    assert "Not counted here: A100|A10" in whole.text


def test_a_union_counts_where_none_of_its_pools_is_committed_to(tmp_path: Path) -> None:
    made = whole_plan()
    waiting = [replace(one, verdict=replace(one.verdict, word="wait")) if not one.union else one for one in made.pools]
    assert [one.pool for one, _ in advised(replace(made, pools=tuple(waiting)))] == ["A100|A10"]


def test_each_verdict_is_a_word_with_its_reasons(whole: Page) -> None:
    said = {one.pool: one.verdict.word for one in whole_plan().pools}
    assert sorted(said.values()) == ["commit"] * 4 + ["never"] * 2 + ["wait"]
    assert [found["data-verdict"] for _, found in whole.tags if "data-verdict" in found] == 2 * sorted(
        said.values(), key=("commit", "wait", "never").index
    )
    for one in whole_plan().pools:
        for sentence in (*one.verdict.reasons, *one.verdict.changes):
            assert sentence.replace("`", "") in whole.text.replace("( outlay spot compares", "(outlay spot compares")


def test_scenarios(whole: Page) -> None:
    for name, said in plan_json(whole_plan())["pools"][0]["scenarios"].items():
        assert whole.number(SERVED, name, "scenario_p50") == said["p50"]
        same(whole.number(SERVED, name, "scenario_loss_probability"), said["loss_probability"])


def test_a_claim_is_called_a_claim_and_a_missing_price_is_asked_for(whole: Page) -> None:
    assert f"The vendor claims a claim, not a finding – – {CLAIM} –" in whole.text  # noqa: RUF001 - dashes
    assert whole.number(SERVED, "a quote to come", "unit_price") is None
    assert "its price is unknown: give unit_price" in whole.text


def test_the_receipt(whole: Page) -> None:
    text = whole.text.replace("\xa0", " ")
    assert f"4,199 known, {GAPS} not known and in no figure; from 1 Jun 2026, 00:00 UTC to 30 Nov 2026" in text
    assert "d = 1 − price ÷ on-demand = 50.0%" in text  # noqa: RUF001 - a minus
    assert "model replaced (demand × 0.2, 0.1 times a year)" in text  # noqa: RUF001 - a times sign
    assert "coverage cap 70%, ceiling 80%; weekly change under 20%" in text


def test_nothing_runs_and_nothing_is_fetched(whole: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in whole.tags}
    assert {str(found["href"])[:6] for _, found in whole.tags if "href" in found} == {"#pool-"}
    assert "default-src 'none'" in whole.source
    assert "url(" not in whole.source.replace('fill="url(', "")
    assert EVIL in whole.text


def test_folders_of_the_demand_are_not_told(tmp_path: Path) -> None:
    one = whole_plan().pools[3]
    moved = replace(one, demand=replace(one.demand, source="/home/someone/demand.csv"))
    found = page(replace(whole_plan(), pools=(moved,)), tmp_path, [problem(source="demand.csv")])
    assert "someone" not in found.source
    assert "demand.csv" in found.text
    assert "Cells that are in no figure above" in found.text


def test_of_many_pools_those_with_the_most_at_stake_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_html, "MOST_DRAWN", 2)
    found = page(whole_plan(), tmp_path)
    assert [said["data-pool"] for tag, said in found.tags if tag == "section" and "data-pool" in said] == [
        SERVED,
        "A10",
    ]
    assert len([said for tag, said in found.tags if tag == "tr" and "data-pool" in said]) == 7
    assert "follow for the 2 pools with the most at stake" in found.text


def test_without_offers_the_demand_is_drawn_and_the_rest_left_out(tmp_path: Path) -> None:
    alone = plan([demand([3.0] * 2000, pool="H100", first=7)], (), CommitmentSettings(), paths=50)
    found = page(alone, tmp_path)
    assert "H100: wait ." in found.text
    assert "Saving against commitment" not in found.text
    assert found.numbers["", "", "exposure_total"] == [""]
    assert "from hour 7 to hour 2,007" in found.text


def test_a_missing_drawing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'outlay\[report\]'"):
        write_commit_plan(whole_plan(), tmp_path / "plan.html")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it(tmp_path: Path) -> None:
    write_demand(tmp_path / "demand.csv", steady(13))
    lines = ["pool,offer,term_months,payment,unit_price,on_demand_price,currency", "*,1y,12,no_upfront,1.26,2.00,USD"]
    (tmp_path / "offers.csv").write_text("\n".join(lines), encoding="utf-8")
    status, _, err = run_outlay(
        *("commit", "plan", "--demand", tmp_path / "demand.csv", "--offers", tmp_path / "offers.csv", "--paths", "50"),
        *("--html", tmp_path / "plan.html"),
    )
    assert status == 0
    assert "plan.html" in err
    assert "GPU commitment plan" in (tmp_path / "plan.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("hours", "grain"), [(1008, "hour"), (1009, "day"), (731 * 24, "day"), (731 * 24 + 1, "week")])
def test_the_grain_of_the_demand(hours: int, grain: str) -> None:
    assert grain_of(demand([1.0] * hours, first=0)) == grain


def test_a_gap_is_neither_zero_nor_bridged() -> None:
    steps, gaps = demand_steps(demand([2.0, None, None, 4.0], first=24))
    assert [(step["at"] * 24, step["mean"], step["run"]) for step in steps] == [
        (24, 2.0, 0),
        (25, 2.0, 0),
        (27, 4.0, 1),
        (28, 4.0, 1),
    ]
    assert [(gap["start"] * 24, gap["end"] * 24) for gap in gaps] == [(25, 27)]
    drawn = draw_demand(demand([2.0, None, None, 4.0], first=24), [])
    assert drawn.count('stroke="var(--bar)"') == 2


def test_days_have_the_mean_and_the_range_of_their_known_hours() -> None:
    """From hour 12 on: the first day has half its hours, and the second one that is not known."""
    hours: list[float | None] = [1.0] * 12 + [None] + [3.0] * 22 + [26.0] + [2.0] * 1000
    steps, gaps = demand_steps(demand(hours, first=12))
    assert gaps == []
    first, second = steps[0], steps[2]
    assert (first["at"], steps[1]["at"], first["mean"], first["low"], first["high"]) == (0.5, 1.0, 1.0, 1.0, 1.0)
    assert (second["at"], second["mean"], second["low"], second["high"]) == (1.0, (3 * 22 + 26) / 23, 3.0, 26.0)


def test_the_curve_ends_where_it_loses_as_much_as_it_could_have_saved() -> None:
    points = [(Decimal(n), Decimal(rate)) for n, rate in enumerate(("0", "0.3", "0.1", "-0.3", "-0.31", "-4"))]
    assert within(points) == points[:4]
    mark = Mark("optimum", "optimum", "diamond", Decimal(1), Decimal("0.3"), "1 GPU, 30.0%", 110)
    assert "optimum: 1 GPU, 30.0%" in draw_curve(within(points), [mark], "GPUs", narrow=False)


def test_the_ladder_holds_what_is_owned_and_what_is_bought_until_it_ends() -> None:
    today = date(2026, 11, 30)
    steps = [Step(0, today, 5 * NANOS, 45 * NANOS, "step 1 of 2"), Step(1, date(2026, 12, 30), 6 * NANOS, 51, "step 2")]
    ended = Owned(7 * NANOS, date(2026, 11, 1))
    found = ladder_of(steps, (*HELD, ended), 12, today)
    assert found.holdings == (
        Holding(today, date(2026, 12, 30), 40 * NANOS, 5 * NANOS),
        Holding(date(2026, 12, 30), date(2027, 1, 15), 40 * NANOS, 11 * NANOS),
        Holding(date(2027, 1, 15), date(2027, 11, 30), 10 * NANOS, 11 * NANOS),
        Holding(date(2027, 11, 30), date(2027, 12, 30), 10 * NANOS, 6 * NANOS),
    )
    assert found.purchases == ((today, 5 * NANOS, 45 * NANOS), (date(2026, 12, 30), 6 * NANOS, 51 * NANOS))


def test_a_covered_pool_has_a_ladder_of_refills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = steady(20)
    owned = {"H100": (Owned(40 * NANOS, date(2027, 3, 1), "res-1"), Owned(40 * NANOS, date(2029, 1, 1), "res-2"))}
    made = plan([pool], [offer()], CommitmentSettings(), owned=owned, today=date(2026, 10, 19), paths=100)
    shown = page(made, tmp_path)
    assert shown.number("H100", "", "step_quantity") == "29"
    assert shown.number("H100", "", "level_commit") == "69"
    assert "nothing is bought now. What of it ends within twelve months would be bought again, by 1y" in shown.text
    assert "1 Mar 2028" in shown.text
    show_plan(made)
    out = " ".join(capsys.readouterr().out.split())
    assert "Refill by 1y: 29 on 2027-03-01 in place of res-1, which ends then." in out
    assert "Ladder:" not in out


def test_a_ladder_without_dates_counts_months() -> None:
    found = ladder_of([Step(0, None, NANOS, NANOS, "a"), Step(1, None, NANOS, 2 * NANOS, "b")], (), 36, None)
    assert [(one.start, one.end, one.bought // NANOS) for one in found.holdings] == [(0, 1, 1), (1, 36, 2), (36, 37, 1)]


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        (date(2026, 11, 30), 12, date(2027, 11, 30)),
        (date(2027, 12, 31), 2, date(2028, 2, 29)),
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
    ],
)
def test_terms_are_calendar_months(start: date, months: int, end: date) -> None:
    assert after(start, months) == end
