"""``outlay spot``: spot or on-demand for a training job that can be interrupted."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, progress, show_json
from outlay.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from outlay.optimize.spot.estimate import Estimate
    from outlay.optimize.spot.terms import Terms

_NO_VERDICT = 1
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")


@click.command(
    "spot",
    epilog="Example: outlay spot --work-hours 200 --save 300s --restore 10m --mtbf 6 --on-demand 4.00 --spot 1.60",
)
@click.option("--work-hours", required=True, metavar="H", help="Hours that the job takes when nothing interrupts it.")
@click.option("--save", required=True, metavar="TIME", help="What saving a checkpoint takes: 300s, 5m.")
@click.option("--restore", required=True, metavar="TIME", help="From capacity being back to work going on: 10m.")
@click.option("--interval", metavar="TIME", help="Work between two saves (default: the best interval).")
@click.option("--mtbf", metavar="H", help="Mean hours up between interruptions of the whole job.")
@click.option(
    "--trace",
    "traces",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Trace of capacity to replay, JSON or CSV, or a folder of them; repeatable.",
)
@click.option("--on-demand", metavar="PRICE", help="On-demand price of a GPU-hour.")
@click.option("--spot", "spot_price", metavar="PRICE", help="Spot price of a GPU-hour.")
@click.option("--currency", default="USD", show_default=True, metavar="CODE", help="Currency of both prices.")
@click.option("--gpus", type=click.IntRange(min=1), default=1, show_default=True, help="GPUs of the job, in all.")
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Instances of a trace that must be up at once.",
)
@click.option("--deadline", metavar="H", help="Hours in which the job must end; falls back to on-demand in time.")
@click.option("--starts", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Starts to replay.")
@common_options
def command(
    *,
    work_hours: str,
    save: str,
    restore: str,
    interval: str | None,
    mtbf: str | None,
    traces: tuple[Path, ...],
    on_demand: str | None,
    spot_price: str | None,
    currency: str,
    gpus: int,
    instances: int,
    deadline: str | None,
    starts: int,
    common: Common,
) -> int:
    """Spot or on-demand for a training job: what interruptions cost, and how often to save.

    From a rate of interruptions or from traces of real capacity. The exit status is 0 with a verdict on each and 1
    where one is missing, because a price is not known, say. Prices are exact, the rest are estimates.
    """
    from outlay.optimize.spot.checkpoint import Job
    from outlay.optimize.spot.estimate import of_rate, of_trace
    from outlay.optimize.spot.terms import Terms
    from outlay.optimize.spot.trace_file import read_traces

    if bool(traces) == (mtbf is not None):
        raise UsageError(
            "give either --mtbf or --trace.",
            hint="A rate of interruptions, or files that show how capacity came and went.",
        )
    if not _CURRENCY.fullmatch(currency):
        raise UsageError(f"'{currency}' is no currency.", where="--currency", hint="Write its code, such as USD.")
    terms = Terms(
        Job(_hours(work_hours, "--work-hours"), _time(save, "--save"), _time(restore, "--restore")),
        gpus=gpus,
        instances=instances,
        on_demand=_price(on_demand, "--on-demand"),
        spot=_price(spot_price, "--spot"),
        currency=currency,
        interval=None if interval is None else _time(interval, "--interval"),
        deadline=None if deadline is None else _hours(deadline, "--deadline"),
        starts=starts,
    )
    if mtbf is not None:
        found = [of_rate(terms, _hours(mtbf, "--mtbf"))]
    else:
        found = []
        read = read_traces(traces)
        with progress(common) as status:
            for number, trace in enumerate(read, start=1):
                status(f"replaying {trace.name} ({number} of {len(read)})")
                found.append(of_trace(terms, trace))
    if common.as_json:
        show_json(_document(terms, found))
    else:
        _show(terms, found)
    return 0 if all(one.verdict is not None for one in found) else _NO_VERDICT


def _decimal(text: str, option: str, example: str) -> Decimal:
    try:
        found = Decimal(text) if text.isascii() and "_" not in text else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite() or abs(found.adjusted()) > 15:
        raise UsageError(f"'{text}' is not a number.", where=option, hint=f"Write it as {example}.")
    return found


def _hours(text: str, option: str) -> float:
    return float(_decimal(text, option, "200 or 1.5, in hours")) * 3600


def _price(text: str | None, option: str) -> Decimal | None:
    return None if text is None else _decimal(text, option, "1.60, per GPU-hour")


def _time(text: str, option: str) -> float:
    found = _TIME.fullmatch(text.strip())
    if found is None or found[2] not in _UNITS:
        raise UsageError(f"'{text}' is not a time.", where=option, hint="Write 300s, 5m or 1.5h.")
    return float(found[1]) * _UNITS[found[2]]


def _document(terms: Terms, found: list[Estimate]) -> dict[str, object]:
    from outlay.money import plain
    from outlay.optimize.spot.document import document

    def text(value: Decimal | None) -> str | None:
        return None if value is None else plain(value)

    def seconds(value: float | None) -> str | None:
        return None if value is None else plain(Decimal(str(value)))

    return {
        "work_hours": seconds(terms.job.work / 3600),
        "save_seconds": seconds(terms.job.save),
        "restore_seconds": seconds(terms.job.restore),
        "interval_seconds": seconds(terms.interval),
        "deadline_hours": None if terms.deadline is None else seconds(terms.deadline / 3600),
        "gpus": terms.gpus,
        "instances": terms.instances,
        "on_demand_price": text(terms.on_demand),
        "spot_price": text(terms.spot),
        "currency": terms.currency,
        "estimated": True,
        "offers": [document(one) for one in found],
    }


def _show(terms: Terms, found: list[Estimate]) -> None:
    from rich.console import Console

    from outlay.optimize.spot.wording import job_line, sentences, verdict_line

    console = Console(highlight=False, width=200, soft_wrap=True)
    console.print(job_line(terms), "All but the prices are estimates.")
    if len(found) > 1:
        _compare(console, terms, found)
        return
    (one,) = found
    console.print(f"\n{one.name}: {verdict_line(one)}", style="bold", markup=False)
    for sentence in sentences(one):
        console.print(f"- {sentence}", markup=False)
    _spells(console, one)
    _curve(console, one)


def _compare(console: Console, terms: Terms, found: list[Estimate]) -> None:
    from rich.markup import escape

    from outlay.money import percent
    from outlay.optimize.spot.wording import about, money, span, times, verdict_line

    table = _table("trace", "up", "drops", "up per drop", "save every", "formula", "replay", "cost", "verdict")
    for one in found:
        assert one.capacity is not None
        mtbf = one.capacity.mtbf
        table.add_row(
            escape(one.name),
            percent(Decimal(f"{one.capacity.availability:.4f}"), to_tenths=True),
            f"{one.capacity.drops:,}",
            "-" if mtbf is None else span(mtbf),
            "-" if one.intervals is None else span(one.intervals.used),
            "-" if one.formula is None else times(one.formula.stretch),
            "-" if one.replay is None else times(one.replay.stretch.mean),
            "-" if one.cost is None else about(one.cost),
            one.verdict or "none",
        )
    console.print()
    console.print(table)
    on_demand = terms.on_demand_cost
    if on_demand is not None:
        console.print(f"On-demand costs {money(on_demand, terms)}.")
    console.print("A trace alone, or --json, shows what stands behind its line.")
    for why in dict.fromkeys(verdict_line(one) for one in found if one.verdict is None):
        console.print(why, markup=False)


def _spells(console: Console, one: Estimate) -> None:
    from outlay.optimize.spot.availability import QUANTILES
    from outlay.optimize.spot.wording import span

    whole = None if one.capacity is None else one.capacity.quantiles()
    if one.capacity is None or whole is None:
        return
    table = _table("time up", *(f"p{round(100 * share)}" for share in QUANTILES))
    table.add_row(f"{len(one.capacity.spells):,} in the trace", *(span(value) for value in whole))
    table.add_row("exponential fit", *(span(value) for value in one.capacity.exponential() or ()))
    console.print()
    console.print(table)


def _curve(console: Console, one: Estimate) -> None:
    from outlay.optimize.spot.wording import span, times

    if not one.curve:
        return
    replayed = one.replay is not None
    table = _table("save every", "of the best", "formula", *(["replay"] if replayed else []))
    for point in one.curve:
        cells = [span(point.interval), f"{point.factor:g}x", times(point.formula, 3)]
        table.add_row(*cells, *([] if point.replay is None else [times(point.replay, 3)]))
    console.print()
    console.print(table)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table
