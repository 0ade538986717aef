"""How finely the company's bills are written, and what is added until there are as many rows as asked.

Five teams (search, assistant, vision, research, platform) buy tokens from five vendors, GPUs from three clouds,
one reservation too many, and what any company buys beside that. The waste stands on lines of its own, one plant
to a line, so that no dollar of one plant is a dollar of another.

A bill of ten thousand rows can't hold every hour of a year (one machine alone has 8,760), so the core starts with
a row a month and is refined step by step, in a fixed order, as long as its share of the rows allows. What the
core leaves of its share goes to more of the same: endpoints that cache well, pools that sleep at night, runs on
spot. None of it is waste of a planted kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from outlay.demo import ordinary
from outlay.demo.book import PROGRAMS, Book
from outlay.demo.catalogue import ec2
from outlay.demo.endpoints import Endpoint, add_endpoint, add_endpoints
from outlay.demo.lines import Calendar, Grain, Line, Schedule, count_rows
from outlay.demo.machines import (
    RUN_KINDS,
    add_commitments,
    add_notebooks,
    add_pools,
    add_provisioned,
    add_run,
    add_steady,
)
from outlay.errors import UsageError

__all__ = ["AI_SHARE", "Detail", "Plan", "ladder", "make_plan"]

AI_SHARE = Decimal("0.6")
"""Share of the rows that are AI; the others are storage, databases, networks, support, tax."""

_RUN_SHARE, _TOKEN_SHARE = Decimal("0.05"), Decimal("0.6")
"""Of the AI rows beyond the core: training on spot, and token endpoints. The rest are inference machines."""

_FIRST_ADDED = 1000
"""Number of the first training run that is not part of the core."""


@dataclass(frozen=True, slots=True)
class Detail:
    """A grain for each part of the core, and how many of each."""

    runs: int = 3
    run_hours: int = 4
    anomaly: Grain = "month"
    steady: Grain = "month"
    dev: Grain = "month"
    tokens: Grain = "month"
    commitments: Grain = "month"
    provisioned: Grain = "month"
    pools: Grain = "month"
    steady_instances: int = 1
    dev_instances: int = 1


_STEPS: tuple[Callable[[Detail], Detail], ...] = (
    lambda detail: replace(detail, runs=6, run_hours=12),
    lambda detail: replace(detail, anomaly="day"),
    lambda detail: replace(detail, steady="hour"),
    lambda detail: replace(detail, dev="hour"),
    lambda detail: replace(detail, tokens="day"),
    lambda detail: replace(detail, commitments="day"),
    lambda detail: replace(detail, provisioned="day"),
    lambda detail: replace(detail, pools="day"),
    lambda detail: replace(detail, runs=8, run_hours=24),
    lambda detail: replace(detail, commitments="hour"),
    lambda detail: replace(detail, provisioned="hour"),
    lambda detail: replace(detail, pools="hour"),
    lambda detail: replace(detail, steady_instances=2, dev_instances=2),
    lambda detail: replace(detail, runs=24, run_hours=48),
    lambda detail: replace(detail, steady_instances=4, dev_instances=3),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """All lines, and the plants that these rows are too few for, each with the reason."""

    lines: tuple[Line, ...]
    detail: Detail
    absent: Mapping[str, str]


def ladder() -> Iterator[Detail]:
    """From the coarsest core to the finest, each a refinement of the one before."""
    detail = Detail()
    yield detail
    for step in _STEPS:
        detail = step(detail)
        yield detail


def make_plan(calendar: Calendar, seed: int, rows: int) -> Plan:
    """Lines that become ``rows`` rows, or a few less. Too few rows for the months are a :class:`UsageError`."""
    book, detail = _core(calendar, seed, int(rows * AI_SHARE))
    ai_left = int(rows * AI_SHARE) - _rows(book.lines, calendar)
    ordinary.add_core(book, "day" if rows >= 40 * calendar.days else "month")
    missing = rows - _rows(book.lines, calendar)
    if ai_left < 0 or missing < 0:
        least = max(rows + max(0, -missing), (int(rows * AI_SHARE) - ai_left) * 5 // 3 + 1)
        raise UsageError(
            f"{rows} rows are too few for {len(calendar.months)} months of bills.",
            where="rows",
            hint=f"Ask for {least} rows or more, or for fewer months.",
        )
    already = len(book.lines)
    _fill_ai(book, min(ai_left, missing))
    ordinary.fill(book, missing - _rows(book.lines[already:], calendar))
    return Plan(tuple(book.lines), detail, _absent(detail, calendar))


def _core(calendar: Calendar, seed: int, budget: int) -> tuple[Book, Detail]:
    """The finest core whose rows fit ``budget``; the coarsest one if none does."""
    best: tuple[Book, Detail] | None = None
    for detail in ladder():
        book = Book(calendar, seed)
        add_endpoints(book, detail.tokens, detail.anomaly)
        add_commitments(book, detail.commitments)
        add_provisioned(book, detail.provisioned)
        add_steady(book, detail.steady, detail.steady_instances)
        add_notebooks(book, detail.dev, detail.dev_instances)
        add_pools(book, detail.pools)
        for kind in RUN_KINDS:
            for number in range(detail.runs):
                add_run(book, kind, number, detail.run_hours)
        if best is not None and _rows(book.lines, calendar) > budget:
            break
        best = (book, detail)
    assert best is not None
    return best


def _rows(lines: Iterable[Line], calendar: Calendar) -> int:
    return sum(count_rows(line, calendar) for line in lines)


def _absent(detail: Detail, calendar: Calendar) -> dict[str, str]:
    more = "ask for more rows or fewer months"
    reasons = {
        "steady-on-demand": None if detail.steady == "hour" else f"needs hourly rows; {more}",
        "non-production-hours": None if detail.dev == "hour" else f"needs hourly rows; {more}",
        "anomaly": None if detail.anomaly == "day" else f"needs daily rows; {more}",
        "price-change": None if len(calendar.months) > 1 else "needs two months",
    }
    return {plant: why for plant, why in reasons.items() if why}


_CACHING: tuple[tuple[str, str, str | None, dict[str, int]], ...] = (
    # team, model, region and tokens a day; each reads more than 70 % of its input from cache
    ("search", "gpt-4o-mini", None, {"uncached": 240_000, "read": 720_000, "output": 48_000}),
    ("assistant", "claude-sonnet-4-5", None, {"uncached": 24_000, "read": 96_000, "write": 9_600, "output": 7_200}),
    ("vision", "gemini-2.5-flash", "google", {"uncached": 120_000, "read": 360_000, "output": 24_000}),
    ("research", "gpt-4o", "azure", {"uncached": 48_000, "read": 144_000, "output": 9_600}),
    ("platform", "gpt-4o-mini", None, {"uncached": 120_000, "read": 480_000, "output": 24_000}),
)  # fmt: skip


def _fill_ai(book: Book, rows: int) -> None:
    """Adds AI lines until ``rows`` more rows are there, or fewer than one monthly line's are missing."""
    calendar = book.calendar
    hours = calendar.days * 24
    rows -= _add_runs(book, int(rows * _RUN_SHARE))
    machines = int(rows * (1 - _TOKEN_SHARE))
    number = 0
    while machines >= hours:
        made = count_rows(_add_machine(book, number), calendar)
        machines, rows, number = machines - made, rows - made, number + 1
    number = 0
    for _ in range(rows // 2 // (hours * 4)):
        rows -= _add_caching(book, number, "hour")
        number += 1
    while rows >= calendar.days * 4:
        rows -= _add_caching(book, number, "day")
        number += 1
    daily, months = rows // calendar.days, len(calendar.months)
    for single in range(daily + (rows - daily * calendar.days) // months):
        _add_embeddings(book, single, "day" if single < daily else "month")


def _add_runs(book: Book, rows: int) -> int:
    """Training on spot, at most ``rows`` rows of it; returns how many it became."""
    made, number = 0, _FIRST_ADDED
    hours = 24 if rows < 20_000 else 72 if rows < 500_000 else 240
    while made + 2 * hours <= rows:
        run = add_run(book, ("spot", "google")[number % 2], number, hours)
        made += count_rows(run, book.calendar)
        number += 1
    return made


def _add_machine(book: Book, number: int) -> Line:
    """An inference machine of a pool that grows with the day and stands still at night."""
    team = ("search", "assistant", "vision")[number % 3]
    start = 6 + number % 4
    schedule = Schedule((start, 21 + number % 3), (start + 2, 20) if number % 2 else (0, 0))
    line = book.line(
        f"serving-{number:05d}",
        ec2("g6e.xlarge" if number % 2 else "g6.xlarge"),
        team,
        "prod",
        "hour",
        region="aws",
        tags={"use_case": f"{team}-serving-{number // 12}", "model": "qwen2.5-7b", "workload": "inference"},
    )
    return book.add(replace(line, schedule=schedule, eligible=PROGRAMS))


def _add_caching(book: Book, number: int, grain: Grain) -> int:
    """An endpoint that reads most of its input from cache; returns the rows it became."""
    team, model, region, volumes = _CACHING[number % len(_CACHING)]
    endpoint = Endpoint(f"{team}-feature-{number // 25}", model, volumes, team, region=region)
    already = len(book.lines)
    add_endpoint(book, endpoint, grain, name=f"{team}-feature-{number:05d}")
    return _rows(book.lines[already:], book.calendar)


def _add_embeddings(book: Book, number: int, grain: Grain) -> None:
    """An endpoint of one meter, which takes up the last rows."""
    team = ("search", "assistant", "vision", "research", "platform")[number % 5]
    endpoint = Endpoint(f"{team}-vectors", "text-embedding-3-large", {"uncached": 900_000}, team)
    add_endpoint(book, endpoint, grain, name=f"{team}-vectors-{number:03d}")
