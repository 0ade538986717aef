"""The report is one safe file whose numbers are exact, whose chart adds up, and which says what it does not know."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from outlay.errors import MissingExtraError, UsageError
from outlay.money import add_exactly, percent
from outlay.optimize.overspend import Overspend, Slice
from outlay.report.charts import cost_chart
from outlay.report.html import write_overspend
from outlay.report.wording import about, amount, kind_label, listed
from tests.report.answers import answer, finding, problem


class Page(HTMLParser):
    """Tags, metrics and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text = " ".join(f"{self.text} {data}".split())

    def metrics(self, name: str) -> list[str | None]:
        return [found["data-value"] for _, found in self.tags if found.get("data-metric") == name]


def page(result: Overspend, folder: Path, *, synthetic: bool = False) -> Page:
    write_overspend(result, folder / "report.html", synthetic=synthetic)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_numbers_carry_their_exact_values(tmp_path: Path) -> None:
    found = page(answer(), tmp_path)
    assert found.metrics("ai_cost")[0] == "1000.02"
    assert found.metrics("overspend") == ["80.005"]
    assert found.metrics("to_confirm") == ["20"]
    share = Decimal(found.metrics("overspend_share")[0] or "0")
    assert abs(share * Decimal("1000.02") - Decimal("80.005")) < Decimal("1e-28")
    assert found.metrics("saving") == ["80.005", "20"]
    assert found.metrics("rows") == ["50"]


def test_where_credits_exceed_the_rest_shares_are_of_the_charges_before_them(tmp_path: Path) -> None:
    """15 left of 105 by credits of 90, of which 100 was wasted: 100 of 105, and never 667% of 15."""
    totals = replace(answer().totals, ai_cost=Decimal(15))
    wasted = finding(saving=Decimal(100), claimed=Decimal(100))
    found = page(answer(totals=totals, overspend=Decimal(100), findings=(wasted,), ai_credits=Decimal(90)), tmp_path)
    assert [f"{Decimal(share or 0):.4f}" for share in found.metrics("overspend_share")] == ["0.9524"]
    text = found.text.replace("\xa0", " ")
    assert "95% of AI charges before credits" in text
    assert "Credits and corrections of $90.00 leave an AI cost of $15.00." in text
    assert found.metrics("overspend") == ["100"]
    assert found.metrics("ai_cost")[0] == "15"


def test_what_is_not_ai_has_no_share_of_the_ai_cost_and_its_own_sum(tmp_path: Path) -> None:
    outside = finding(counted=False, needs="whether it is for AI", is_ai=False, saving=Decimal(7))
    overlapping = finding(counted=False, needs="it", saving=Decimal(80), adds=Decimal(3))
    found = page(answer(findings=(overlapping, outside), overspend=Decimal(0)), tmp_path)
    assert found.metrics("to_confirm") == ["3"]
    text = found.text.replace("\xa0", " ")
    assert "together they come to at most $3.00 , on top of what counts, and to $7.00 that nothing on the bill" in text
    assert text.count("of AI cost") == 1 + 1  # the card, and the lead that is AI
    assert "not AI, as far as the bill shows" in text


def test_nothing_is_fetched_and_nothing_runs(tmp_path: Path) -> None:
    found = page(answer(), tmp_path)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert not [found for _, found in found.tags if found.keys() & {"src", "href", "xlink:href", "onclick"}]
    assert "default-src 'none'" in found.source
    assert not re.findall(r"url\(|@import", found.source)


def test_html_in_a_bill_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e"
    facts = {evil: evil}
    result = answer(
        findings=(finding(title=evil, why=evil, basis=evil, id=evil, facts=facts), finding(counted=False, needs=evil)),
        slices={"team": (Slice(evil, Decimal(5)),)},
        notes=(evil,),
        problems=(problem(source=evil, message=evil),),
        files=(evil,),
        days=((date(2026, 10, 1), evil, Decimal(1)),),
    )
    found = page(result, tmp_path)
    assert not {"script", "img"} & {tag for tag, _ in found.tags}
    assert "\u202e" not in found.source
    assert "alert(1)" in found.text


def test_the_receipt_of_a_finding(tmp_path: Path) -> None:
    text = page(answer(), tmp_path).text
    assert "EffectiveCost of unused rows" in text
    assert "bill.csv" in text
    assert "80.005 USD" in text
    assert "Before overlaps" in text
    assert "that it runs on b" in text
    assert "rate unknown" in text


def test_folders_of_the_files_are_not_told(tmp_path: Path) -> None:
    assert "someone" not in page(answer(), tmp_path).source


def test_synthetic_data_is_labelled(tmp_path: Path) -> None:
    banner = "Synthetic data: not a real company"
    assert banner in page(answer(), tmp_path, synthetic=True).text
    assert banner not in page(answer(), tmp_path).text


def test_no_ai_spend(tmp_path: Path) -> None:
    totals = replace(answer().totals, ai_cost=Decimal(0), ai_rows=0)
    found = page(answer(totals=totals, overspend=Decimal(0), findings=(), days=(), slices={}), tmp_path)
    assert "No AI spend was found on this bill" in found.text
    assert found.metrics("overspend_share") == [""]
    assert "svg" not in {tag for tag, _ in found.tags}


def test_problems_other_currencies_and_notes(tmp_path: Path) -> None:
    totals = replace(answer().totals, others=(("EUR", 2, Decimal("7.512345")),))
    text = page(answer(totals=totals, problems=(problem(),), notes=("x.txt: no bill",)), tmp_path).text
    assert "4 rows kept out of every figure above" in text
    assert "7.512345" in text
    assert "x.txt: no bill" in text


def test_many_findings_to_confirm_are_cut_and_summed(tmp_path: Path) -> None:
    many = tuple(finding(id=str(n), counted=False, needs="it", saving=Decimal(2)) for n in range(60))
    found = page(answer(findings=many, overspend=Decimal(0)), tmp_path)
    assert len(found.metrics("saving")) == 50
    assert "10 smaller findings, together at most $20.00" in found.text.replace("\xa0", " ")


def test_bars_beyond_the_largest_are_one_exact_bar(tmp_path: Path) -> None:
    slices = {"team": tuple(Slice(f"t{n}", Decimal(20 - n)) for n in range(12))}
    text = page(answer(slices=slices, days=()), tmp_path).text
    assert "4 others $42.00" in text  # 12 + 11 + 10 + 9


def test_a_missing_drawing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'outlay\[report\]'"):
        write_overspend(answer(), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        write_overspend(answer(), tmp_path / "absent" / "report.html")


@pytest.mark.parametrize(("span", "grain"), [(1, "day"), (120, "day"), (121, "week"), (731, "week"), (732, "month")])
def test_the_chart_adds_up_at_every_grain(span: int, grain: str) -> None:
    start = date(2025, 1, 1)
    days = [
        (start + timedelta(days=n), kind, Decimal("0.1"))
        for n in range(span)
        for kind in ("tokens", "gpu_compute / other")
    ]
    chart = cost_chart(days, datetime(2025, 1, 1), datetime(2025, 1, 1) + timedelta(days=span))
    assert chart is not None
    assert chart.grain == grain
    assert add_exactly(period.total for period in chart.periods) == Decimal("0.2") * span
    assert [series.slot for series in chart.series] == ["1", "unknown"]


def test_a_week_that_the_window_cuts_is_marked() -> None:
    days = [(date(2026, 1, 1) + timedelta(days=n), "tokens", Decimal(1)) for n in range(151)]  # Thursday to Sunday
    chart = cost_chart(days, datetime(2026, 1, 1), datetime(2026, 6, 1))
    assert chart is not None
    assert [period.partial for period in chart.periods] == [True] + [False] * 21
    assert chart.periods[0].total == 4


def test_more_than_eight_kinds_are_other_and_unknown_stays_apart() -> None:
    days = [(date(2026, 1, 1), f"kind{n}", Decimal(n)) for n in range(1, 11)] + [
        (date(2026, 1, 1), "ai_other", Decimal(100))
    ]
    chart = cost_chart(days, datetime(2026, 1, 1), datetime(2026, 1, 2))
    assert chart is not None
    assert [(series.slot, series.cost) for series in chart.series[-3:]] == [
        ("8", Decimal(3)),
        ("rest", Decimal(3)),
        ("unknown", Decimal(100)),
    ]


def test_how_figures_are_written() -> None:
    assert amount(Decimal("-1234.565"), "USD") == "-$1,234.56"
    assert amount(Decimal(5), "CHF") == "CHF 5.00"
    assert about(Decimal("1234.5"), "EUR") == "€1,234"
    assert about(Decimal("12.5"), "JPY") == "¥12"
    assert kind_label("gpu_compute / other") == "GPU compute: workload not stated"


@pytest.mark.parametrize(
    ("fraction", "written"),
    [
        (None, "\N{EN DASH}"),
        ("0", "0%"),
        ("0.0001", "under 0.1%"),
        ("-0.0001", "over -0.1%"),
        ("0.0812", "8.1%"),
        ("0.09949", "9.9%"),
        ("0.0996", "10%"),
        ("0.167", "17%"),
        ("0.997", "99.7%"),
        ("0.99999", "over 99.9%"),
        ("1", "100%"),
        ("-1.132", "-113%"),
    ],
)
def test_shares_are_written_one_way_and_never_rounded_to_nothing_or_all(fraction: str | None, written: str) -> None:
    assert percent(None if fraction is None else Decimal(fraction)) == written


def test_a_figure_held_against_a_limit_keeps_its_tenths() -> None:
    assert percent(Decimal("0.596")) == "60%"
    assert percent(Decimal("0.596"), to_tenths=True) == "59.6%"


def test_long_lists_are_cut_and_say_so() -> None:
    names = [f"bill-{n}.csv" for n in range(60)]
    assert listed(names) == "bill-0.csv, bill-1.csv, bill-2.csv, bill-3.csv, bill-4.csv and 55 more"
    assert listed(names[:5]) == ", ".join(names[:5])
