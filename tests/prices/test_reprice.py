"""A row keeps the price it was loaded with until somebody asks for another, sees it, and applies it."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import PriceSettings, Settings
from outlay.errors import UsageError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.prices.reprice import Repriced, Selection, reprice
from outlay.sources.loading import load, token_prices
from tests.sources.focus_bills import run_outlay
from tests.sources.test_fact_loading import asked, page

MILLION = 1_000_000
LISTED = Decimal("1.25001")
"""gpt-5, a million tokens of input and one of output, at list price."""
AGREED = Decimal("1.00001")


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "contract.csv"
    path.write_text("provider,model,meter,unit_price,per\nopenai,gpt-5,input,1.00,1000000\n")
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(tmp_path / "ledger")
    load(found, [page(tmp_path / "a.json", {0: MILLION, 1: MILLION, 40: MILLION})], Settings())
    return found


def costs(ledger: Ledger) -> list[Decimal]:
    return [row[0] for row in asked(ledger.path, "requests", "SELECT x_Cost FROM requests ORDER BY start_time")]


def priced(
    ledger: Ledger, contract: Path, selection: Selection, *, apply: bool = False, at: datetime | None = None
) -> tuple[list[Repriced], int | None]:
    with session() as connection:
        prices = token_prices(Settings(prices=PriceSettings(tokens=(contract,))))
        return reprice(connection, ledger, prices, selection, apply=apply, at=at)


def test_it_is_shown_before_anything_changes(ledger: Ledger, contract: Path) -> None:
    (change,), version = priced(ledger, contract, Selection())
    assert (change.model, change.rows, change.before, change.after) == ("gpt-5", 3, 3 * LISTED, 3 * AGREED)
    assert version is None
    assert costs(ledger) == [LISTED] * 3


def test_only_the_selected_rows_get_new_prices_and_the_old_figures_stay_within_reach(
    ledger: Ledger, contract: Path
) -> None:
    folder = ledger.facts(REQUESTS)
    before = folder.table().version()
    october = Selection(until=datetime(2026, 10, 2))

    _, version = priced(ledger, contract, october, apply=True)

    assert version == before + 1
    assert costs(ledger) == [AGREED, LISTED, LISTED]
    sql = "SELECT count(DISTINCT x_PriceVersion), count(DISTINCT x_RowId), sum(x_Requests)::BIGINT FROM requests"
    assert asked(ledger.path, "requests", sql) == [(2, 3, 3)]
    assert len([file for file in folder.live() if file.scope.month == "2026-11"]) == 1
    with session() as connection:
        folder.view(connection, REQUESTS.columns(["team"]), version=before)
        assert connection.execute("SELECT sum(x_Cost) FROM requests").fetchall() == [(3 * LISTED,)]
    assert priced(ledger, contract, october)[0][0].after == AGREED


def test_applying_what_changes_nothing_changes_nothing_else(ledger: Ledger, contract: Path) -> None:
    rows = asked(ledger.path, "requests", "SELECT * EXCLUDE (x_PriceVersion) FROM requests ORDER BY start_time")
    with session() as connection:
        reprice(connection, ledger, token_prices(Settings()), Selection(), apply=True)
    assert rows == asked(ledger.path, "requests", "SELECT * EXCLUDE (x_PriceVersion) FROM requests ORDER BY start_time")


def test_prices_of_one_moment_are_shown_and_never_applied(tmp_path: Path, contract: Path) -> None:
    found = Ledger(tmp_path / "ledger")
    spent = page(tmp_path / "a.json", {0: MILLION}, model="o3")
    load(found, [spent], Settings())
    with session() as connection:
        (then,), _ = reprice(connection, found, token_prices(Settings()), Selection(), at=datetime(2025, 5, 1))
    assert then.after > then.before  # o3 was 10 a million before June 2025, and 2 after
    with pytest.raises(UsageError, match="can't be applied"):
        priced(found, contract, Selection(), apply=True, at=datetime(2025, 5, 1))


def test_the_command_shows_applies_and_says_what_it_did(ledger: Ledger, contract: Path, tmp_path: Path) -> None:
    config = tmp_path / "outlay.toml"
    config.write_text('[prices]\ntokens = ["contract.csv"]\n')

    status, text, _ = run_outlay("reprice", "--ledger", ledger.path, "--config", config)
    assert status == 0
    assert "openai gpt-5: 3 rows, 3.75 -> 3.00 USD" in text
    assert "Nothing was changed; --apply writes the new prices." in text

    _, out, _ = run_outlay("reprice", "--ledger", ledger.path, "--config", config, "--apply", "--json")
    said = json.loads(out)
    assert said["applied"]
    assert said["totals"] == {"USD": {"before": "3.75003", "after": "3.00003", "difference": "-0.75"}}
    assert costs(ledger) == [AGREED] * 3


def test_a_price_in_another_currency_is_no_difference_within_one(ledger: Ledger, contract: Path) -> None:
    contract.write_text(
        "provider,model,meter,unit_price,per,currency\nopenai,gpt-5,input,1,1000000,EUR\n"
        "openai,gpt-5,output,10,1000000,EUR\n"
    )
    changes, _ = priced(ledger, contract, Selection())
    told = {one.currency: (one.before, one.after, one.unpriced_before, one.unpriced_after) for one in changes}
    assert told == {"USD": (3 * LISTED, 0, 0, 0), "EUR": (0, 3 * AGREED, 0, 0)}
