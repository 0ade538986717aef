"""``outlay route``: which calls a cheaper model would answer as well, measured before anything is switched."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, progress, say, show_json
from outlay.cli.price import moment
from outlay.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from outlay.optimize.routing.evaluation import Evaluation
    from outlay.optimize.routing.log_file import Pricer
    from outlay.optimize.routing.pair import Pair

_NAMES = ("model", "way", "dominated by")
"""Columns of names, which may be longer than a line."""


@click.group("route", epilog="Example: outlay route evaluate prompts.csv")
def command() -> None:
    """Routing between models. `evaluate` measures it on logged prompts; rules are in [[gateway.routes]]."""


@command.command("evaluate", epilog="Example: outlay route evaluate prompts.csv --weak gpt-4o-mini --strong gpt-4o")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--weak", metavar="MODEL", help="The cheaper model (default: each that no other dominates).")
@click.option("--strong", metavar="MODEL", help="The better model (default: the best).")
@click.option("--currency", default="USD", show_default=True, metavar="CODE", help="Currency of the file's costs.")
@click.option("--provider", metavar="P", help="Whose prices token counts get, where a model's name has no PROVIDER/.")
@click.option("--at", "at_text", metavar="TIME", help="As of when token counts are priced, ISO 8601 (default: now).")
@click.option("--resamples", type=click.IntRange(100, 100_000), default=1000, show_default=True, help="For intervals.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the folds and resamples.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the evidence that [[gateway.routes]] can name.")
@common_options
def evaluate(
    *,
    file: Path,
    weak: str | None,
    strong: str | None,
    currency: str,
    provider: str | None,
    at_text: str | None,
    resamples: int,
    seed: int,
    out: Path | None,
    common: Common,
) -> None:
    """Quality against cost on logged prompts with a score of each model.

    FILE is CSV or JSON Lines, a row a prompt, with NAME|score (or NAME) and NAME|cost (or token counts) of each model.
    It says first whether one model simply dominates; then what each way of routing needs for 50, 80 and 95% of the gap.
    """
    from outlay.optimize.routing.document import document
    from outlay.optimize.routing.evaluation import evaluate as evaluated
    from outlay.optimize.routing.evidence import evidence_of
    from outlay.optimize.routing.log_file import read_logged

    if len(currency) != 3 or not currency.isascii() or not currency.isupper():
        raise UsageError(f"'{currency}' is no currency.", where="--currency", hint="Write its code, such as USD.")
    named = [name for name in (weak, strong) if name is not None]
    with progress(common) as status:
        status(f"reading {file.name}")
        logged = read_logged(file, named=named, currency=currency, price=_pricer(common, provider, moment(at_text)))
        status("evaluating")
        found = evaluated(logged, weak=weak, strong=strong, resamples=resamples, seed=seed)
    if out is not None:
        try:
            out.write_text(json.dumps(evidence_of(found), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"can't be written: {error.strerror}.", where=str(out)) from None
    if common.as_json:
        show_json(document(found))
        return
    _show(found)
    if out is not None:
        say(f"Wrote the evidence to {out}.")


def _pricer(common: Common, provider: str | None, at: datetime) -> Pricer:
    """Prices token counts by the price list and the contracts of the settings, which are read when they are needed."""
    from outlay.prices.contract import read_contract
    from outlay.prices.tokens import TokenPrices
    from outlay.prices.usage import normalise

    book: list[TokenPrices] = []

    def price(model: str, input_tokens: int, output_tokens: int) -> tuple[Decimal, str] | str:
        whose, slash, name = model.partition("/")
        if not slash or provider is not None:
            whose, name = provider or "", model
        if not whose:
            return "say whose prices it has: --provider openai, or name it openai/gpt-4o in the file."
        if not book:
            book.append(TokenPrices([read_contract(path) for path in common.settings().prices.tokens]))
        counts = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
        found = book[0].price(normalise("openai", counts, flavor="chat"), whose, name, at)
        if found.cost is None or found.currency is None:
            return str(found.why)
        return found.cost, found.currency

    return price


def _show(found: Evaluation) -> None:
    from rich.console import Console

    from outlay.optimize.routing.wording import amount, dominance_line, ranged, score

    console = Console(highlight=False)
    console.print(
        f"{Path(found.source).name}: {found.rows:,} prompts. Scores and intervals (95%) are estimates.", markup=False
    )
    console.print(f"\n{dominance_line(found)}", style="bold", markup=False)
    if found.dominance.standings:
        table = _table("model", "score", f"cost a call, {found.currency}", "dominated by")
        for one in found.dominance.standings:
            cells = (one.name, score(one.quality) + ranged(one.interval, 3), amount(one.cost), one.dominated_by or "")
            table.add_row(*map(_escaped, cells))
        console.print(table)
    for pair in found.pairs:
        _show_pair(console, pair, found.currency)
    if found.why is not None:
        console.print(f"\nNo pair to route between: {found.why}", markup=False)
    if found.left_out:
        console.print(
            f"\nNot compared: {', '.join(found.left_out)}. Name a pair with --weak and --strong.", markup=False
        )


def _show_pair(console: Console, pair: Pair, currency: str) -> None:
    from outlay.optimize.routing.pair import TARGETS
    from outlay.optimize.routing.wording import (
        amount,
        pair_line,
        percent,
        ranged,
        saved_cell,
        score,
        sentences,
        share_cell,
    )

    console.print(f"\n{pair_line(pair)}", style="bold", markup=False)
    if pair.ways:
        cells = {"Share of strong calls that recovers so much of the gap": share_cell}
        if any(one.saved_share is not None for way in pair.ways for one in way.targets):
            cells["What that saves of the strong model's cost"] = saved_cell
        for title, cell in cells.items():
            console.print(f"{title}:")
            table = _table("way", "APGR", *map(percent, TARGETS))
            for way in pair.ways:
                apgr = "-" if way.apgr is None else f"{way.apgr:.3f}{ranged(way.apgr_interval, 3)}"
                table.add_row(way.name, apgr, *map(cell, way.targets))
            console.print(table)
    for sentence in sentences(pair):
        console.print(f"- {sentence}", markup=False)
    if pair.frontier:
        console.print("Frontier: settings that no other one beats.")
        table = _table("way", "strong calls", "score", f"cost a call, {currency}")
        for one in pair.frontier:
            table.add_row(one.way, percent(one.share), score(one.quality), amount(one.cost))
        console.print(table)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=name not in _NAMES)
    return table
