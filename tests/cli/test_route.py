"""``outlay route evaluate`` keeps its contract: a table, one JSON document, evidence that a gateway reads."""

from __future__ import annotations

import json
from pathlib import Path

from outlay.optimize.routing.evidence import read_evidence
from tests.optimize.routing.logs import hard_prompts, write
from tests.sources.focus_bills import run_outlay


def _file(folder: Path, rows: int = 200) -> Path:
    log = hard_prompts(rows)
    return write(
        folder / "prompts.csv",
        [
            {
                "prompt": log.prompts[row],
                **{f"{one.name}|score": one.scores[row] for one in log.models},
                **{f"{one.name}|cost": one.costs[row] for one in log.models},
            }
            for row in range(rows)
        ],
    )


def test_the_document_and_the_evidence(tmp_path: Path) -> None:
    path, out = _file(tmp_path), tmp_path / "evidence.json"
    status, said, err = run_outlay("route", "evaluate", path, "--resamples", "100", "--out", out, "--json")
    assert (status, err) == (0, "")
    found = json.loads(said)
    (pair,) = found["pairs"]
    assert (pair["weak"], pair["strong"], pair["strong_cost"]) == ("small", "large", "0.002")
    assert [one["way"] for one in pair["ways"]] == ["random", "length", "classifier", "oracle"]
    half = pair["ways"][0]["targets"][0]
    assert (half["recovered"], half["strong_share"], half["cost"], half["saved"]) == (0.5, 0.5, "0.00105", "0.00095")
    assert read_evidence(out).pair("small", "large") is not None


def test_the_table_says_dominance_first(tmp_path: Path) -> None:
    status, said, _ = run_outlay("route", "evaluate", _file(tmp_path), "--resamples", "100")
    lines = [line for line in said.splitlines() if line]
    assert status == 0
    assert lines[1].startswith("No model dominates")
    assert any(line.startswith("Weak 'small' ") for line in lines)
    assert any(line.startswith("- The classifier is ") for line in lines)


def test_tokens_are_priced_by_the_list(tmp_path: Path) -> None:
    counts = {"input_tokens": 1_000_000, "output_tokens": 0}
    rows = [
        {
            f"{name}|{key}": value
            for name in ("openai/gpt-4o", "openai/gpt-4o-mini")
            for key, value in (*told, ("score", 1))
        }
        for told in [list(counts.items())] * 3
    ]
    path = write(tmp_path / "tokens.csv", rows)
    status, said, err = run_outlay("route", "evaluate", path, "--at", "2026-01-01", "--json")
    assert (status, err) == (0, "")
    found = json.loads(said)
    assert [one["cost"] for one in found["dominance"]["models"]] == ["2.5", "0.15"]
    assert found["dominance"]["model"] == "openai/gpt-4o-mini"
    status, said, _ = run_outlay("route", "evaluate", path, "--provider", "openai", "--json")
    assert status == 0
    assert "can't be priced" in json.loads(said)["dominance"]["why"]


def test_wrong_use_is_one_message(tmp_path: Path) -> None:
    path = _file(tmp_path, 40)
    for arguments, said in (
        ((path, "--weak", "smal"), "Did you mean 'small'?"),
        ((path, "--currency", "dollars"), "'dollars' is no currency"),
        ((tmp_path / "none.csv",), "can't be read"),
        ((path, "--out", tmp_path / "no" / "folder.json"), "can't be written"),
    ):
        status, out, err = run_outlay("route", "evaluate", *arguments)
        assert (status, out) == (2, "")
        assert said in err
        assert "Traceback" not in err
