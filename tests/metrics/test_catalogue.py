"""Definitions read columns that exist, each is documented, and unknown names are answered with near ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.errors import UsageError
from outlay.metrics.catalogue import catalogue
from outlay.metrics.query import Filter, Query, filters
from outlay.periods import parse_day

TAGS = ("model", "team", "use_case", "environment")
_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"


def test_every_metric_and_dimension_is_documented() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    tagless = catalogue(("team",))
    for metric in tagless.metrics.values():
        assert f"`{metric.id.replace('tagged_share_team', 'tagged_share_TAG')}`" in page
        assert metric.formula.replace("'team'", "'TAG'") in page
    for name in tagless.dimensions:
        assert f"`{name}`" in page


def test_each_configured_tag_is_a_dimension_and_a_coverage_metric() -> None:
    known = catalogue(TAGS)
    assert {f"tagged_share_{tag}" for tag in TAGS} <= set(known.metrics)
    assert known.dimensions["team"].on["costs"] == ("x_Tag_team",)
    assert known.dimensions["model"].on["costs"] == ("x_ModelId", "x_Tag_model")
    assert known.dimensions["tag_model"].on["costs"] == ("x_Tag_model",)
    assert catalogue(()).dimensions["model"].on["costs"] == ("x_ModelId",)


def test_a_tag_named_like_a_metric_does_not_take_its_name() -> None:
    known = catalogue(("rows", "why"))
    assert known.dimensions["tag_rows"].on["costs"] == ("x_Tag_rows",)
    assert known.dimensions["tag_why"].on["costs"] == ("x_Tag_why",)
    assert not set(known.metrics) & set(known.dimensions)


def test_unknown_names_offer_the_nearest() -> None:
    known = catalogue(TAGS)
    with pytest.raises(UsageError, match=r"no metric 'ai_costs'.*'ai_cost'"):
        Query(("ai_costs",)).check(known)
    with pytest.raises(UsageError, match=r"no dimension 'teem'.*'team'"):
        Query(("ai_cost",), by=("teem",)).check(known)
    with pytest.raises(UsageError, match=r"no dimension 'modle'.*'model'"):
        Query(("ai_cost",), where=(Filter("modle", ("x",)),)).check(known)
    with pytest.raises(UsageError, match=r"needs the tag 'team'.*outlay.toml"):
        Query(("allocated_share",)).check(catalogue(("owner",)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ()}, "no metric"),
        ({"metrics": ("rows", "rows")}, "named twice"),
        ({"metrics": ("rows",), "by": ("day",), "grain": "day"}, "named twice"),
        ({"metrics": ("rows",), "grain": "weak"}, "Did you mean 'week'"),
        ({"metrics": ("rows",), "compare": "last"}, "Known: previous"),
        ({"metrics": ("rows",), "compare": "previous"}, "both ends"),
        ({"metrics": ("rows",), "limit": 0}, "1 or more"),
        ({"metrics": ("rows",), "since": parse_day("2026-11"), "until": parse_day("2026-10")}, "before it starts"),
    ],
)
def test_a_question_that_means_nothing_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Query(**arguments)  # type: ignore[arg-type]


def test_filters_of_one_dimension_are_alternatives() -> None:
    assert filters(["team=search", "model=", "team=ads"]) == (
        Filter("team", ("search", "ads")),
        Filter("model", (None,)),
    )
    with pytest.raises(UsageError, match="DIMENSION=VALUE"):
        filters(["team"])
