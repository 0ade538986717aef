"""The terminal answers first, fits 80 columns, says what it left out, and prints a bill's text as text only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from outlay.metrics.kpis import Kpi, KpiReport
from outlay.optimize.overspend import Overspend
from outlay.report.terminal import show_kpis, show_overspend
from tests.report.answers import answer, finding, problem

Show = Callable[[Overspend], str]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def show(result: Overspend) -> str:
        show_overspend(result)
        return capsys.readouterr().out

    return show


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_first_sentence_is_the_answer(shown: Show) -> None:
    text = words(shown(answer()))
    assert text.startswith(
        "Of $1,000 spent on AI between 1 Oct 2026 and 3 Oct 2026, $80.00 (8.0%) need not have been spent. "
        "Up to $20.00 more depends on facts that no bill shows; 1 more finding cannot be priced yet."
    )


def test_no_overspend_is_said_honestly(shown: Show) -> None:
    text = words(shown(answer(overspend=Decimal(0), findings=())))
    assert "nothing is shown by the bill itself to have been unnecessary." in text
    assert "Need not have been spent" not in text
    assert "To confirm" not in text


def test_no_ai_spend_is_said(shown: Show) -> None:
    totals = replace(answer().totals, ai_cost=Decimal(0), ai_rows=0)
    assert words(shown(answer(totals=totals, overspend=Decimal(0), findings=()))).startswith(
        "No AI spend was found on this bill (50 rows between 1 Oct 2026 and 3 Oct 2026)."
    )


def test_credits_larger_than_charges_give_no_share(shown: Show) -> None:
    totals = replace(answer().totals, ai_cost=Decimal("-5"))
    assert "The AI rows of this bill add up to -$5.00" in words(shown(answer(totals=totals)))


def test_findings_with_amount_share_and_confidence(shown: Show) -> None:
    text = words(shown(answer()))
    assert "$80.00 8.0% Commitment a partly unused High confidence. Paid for and not used." in text
    assert "$20.00 Old cards Medium confidence. To confirm: that it runs on b." in text
    assert "rate unknown Spot Low confidence. To confirm: a spot rate." in text


def test_fits_80_columns_without_colour(shown: Show) -> None:
    long = finding(title="Idle: /subscriptions/" + "x" * 300, why="y" * 200)
    text = shown(answer(findings=(long,), problems=(problem(message="z" * 200),)))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text


def test_text_of_the_bill_is_no_markup_and_no_control_sequence(shown: Show) -> None:
    text = shown(answer(findings=(finding(title="[red]team[/red] \x1b[2J\u202egnp :smile:"),)))
    assert "[red]team[/red]" in text
    assert ":smile:" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_long_list_is_cut_and_says_so(shown: Show) -> None:
    many = tuple(
        finding(id=str(n), counted=False, needs="it", saving=Decimal(2), title=f"Lead {n}.") for n in range(13)
    )
    text = words(shown(answer(findings=many, overspend=Decimal(0))))
    assert "Lead 9." in text
    assert "Lead 10." not in text
    assert "$6.00 3 more findings; --json lists them all" in text


def test_what_was_left_out_is_said(shown: Show) -> None:
    totals = replace(answer().totals, others=(("EUR", 2, Decimal("7.5")),))
    text = words(
        shown(
            answer(
                totals=totals,
                problems=(problem(),),
                notes=("x.txt: no bill",),
                basis="EffectiveCost (BilledCost for AWS)",
            )
        )
    )
    assert "4 rows kept out because something in them is wrong" in text
    assert "bill.csv (4 rows, row 9 first): BillingCurrency is missing. Export the currency column." in text
    assert "Not included: 2 rows in EUR, €7.50 billed." in text
    assert "x.txt: no bill" in text
    assert "BilledCost for AWS" in text
    assert "Read 56 rows of 1 file in 0.2 s; 40 are AI." in text


def test_a_kpi_that_just_misses_its_target_is_seen_to_miss_it(capsys: pytest.CaptureFixture[str]) -> None:
    """59.6% beside a target of 60% must not be shown as 60%."""
    target = "60% to 80% of stable workloads"
    coverage = Kpi("commitment_coverage", "Coverage", "share", Decimal("0.596"), target, "off", None, "a / b")
    unknown = Kpi("gpu_utilization", "GPU utilization", "ratio", None, None, "not_computable", "no telemetry", "a / b")
    show_kpis(KpiReport(None, None, (coverage, unknown), (), ()))
    text = words(capsys.readouterr().out)
    assert "59.6% 60% to 80% of stable workloads: off target" in text
    assert "Not computable GPU utilization: no telemetry" in text
