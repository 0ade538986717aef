"""``outlay price`` keeps its contract: exact strings, 0 priced, 1 unpriced, 2 unreadable, and a why for every null."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sources.focus_bills import run_outlay

_USAGE = json.dumps({"prompt_tokens": 1200, "prompt_tokens_details": {"cached_tokens": 1024}, "completion_tokens": 20})
_MINI = ("--provider", "openai", "--model", "gpt-4o-mini", "--at", "2026-10-01T12:00:00Z")


def priced(*arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    status, out, err = run_outlay("price", *arguments, "--json")
    return status, json.loads(out), err


def test_a_priced_call() -> None:
    status, said, err = priced(*_MINI, "--usage", _USAGE)
    assert (status, err) == (0, "")
    assert (said["status"], said["cost"], said["currency"], said["why"]) == ("priced", "0.0001152", "USD", None)
    assert [(one["meter"], one["quantity"], one["unit_price"], one["amount"]) for one in said["lines"]] == [
        ("input", 176, "0.00000015", "0.0000264"),
        ("cache_read", 1024, "0.000000075", "0.0000768"),
        ("output", 20, "0.0000006", "0.000012"),
    ]
    assert said["price_version"].startswith("genai-prices ")


def test_an_unpriced_call_is_the_no_of_a_check() -> None:
    status, said, _ = priced("--provider", "openai", "--model", "no-such-model-1", "--usage", _USAGE)
    assert status == 1
    assert (said["status"], said["cost"]) == ("unpriced", None)
    assert "no-such-model-1" in said["why"]
    assert all(line["unit_price"] is None and line["amount"] is None for line in said["lines"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--usage", "{"), "--usage: is not JSON"),
        (("--usage", "[]"), "--usage: is not a JSON object"),
        (("--usage", '{"prompt_tokens": -1}'), "prompt_tokens: -1 is negative"),
        (("--usage", '{"prompt_tokens": 1.5}'), "is not a whole number"),
        (("--usage", '{"steps": 1}'), "none of the counts"),
        (("--usage", _USAGE, "--context", "batch"), "--context: is not JSON"),
        (("--usage", _USAGE, "--at", "yesterday"), "--at: 'yesterday' is not a time"),
        (("--usage", _USAGE, "--flavor", "chatt"), "Did you mean 'chat'"),
        (("--usage", _USAGE, "--prices", "nowhere.csv"), "nowhere.csv: can't be read"),
        ((), "Missing option '--usage'"),
    ],
)
def test_what_can_not_be_read_is_2_with_one_message(arguments: tuple[str, ...], message: str) -> None:
    status, out, err = run_outlay("price", "--provider", "openai", "--model", "gpt-5", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_the_time_may_have_a_zone() -> None:
    sol = ("--provider", "openai", "--model", "gpt-5.6-sol", "--usage", '{"prompt_tokens": 1000000}')
    _, before, _ = priced(*sol, "--at", "2026-08-21T01:59:59+02:00")
    _, after, _ = priced(*sol, "--at", "2026-08-21T02:00:00+02:00")
    assert (before["at"], after["at"]) == ("2026-08-20T23:59:59Z", "2026-08-21T00:00:00Z")
    assert (before["cost"], after["cost"]) == ("10", "8")


def test_a_contract_is_laid_over_and_its_bad_lines_are_told(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("provider,model,meter,unit_price\nopenai,gpt-4o-mini,output,0.000001\nopenai,x,inptu,1\n")
    status, said, err = priced(*_MINI, "--usage", _USAGE, "--prices", prices)
    assert (status, said["cost"]) == (0, "0.0001232")
    assert [(one["code"], one["line"]) for one in said["problems"]] == [("unusable-price", 3)]
    assert "prices.csv:3: unknown meter 'inptu'. Did you mean 'input'" in err


def test_on_the_terminal() -> None:
    status, out, err = run_outlay("price", *_MINI, "--usage", _USAGE, "--context", '{"processing": "batch"}')
    assert (status, err) == (0, "")
    assert "0.0001152 USD" in out
    assert "Estimate: processing=batch" in out
    assert "0.15 / 1M tokens" in out


def test_usage_from_stdin() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outlay", "price", *_MINI, "--usage", "-", "--json"],
        input=_USAGE,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["cost"] == "0.0001152"


def test_help_stays_quick() -> None:
    """The price list is a megabyte of Python: only `price` itself may import it."""
    for command in ("--help", "price --help"):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "outlay", *command.split()],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "click" in done.stderr
        assert "genai_prices" not in done.stderr
