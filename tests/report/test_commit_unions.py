"""Unions are told alike on the terminal, in the JSON and in the HTML: who serves, with which unit, and what for."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest

from outlay.config import CommitmentSettings
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import Flex, Offer
from outlay.optimize.commitments.plan import Plan, plan, today_of
from outlay.optimize.commitments.plan_json import plan_json
from outlay.optimize.commitments.sealed.purchase import purchases
from outlay.report.commit_html import write_commit_plan
from outlay.report.commit_plan import show_plan
from tests.optimize.commitments.series import demand, offer

POOLS = (demand([10.0] * 20 * 168, pool="a"), demand([10.0] * 20 * 168, pool="b"))
HOURS = 20 * 168


def money(form: str = "savings_plan", **more: object) -> list[Offer]:
    terms = {"name": "sp", "form": form, **more}
    return [offer("1.00", "2.00", pools=("a",), **terms), offer("2.00", "4.00", pools=("b",), **terms)]


def planned(*offers: Offer, owned: dict[str, list[Owned]] | None = None) -> Plan:
    return plan(POOLS, offers, CommitmentSettings(), owned=owned, today=today_of(POOLS), paths=50)


def terminal(found: Plan, capsys: pytest.CaptureFixture[str]) -> str:
    show_plan(found)
    return " ".join(capsys.readouterr().out.split())


def page(found: Plan, folder: Path) -> str:
    write_commit_plan(found, folder / "plan.html")
    text = (folder / "plan.html").read_text(encoding="utf-8")
    body = text[text.index("<main>") :].replace("\xa0", " ").replace("\N{WORD JOINER}", "")
    return " ".join(unescape(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", body, flags=re.DOTALL)).split())


def test_the_verdict_of_a_pool_that_a_union_serves_is_the_same_everywhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = planned(offer(pools=("a", "b"), name="either"))
    said = "Served by the union a|b, whose verdict is commit: either."
    json = {one["pool"]: one for one in plan_json(found)["pools"]}
    assert json["a"]["reasons"][0] == said
    for text in (terminal(found, capsys), page(found, tmp_path)):
        assert said in text
        assert "No offer has a known price" not in text


def test_offers_together_have_units_and_the_alternative_its_saving(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """a is better reserved at 0.90: 10 GPUs. b by the plan: 10 at 2.00 are 20 an hour billed."""
    found = planned(*money(), offer("0.90", "2.00", pools=("a",), name="r"))
    together = (
        "All offers on these pools together, optimum over the history: $20.00 an hour, as the seller bills it, of sp, "
        f"10 GPUs of r (a); saves 51.7%, ${31 * HOURS:,}."
    )
    apart = (
        f"In its place, each pool by its own best offer: 10 GPUs of r for a, 10 GPUs of sp for b; saves "
        f"${31 * HOURS:,}, not to be added to it."
    )
    for text in (terminal(found, capsys), page(found, tmp_path)):
        assert together in text
        assert apart in text
    (json,) = [one for one in plan_json(found)["pools"] if one["members"]]
    assert {one["offer"]: one["unit"] for one in json["together"]["of"]} == {
        "sp": "USD per hour, as the seller bills it",
        "r (a)": "GPUs",
    }
    assert (json["together"]["saving"], json["together"]["currency"]) == (str(31 * HOURS), "USD")


def test_which_alternative_is_worth_more_is_said_in_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = planned(offer("1.50", pools=("*",), name="own"), offer("1.00", pools=("a", "b"), name="either"))
    (union,) = [one for one in plan_json(found)["pools"] if one["members"]]
    together, alone = (round(Decimal(union["alternatives"][side]["expected_saving"])) for side in ("together", "alone"))
    said = (
        f"Together or alone: the union is expected to save ${together:,} over 12 months, a and b alone ${alone:,}; the "
        "union is worth $"
    )
    for text in (terminal(found, capsys), page(found, tmp_path)):
        assert said in text
        assert "Buy one or the other, never both; the totals count the union." in text
        assert "Also served by the union a|b (verdict: commit): what is bought there is in place of" in text
        assert "Not counted here: a, b." in text


def test_quantities_of_money_have_their_unit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    owned = {"b": [Owned(2 * NANOS, None)]}
    found = planned(*money(), owned=owned)
    text = terminal(found, capsys)
    assert "Owned now: GPUs worth 8 USD/h on demand." in text
    assert "Ladder (USD/h of on-demand usage):" in text
    assert "Offer USD/h Covers" in text
    assert re.search(r"a\|b ✓ Commit 60 USD/h 8 USD/h [\d.]+ USD/h sp", page(found, tmp_path))


def test_a_share_is_not_called_a_price(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = planned(*money(kind="flex", flex=Flex(premium=Decimal("0.10"))))
    union = page(found, tmp_path)
    union = union[union.rindex("The options side by side") :]
    assert "Charges of on-demand prices, over the pools' mix 50.0%" in union
    # 0.10 a GPU-hour of each is 2 an hour of the 60 that both cost on demand.
    assert "Premium of on-demand prices 3.3%" in union
    assert "On-demand $1.00" not in union
    assert "Price a committed GPU-hour" not in union
    text = terminal(found, capsys)
    assert "A committed price of" in text[: text.rindex("a|b")]
    assert "A committed price of" not in text[text.rindex("a|b") :]


def test_a_commitment_to_spend_is_at_discounted_rates_as_a_savings_plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Google Cloud takes the discounted spend since 2026: 30 an hour for usage worth 60."""
    for form in ("savings_plan", "cud_spend"):
        found = planned(*money(form))
        (json,) = [one for one in plan_json(found)["pools"] if one["members"]]
        assert json["together"]["of"][0]["quantity"] == pytest.approx(30), form
        (step, *_) = [one for one in purchases(found) if one.by_money]
        assert step.committed == step.quantity / 2
        promised = sum(one.committed for one in purchases(found) if one.by_money)
        said = (
            f"At the plan's own rates that is a commitment of ${promised:,.2f} an hour, which is what the seller bills."
        )
        assert said in terminal(found, capsys)
        html = page(found, tmp_path)
        assert said in html
        assert re.search(r"Buy [\d.]+ USD/h of on-demand usage of sp", html)
        alone = sum(one.committed for one in purchases(found) if one.pool == "a")
        assert f"that is a commitment of ${alone:,.2f} an hour, which" in html
