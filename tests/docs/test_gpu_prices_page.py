"""The page on GPU prices is complete, and its examples give what they show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from outlay.prices.gpu_prices import ASKABLE, STALE_AFTER_DAYS, STALE_SPOT_AFTER_DAYS, seed
from outlay.prices.gpu_table import COLUMNS, read_table
from tests.sources.focus_bills import run_outlay

_PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/gpu-prices.md").read_text(encoding="utf-8")


def test_the_example_gives_what_it_shows() -> None:
    ((command, shown),) = re.findall(r"^```console\n\$ outlay (.*?)\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    status, out, err = run_outlay(*shlex.split(command))
    assert (status, err) == (0, "")
    assert [line.rstrip() for line in out.splitlines()] == shown.splitlines()


def test_the_table_is_read() -> None:
    (example,) = re.findall(r"^```csv\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    read = read_table(example.splitlines(keepends=True), "example")
    assert (len(read.prices), read.problems) == (1, ())


def test_every_column_and_way_to_buy_is_documented() -> None:
    ways = [name for name in ASKABLE if not name.startswith("reserved_3yr") and not name.endswith("_convertible")]
    assert [name for name in (*COLUMNS, *ways) if f"`{name}`" not in _PAGE] == []


def test_the_figures_are_those_of_the_product() -> None:
    on_demand = sum(price.purchase == "on_demand" for price in seed().prices)
    assert f"{on_demand} on-demand prices" in _PAGE
    assert f"{len(seed().prices) - on_demand} spot prices of Azure" in _PAGE
    assert f"more than {STALE_AFTER_DAYS} days old, a spot price\nafter {STALE_SPOT_AFTER_DAYS} days" in _PAGE
