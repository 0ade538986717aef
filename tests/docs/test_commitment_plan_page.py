"""The page of the plan's document names every field of it, and its example runs as written."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outlay.config import GuardrailSettings
from tests.optimize.commitments.series import demand, steady, write_demand
from tests.sources.focus_bills import run_outlay

_PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/commitment-plan.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's commands write, from its offers and twenty steady weeks of its pool."""
    here = tmp_path_factory.mktemp("page")
    (offers,) = _blocks("toml")
    first = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0) - timedelta(weeks=20)
    hours = [float(one) / 1e9 for one in steady(20).nanos]
    (pool,) = re.findall(r'^pool = "(.*)"$', offers, re.MULTILINE)
    write_demand(here / "demand.csv", demand(hours, first=first, pool=pool))
    (here / "offers.toml").write_text(offers, encoding="utf-8")
    (commands,) = _blocks("console")
    for line in commands.splitlines():
        files = [str(here / one) if (here / one).suffix else one for one in shlex.split(line.removeprefix("$ outlay "))]
        status, _, err = run_outlay(*files)
        assert (status, err) == (0, ""), line
    (check,) = _blocks("python")
    exec(compile(check.replace('"plan.json"', repr(str(here / "plan.json"))), "commitment-plan.md", "exec"), {})
    found = json.loads((here / "plan.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_every_field_is_told(example: dict[str, Any]) -> None:
    purchase = example["purchases"][0]
    assert _missing("Fields", example) == []
    assert _missing("Purchases", purchase) == []
    assert _missing("Requests", purchase["request"]) == []
    assert _missing("Guardrails", [one["name"] for one in example["guardrails"]]) == []
    assert _missing("Conditions", [one["what"] for one in purchase["conditions"]]) == []
    assert [one for one in example["guardrails"][0] if f"`{one}`" not in _PAGE] == []
    assert [one for one in purchase["conditions"][0] if f"`{one}`" not in _PAGE] == []


def test_every_guardrail_that_can_be_set_is_checked(example: dict[str, Any]) -> None:
    assert set(GuardrailSettings.model_fields) <= {one["name"] for one in example["guardrails"]}


def test_the_example_can_be_carried_out(example: dict[str, Any]) -> None:
    assert example["executable"] is True
    assert example["purchases"][0]["request"]["ready"] is True


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)


def _missing(heading: str, names: Any) -> list[str]:
    section = re.search(rf"^## {heading}$.*?(?=^## |\Z)", _PAGE, re.MULTILINE | re.DOTALL)
    assert section
    return [name for name in names if f"| `{name}` |" not in section[0]]
