"""The page on routing: its file can be evaluated, its rules are rules, and every field and outcome is named."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from outlay.config.routing import RouteSettings
from outlay.gateway.rules.rules import Kind, Outcome
from outlay.optimize.routing.document import document
from outlay.optimize.routing.evaluation import evaluate
from tests.optimize.routing.logs import hard_prompts, read

_PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/routing.md").read_text(encoding="utf-8")


def test_the_example_can_be_evaluated(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```csv\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "prompts.csv"
    path.write_text(example, encoding="utf-8")
    (pair,) = evaluate(read(path)).pairs
    assert (pair.weak, pair.strong, pair.rows) == ("gpt-4o-mini", "gpt-4o", 3)


def test_every_field_is_documented() -> None:
    found = document(evaluate(hard_prompts(60), resamples=100))
    assert [name for name in _names(found) if f"`{name}`" not in _PAGE] == []


def test_the_rules_are_rules() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    rules = [RouteSettings.model_validate(one) for one in tomllib.loads(example)["gateway"]["routes"]]
    assert [one.mode for one in rules] == ["route", "route", "cascade", "shadow"]


def test_every_kind_and_outcome_is_documented() -> None:
    said = {*get_args(Kind), *get_args(Outcome), "failed", "fell_back"}
    assert sorted(one for one in said if f"`{one}`" not in _PAGE) == []


def _names(found: Any) -> Iterator[str]:
    for one in found if isinstance(found, list) else ():
        yield from _names(one)
    for name, value in found.items() if isinstance(found, dict) else ():
        yield name
        yield from _names(value)
