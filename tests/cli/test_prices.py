"""``outlay prices``: the list as of a time, and 1 where a second list says otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sources.focus_bills import run_outlay

_LITELLM = Path(__file__).parents[1] / "fixtures/prices/litellm/model_prices_and_context_window.json"
_AT = ("--at", "2026-11-01")


def test_the_list_of_a_model_as_of_a_time() -> None:
    sol = ("--provider", "openai", "--model", "gpt-5.6-sol")
    for day, price in (("2026-08-20", "0.000005"), ("2026-08-21", "0.000004")):
        status, out, err = run_outlay("prices", "list", *sol, "--at", day, "--json")
        assert (status, err) == (0, "")
        rows = json.loads(out)["rows"]
        assert {row["model"] for row in rows} == {"gpt-5.6-sol"}
        (row,) = (r for r in rows if (r["meter"], r["when"], r["input_tokens_above"]) == ("input", "", None))
        assert (row["unit_price"], row["unit"], row["currency"]) == (price, "token", "USD")


def test_a_reseller_shows_the_makers_prices() -> None:
    _, out, _ = run_outlay("prices", "list", "--provider", "azure.ai.openai", "--model", "gpt-5", *_AT, "--json")
    assert {(row["provider"], row["model"]) for row in json.loads(out)["rows"]} == {("openai", "gpt-5")}


def test_the_list_on_the_terminal(tmp_path: Path) -> None:
    prices = tmp_path / "own.csv"
    prices.write_text(
        "provider,model,meter,unit_price,multiplier,per,when\n"
        "openai,*,tokens,,1.1,,region=eu\nopenai,gpt-5,input,1,,1000000,*\nopenai,gpt-5,inptu,1,,,\n",
        encoding="utf-8",
    )
    own = ("--model", "gpt-5", "--prices", prices)
    status, out, err = run_outlay("prices", "list", "--provider", "openai", *own, *_AT, "--limit", "8")
    assert status == 0
    assert "own.csv:4: unknown meter 'inptu'" in err
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:4] == ["openai *", "tokens, region=eu x 1.1", "openai gpt-5", "input, any context 1 USD / 1M"]
    assert "cache_write 1.25 USD / 1M (as input)" in lines
    assert not any("_audio" in line for line in lines)  # they cost what text does
    assert lines[-1].endswith("--json has all.")


def test_hours_are_shown() -> None:
    _, out, _ = run_outlay("prices", "list", "--provider", "deepseek", "--model", "deepseek-v4-pro", *_AT)
    assert "input, 00:00-01:00 UTC" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--provider", "openia"), "Did you mean 'openai'"),
        (("list", "--provider", "openai", "--model", "no-such-model-1"), "no price for 'no-such-model-1' of 'openai'"),
        (("list", "--at", "soon"), "--at: 'soon' is not a time"),
        (("check", "--litellm", "nowhere.json"), "nowhere.json: can't be read"),
        (("check",), "Missing option '--litellm'"),
        (("chekc",), "No such command"),
    ],
)
def test_what_can_not_be_done_is_2_with_one_message(arguments: tuple[str, ...], message: str) -> None:
    status, out, err = run_outlay("prices", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_disagreement_is_the_no_of_a_check() -> None:
    check = ("prices", "check", "--litellm", _LITELLM, *_AT)
    status, out, _ = run_outlay(*check, "--provider", "aws", "--json")
    said = json.loads(out)
    assert (status, said["models_compared"], said["agreements"]) == (1, 1, 5)
    assert said["disagreements"][0] == {
        "provider": "aws",
        "litellm_key": "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "model": "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "meter": "input",
        "when": "",
        "input_tokens_above": 200000,
        "our_unit_price": "0.000003",
        "their_unit_price": "0.000006",
        "our_source": said["our_version"],
        "their_source": f"{said['their_version']} (https://aws.amazon.com/bedrock/pricing/)",
    }
    status, out, _ = run_outlay(*check, "--provider", "aws", "--limit", "1")
    assert status == 1
    assert "5 prices agree, 5 do not" in out
    assert "input, above 200,000" in out
    assert "The first 1 of 5 disagreements" in out


def test_agreement_is_0() -> None:
    status, out, err = run_outlay("prices", "check", "--litellm", _LITELLM, *_AT, "--provider", "openai")
    assert (status, err) == (0, "")
    assert "0 do not" in out
