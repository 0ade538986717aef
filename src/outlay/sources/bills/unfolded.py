"""A provider's cost report, unfolded: pages of buckets of results become one flat JSON object a line.

Bill readers write SQL over flat rows (:mod:`outlay.sources.raw`); the cost reports of model providers are JSON
documents of pages, each with buckets of time, each with results. Here they are written out as JSON lines, one a result,
in a folder of this process that is removed at its end. Into each line go the result's own fields (what is inside an
object under ``outer.inner``), the period of its bucket (``starting_at``, ``ending_at``, as ISO text), how many results
that has (``results_in_bucket``), and what its page says (``page.organization_id``). Numbers become text, exact. A
row's number is the ordinal of its result among those that are read.

What is not as a report has it (a bucket without results, a result that is no object) is written as it stands, so that
it ends in quarantine. A page that is no JSON is an error: what it would have charged is not known.

The traps are those of usage reports (:mod:`outlay.sources.usage.buckets`): a bucket that is told twice is read once,
the last time, and pages may be missing.
"""

from __future__ import annotations

import atexit
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

from outlay.errors import UnreadableError
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json
from outlay.sources.facts import epoch, moment
from outlay.sources.header import SAMPLE_ROWS, refuse_twins
from outlay.sources.raw import RawFile
from outlay.sources.usage.buckets import GoesOn, Place, Survey

__all__ = ["unfold"]

_KIND = "costs"
_PERIODS = (("start_time", "end_time"), ("starting_at", "ending_at"))
_MOST_PLACES = 60
"""Digits beside the point that an amount is written out with; a longer one fits no ledger and stays as it was."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Told:
    """Results of one stretch of time and what else goes into their lines. ``place``: None where its times are bad."""

    place: Place | None
    results: Sequence[Json]
    fields: Mapping[str, Json]


def unfold(file: FactFile) -> RawFile | None:
    """The rows of a report's results; None for a file that is no report of buckets.

    Raises :class:`UnreadableError` for a report with a page that can't be read, or without any result.
    """
    if file.kind not in ("json", "jsonl") or not _is_report(file):
        return None
    told = (one if isinstance(one, GoesOn) else one.place for one in _stretches(file))
    survey = Survey(one for one in told if one is not None)
    target = _folder() / f"{next(_numbers)}.jsonl"
    columns: dict[str, str] = {}
    sample: list[dict[str, str | None]] = []
    written = 0
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for stretch in _stretches(file):
            if isinstance(stretch, GoesOn) or (stretch.place is not None and not survey.speaks(stretch.place)):
                continue
            for result in stretch.results:
                line = {**_flat(result), **stretch.fields} if isinstance(result, dict) else _text(result)
                out.write(json.dumps(line) + "\n")
                written += 1
                if isinstance(line, dict):
                    columns |= dict.fromkeys(line, "JSON")
                    if len(sample) < SAMPLE_ROWS:
                        sample.append({k: v if isinstance(v, str) else json.dumps(v) for k, v in line.items()})
    if not written or not columns:
        raise UnreadableError(
            "is a report without a single result.", where=str(file.path), hint="Export a time with costs in it."
        )
    refuse_twins(file.path, list(columns))
    return RawFile(
        file.path, "jsonl", columns, sample=tuple(sample), unfolded=target, notices=tuple(survey.notices(file))
    )


@cache
def _folder() -> Path:
    """The folder of this process."""
    folder = Path(tempfile.mkdtemp(prefix="outlay-unfolded-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _is_report(file: FactFile) -> bool:
    """Whether the first page with anything in it has buckets: rows with a period and results, or a group's cost."""
    try:
        for one in file.objects():
            if isinstance(one, Problem):
                return False
            rows = _rows(one[1])
            if rows is None:
                return False
            if rows:
                return any(_results(row) is not None and _period(row) is not None for row in rows)
    except UnreadableError:
        return False
    return False


def _rows(page: Mapping[str, Json]) -> list[Json] | None:
    """The buckets of a page, or a bucket that stands alone; None for another object."""
    if isinstance(page.get("data"), list):
        return list(page["data"]) if "has_more" in page else None
    return [page] if _results(page) is not None else None


def _results(row: Json) -> list[Json] | None:
    """The results of a bucket (``result`` in the first description of OpenAI's API), or a row that is one itself."""
    if not isinstance(row, dict):
        return None
    for name in ("results", "result"):
        if isinstance(row.get(name), list):
            found: list[Json] = row[name]
            return found
    group, cost = row.get("group"), row.get("cost")
    return [{**(group or {}), **cost}] if isinstance(cost, dict) and isinstance(group, dict | None) else None


def _period(row: Json) -> tuple[Json, Json] | None:
    """A row's start and end as they are told; None where it has neither."""
    if not isinstance(row, dict):
        return None
    return next(((row.get(a), row.get(b)) for a, b in _PERIODS if a in row or b in row), None)


def _stretches(file: FactFile) -> Iterator[_Told | GoesOn]:
    """The buckets of all pages. Rows that are results themselves may be spread over pages, which are one telling."""
    telling = 0
    unfinished: GoesOn | None = None
    for one in file.objects():
        if isinstance(one, Problem):
            raise UnreadableError(
                f"page {one.line} is not whole ({one.message}).", where=str(file.path), hint="Fetch the report again."
            )
        number, page = one
        rows = _rows(page)
        if rows is None:
            raise UnreadableError(
                f"page {number} is no page of a cost report.", where=str(file.path), hint="Fetch the report again."
            )
        about = _flat(page, "page.") if "data" in page else {}
        source = _organization(page, rows)
        place: Place | None = None
        bucketed = True
        for row in rows:
            results = _results(row)
            fields = {**about, **_period_fields(row)}
            if results is None:
                yield _Told(None, [row], fields)
                continue
            bucketed = "results" in row or "result" in row
            place = _place(row, source, telling)
            if bucketed:
                telling += 1
                fields["results_in_bucket"] = str(len(results))
            yield _Told(place, results, fields)
        more = page.get("has_more") is True and place is not None
        goes_on = GoesOn(place.scope, place.end) if more and place is not None else None
        if bucketed and rows:
            if goes_on is not None:
                yield goes_on
        else:
            unfinished = goes_on
            telling += page.get("has_more") is not True
    if unfinished is not None:
        yield unfinished


def _organization(page: Mapping[str, Json], rows: Sequence[Json]) -> str:
    """Whose report it is, where page or results say so: two organisations' buckets don't overrule each other."""
    results = (result for row in rows for result in _results(row) or () if isinstance(result, dict))
    said = (one.get("organization_id") for one in itertools.chain([page], itertools.islice(results, 1)))
    return next((one for one in said if isinstance(one, str)), "")


def _place(row: Json, source: str, telling: int) -> Place | None:
    start, end = (_time(value) for value in _period(row) or (None, None))
    return (
        Place((_KIND, source), start, end, telling) if start is not None and end is not None and end > start else None
    )


def _period_fields(row: Json) -> dict[str, Json]:
    """The period as ISO text in UTC, or as it was told where that is no time."""
    told = _period(row) or (None, None)
    return {
        name: found.isoformat() if (found := _time(value)) is not None else _text(value)
        for name, value in zip(("starting_at", "ending_at"), told, strict=True)
    }


def _time(value: Json) -> datetime | None:
    return moment(value) if isinstance(value, str) else epoch(value)


def _flat(record: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """An object's fields as texts, those of the objects in it under ``outer.inner``; of a page only the scalars."""
    flat: dict[str, Json] = {}
    for key, value in record.items():
        if prefix and isinstance(value, dict | list):
            continue
        if isinstance(value, dict):
            flat |= {_whole(f"{key}.{inner}"): _text(one) for inner, one in value.items()}
        else:
            flat[_whole(f"{prefix}{key}")] = _text(value)
    return flat


def _whole(text: str) -> str:
    """Text without half characters (lone surrogates), which JSON can escape and no other parser reads."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _text(value: Json) -> str | bool | None:
    """A value as text: numbers in plain digits, what is nested as JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        if not value:
            return "0"
        exponent = value.as_tuple().exponent
        plain = isinstance(exponent, int) and exponent >= -_MOST_PLACES and value.adjusted() <= _MOST_PLACES
        return f"{value:f}" if plain else str(value)
    return json.dumps(value, default=str)
