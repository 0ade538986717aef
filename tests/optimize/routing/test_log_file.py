"""Files of logged prompts: which columns are read, and which values are refused."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.errors import OutlayError, UnreadableError, UsageError
from tests.optimize.routing.logs import read, write


def test_a_routerbench_export_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bench.csv",
        [
            {
                "sample_id": "gsm8k.1",
                "prompt": "How many?",
                "eval_name": "gsm8k",
                "gpt-4": "1.0",
                "claude-v1": "0.25",
                "gpt-4|model_response": "Four.",
                "claude-v1|model_response": "Five.",
                "gpt-4|total_cost": "0.0023",
                "claude-v1|total_cost": "2.4e-05",
                "oracle_model_to_route_to": "gpt-4",
            }
        ],
    )
    found = read(path)
    assert [one.name for one in found.models] == ["gpt-4", "claude-v1"]
    assert [one.scores.tolist() for one in found.models] == [[1.0], [0.25]]
    assert [one.costs for one in found.models] == [(Decimal("0.0023"),), (Decimal("0.000024"),)]
    assert found.chars.tolist() == [9]


def test_json_lines_may_nest_the_models(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [
        {"id": 1, "prompt": "a b", "models": {"m": {"score": True, "cost": 0.1}, "n": {"score": 0.5, "cost": "0.2"}}},
        {"id": 2, "prompt": "a  b ", "m|score": 0, "m|cost": 1, "n|score": None},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    found = read(path)
    assert [one.name for one in found.models] == ["m", "n"]
    assert found.model("m").costs == (Decimal("0.1"), Decimal(1))
    assert found.model("m").scores.tolist() == [1.0, 0.0]
    assert math.isnan(found.model("n").scores[1])
    assert found.model("n").costs[1] is None
    assert found.groups.tolist() == [0, 0]


def test_a_column_alone_is_a_score_where_the_model_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", [{"prompt": "p", "weak": "True", "strong": "False", "note": "x"}])
    assert [one.name for one in read(path, named=["weak", "strong"]).models] == ["weak", "strong"]
    with pytest.raises(UnreadableError, match="names no model"):
        read(path)
    with pytest.raises(UsageError, match="Did you mean 'strong'"):
        read(path, named=["weak", "strong", "strnog"])


def test_tokens_are_priced_and_what_has_no_price_is_said(tmp_path: Path) -> None:
    row = {"prompt_chars": "12", "m|score": "1", "m|input_tokens": "100", "m|output_tokens": "7"}
    path = write(tmp_path / "t.csv", [row])

    def price(model: str, input_tokens: int, output_tokens: int) -> tuple[Decimal, str]:
        assert model == "m"
        return Decimal(input_tokens) / 1000 + Decimal(output_tokens), "EUR"

    found = read(path, price=price)
    assert found.model("m").costs == (Decimal("7.1"),)
    assert found.currency == "EUR"
    assert found.chars.tolist() == [12]
    unpriced = read(path)
    assert unpriced.model("m").costs == (None,)
    assert unpriced.model("m").why == "'m' can't be priced: no price of m for 100 and 7"


def test_ids_tell_apart_what_has_no_prompt(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", [{"id": one, "m|score": "1"} for one in ("a", "b", "a", "")])
    assert read(path).groups.tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no rows"),
        ("m|score\n", "has no rows"),
        ("prompt,m|score\np,7\n", "m|score is '7', which is no score from 0 to 1"),
        ("prompt,m|score\np,nan\n", "no score"),
        ("prompt,m|score\np,1_0\n", "no score"),
        ("m|score,m|cost\n1,-2\n", "no cost"),
        ("m|score,m|cost\n1,$2\n", ":2"),
        ("m|score,m|input_tokens,m|output_tokens\n1,1.5,2\n", "no count"),
        ("m|score,prompt\n1\n", "has 1 fields where the header has 2"),
        ("m|score,m|score\n1,1\n", "two columns 'm|score'"),
        ('{"m|score": 1}\n[1]\n', ":2"),
        ('{"m|score": 1\n', "not JSON"),
    ],
)
def test_a_value_that_can_not_be_used_refuses_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OutlayError) as error:
        read(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_two_currencies_are_never_mixed(tmp_path: Path) -> None:
    row = {"a|score": 1, "a|cost": 1, "b|score": 1, "b|input_tokens": 1, "b|output_tokens": 1}
    with pytest.raises(UsageError, match="has costs in EUR and USD"):
        read(write(tmp_path / "c.csv", [row]), price=lambda *_: (Decimal(1), "EUR"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="can't be read"):
        read(tmp_path / "none.csv")
