"""``outlay load``: bills and facts into the ledger."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, now, progress, say, show_json
from outlay.errors import UsageError
from outlay.money import add_exactly, plain, rounded

if TYPE_CHECKING:
    from rich.table import Table

    from outlay.config import Settings
    from outlay.ledger.store import Ledger
    from outlay.optimize.commitments.standing.standing import Recommendation
    from outlay.sources.load_report import FileReport, LoadReport, TableLoad

_MAX_FILES = 12
_MAX_PROBLEMS = 20


@click.command("load", epilog="Example: outlay load exports/2026-10/ --ledger ledger")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--as",
    "format_id",
    metavar="FORMAT",
    help="Format id (see `outlay sources`); detected from the content unless given.",
)
@click.option("--source", metavar="NAME", help="Whose these are; each row's account unless given.")
@click.option(
    "--assume",
    metavar="NAME=VALUE",
    multiple=True,
    help="What calls are taken to be whose records do not tell it: provider, model. Such rows are marked.",
)
@click.option("--again", is_flag=True, help="Load content that a later load has replaced: it takes its place back.")
@common_options
def command(paths: tuple[Path, ...], assume: tuple[str, ...], common: Common, **options: Any) -> None:  # noqa: ANN401 - click's
    """Load bills, usage, telemetry, runs and records into the ledger, one atomic commit a table.

    Files of one command belong together. Loading the same content again changes nothing; a restated billing month
    replaces what the ledger held of that source and month, and so does usage, window by window, or row by row where a
    row has an identity. Rows that can't be used are kept out of the ledger, go to quarantine and are listed; the exit
    status is 3 then.
    """
    from outlay.sources.loading import load

    ledger, settings = common.ledger(), common.settings()
    with progress(common) as report_progress:
        report = load(
            ledger,
            paths,
            settings,
            assume=_pairs(assume),
            **options,
            progress=report_progress,
        )
    if not common.as_json:
        _show(report)
    changes, notes = _recommendations(common, ledger, settings, report)
    if common.as_json:
        document = _document(report)
        document["notes"] += notes
        show_json({**document, "recommendations": [one.to_json() for one in changes]})
    if any(f.rows_rejected for f in report.files):
        sys.exit(3)


def _recommendations(
    common: Common, ledger: Ledger, settings: Settings, report: LoadReport
) -> tuple[Sequence[Recommendation], Sequence[str]]:
    """What the load changed of what stands for GPU commitments, and notes; shown unless as JSON."""
    if settings.commitments.offers is None:  # spares the import
        return (), ()
    from outlay.optimize.commitments.standing.recompute import after_load

    changed = [table.table for table in report.tables if table.changed]
    with progress(common) as report_progress:
        after = after_load(ledger, settings, changed, now=now(), progress=report_progress)
    if not common.as_json:
        from outlay.report.commit_status import change_line

        for one in after.changes:
            click.echo(change_line(one))
        for note in after.notes:
            say(f"note: {note}")
    return after.changes, after.notes


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value.strip():
            raise UsageError(f"'{text}' is not NAME=VALUE.", where="--assume", hint="Write --assume model=gpt-5.")
        pairs[name.strip()] = value.strip()
    return pairs


def _document(report: LoadReport) -> dict[str, Any]:
    return {
        "load_id": report.load_id,
        "changed": report.changed,
        "version": report.version,
        "rows_replaced": report.rows_replaced,
        "notes": list(report.notes),
        "tables": [
            {
                "table": t.table,
                "load_id": t.load_id,
                "changed": t.changed,
                "version": t.version,
                "rows_replaced": t.rows_replaced,
            }
            for t in report.tables
        ],
        "loads": [_file_document(f, table) for table in report.tables for f in table.files],
    }


def _file_document(f: FileReport, table: TableLoad) -> dict[str, Any]:
    return {
        "path": f.path,
        "format": f.format,
        "version": f.version,
        "table": f.table,
        "source": f.sources[0] if len(f.sources) == 1 else None,
        "sources": list(f.sources),
        "rows_read": f.rows_read,
        "rows_loaded": f.rows_loaded if table.changed else 0,
        "rows_rejected": f.rows_rejected,
        "rows_replaced": table.rows_replaced if len(table.files) == 1 else None,
        "billing_periods": list(f.billing_periods),
        "totals": {c: {m: None if v is None else plain(v) for m, v in sums.items()} for c, sums in f.totals.items()},
        "quantities": {name: plain(value) for name, value in f.quantities.items()},
        "problems": [
            {"code": p.code, "message": p.message, "hint": p.hint, "count": p.count, "first_line": p.first_line}
            for p in f.problems
        ],
        "seconds": f.seconds,
    }


def _show(report: LoadReport) -> None:
    from rich.console import Console

    from outlay.report.wording import count

    console = Console()
    bills = [f for f in report.files if f.table == "costs"]
    facts = [f for f in report.files if f.table != "costs"]
    if bills:
        console.print(_table(bills))
    for line in _facts_lines(facts):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nRead as {', '.join(sorted({f.version for f in report.files}))}.", markup=False, soft_wrap=True)
    shown = 0
    for f in report.files:
        for p in f.problems:
            shown += 1
            if shown > _MAX_PROBLEMS:
                continue
            place = f" (first: row {p.first_line})" if p.first_line is not None else ""
            kind = "kept out" if p.rejects else "note"
            console.print(
                f"{kind}: {p.source}: {p.message}{f', {p.count:,} rows' if p.rejects else ''}{place}. {p.hint}",
                markup=False,
                soft_wrap=True,
            )
    if shown > _MAX_PROBLEMS:
        console.print(f"{count(shown - _MAX_PROBLEMS, 'more problem')} (--json has them all).")
    for note in report.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for table in report.tables:
        if table.tells_nothing:
            where = "the ledger" if table.table == "costs" else f"the table {table.table}"
            console.print(f"Nothing in these files is of use to {where}; nothing changed (version {table.version}).")
        elif not table.changed:
            where = "" if table.table == "costs" else f" into {table.table}"
            console.print(f"This content was loaded{where} before; nothing changed (version {table.version}).")
        elif table.table == "costs":
            console.print(f"Totals of files and ledger are equal to the last digit. Ledger version {table.version}.")
        else:
            console.print(
                "Totals of files, each thing counted once, and ledger are equal to the last digit. "
                f"Table {table.table} version {table.version}.",
                soft_wrap=True,
            )


def _facts_lines(files: Sequence[FileReport]) -> Iterator[str]:
    """Two lines a file of facts: whose it is, and what of it is in which table, with the sums that were reconciled."""
    from outlay.report.wording import count, listed

    for f in files:
        yield f"{Path(f.path).name}  ({listed(sorted(f.sources), 3) or 'no source'})"
        sums = [f"{_column(name)} {_readable(value)}" for name, value in f.quantities.items() if value]
        kept_out = f", {f.rows_rejected:,} kept out" if f.rows_rejected else ""
        said = f"  {count(f.rows_loaded, 'row')} of {f.table}, {_months([f])}{kept_out}"
        yield f"{said}: {', '.join(sums)}" if sums else said


def _column(name: str) -> str:
    """A column's name in words: ``gen_ai_usage_input_tokens`` is ``input tokens``."""
    bare = name.removeprefix("gen_ai_usage_").removeprefix("x_").removeprefix("ContractCommitment")
    spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in bare).strip()
    return spaced.replace("_", " ")


def _readable(value: Decimal) -> str:
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.2f}"


def _table(bills: Sequence[FileReport]) -> Table:
    """A line a file, or a line a source where there are many files: a year of bills is sixty."""
    from rich.table import Table
    from rich.text import Text

    from outlay.report.wording import count, listed

    by_file = len(bills) <= _MAX_FILES
    groups = [[f] for f in bills] if by_file else _by_source(bills)
    rejected = any(f.rows_rejected for f in bills)
    table = Table(box=None, pad_edge=False)
    table.add_column("file and its source" if by_file else "source", overflow="fold")
    table.add_column("months")
    for name in ("rows", *(["kept out"] if rejected else []), "billed cost", "effective cost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for files in groups:
        source = listed(sorted({name for f in files for name in f.sources}), 3) or "no source"
        name = f"{Path(files[0].path).name}\n  {source}" if by_file else f"{source}\n  {count(len(files), 'file')}"
        cells = [name, _months(files), f"{sum(f.rows_loaded for f in files):,}"]
        cells += [f"{sum(f.rows_rejected for f in files):,}"] if rejected else []
        for number, amounts in enumerate(_amounts(files)):
            table.add_row(*(Text(text) for text in (*(cells if number == 0 else [""] * len(cells)), *amounts)))
    return table


def _by_source(files: Sequence[FileReport]) -> list[list[FileReport]]:
    groups: dict[tuple[str, ...], list[FileReport]] = {}
    for file in files:
        groups.setdefault(file.sources, []).append(file)
    return list(groups.values())


def _months(files: Sequence[FileReport]) -> str:
    months = sorted({month for file in files for month in file.billing_periods})
    return "-" if not months else months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def _amounts(files: Sequence[FileReport]) -> list[tuple[str, str, str]]:
    """Billed and effective cost and their currency, a line a currency."""
    currencies = sorted({currency for file in files for currency in file.totals})
    return [
        (_total(files, currency, "BilledCost"), _total(files, currency, "EffectiveCost"), currency)
        for currency in currencies
    ] or [("-", "-", "")]


def _total(files: Sequence[FileReport], currency: str, measure: str) -> str:
    sums = [value for file in files if (value := file.totals.get(currency, {}).get(measure)) is not None]
    return f"{rounded(add_exactly(sums), currency):,}" if sums else "-"
