"""The synthetic company: a plausible year of an AI company's bills, with the waste in them known.

No public bill shows language-model tokens, GPUs and commitments together, so what a demonstration or a benchmark
needs is generated: FOCUS 1.4 files of five providers, a corrected bill for one month, and beside them
``truth.json``, which says what was planted and what it is worth. The generator knows, because it planted it; no
detector is asked. Every row, file and folder says that it is synthetic.

The same arguments give the same rows on any machine. See ``docs/reference/synthetic-company.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from outlay.demo.catalogue import PROVIDERS
from outlay.demo.facts.contract import CONTRACT_NAME, write_contract
from outlay.demo.facts.folder import NAMES, write_facts
from outlay.demo.lines import Calendar
from outlay.demo.plan import make_plan
from outlay.demo.plants import Restatement
from outlay.demo.rows import FileFormat, Sum, Writer
from outlay.demo.tally import Tally
from outlay.demo.truth import tell
from outlay.errors import UsageError
from outlay.ledger.engine.duckdb import session

__all__ = ["DEFAULT_SEED", "MAX_MONTHS", "MAX_ROWS", "MIN_ROWS", "Company", "generate"]

DEFAULT_SEED = 20260101
MIN_ROWS, MAX_ROWS = 1_000, 200_000_000
MAX_MONTHS = 60

_RESTATED_PROVIDER = "Google Cloud"
_LATE_DAYS = 3
_README = """SYNTHETIC: these bills are generated. No company, account, invoice or amount in them is real.

synthetic/   FOCUS 1.4 Cost and Usage, one file a provider and month (more parts when large)
restated/    the corrected bill of one month; load it after the others: it replaces that month
facts/       with facts only: usage, telemetry, runs, outcomes and alerts that belong to these bills
truth.json   totals, and what was planted with its exact worth

Made by `outlay` with rows={rows}, seed={seed}, until={until}, months={months}.
"""


@dataclass(frozen=True, slots=True)
class Company:
    """What was written. ``files`` are the bills as first issued, ``restated`` the corrected ones, to be loaded after.

    ``rows`` counts the rows of ``files``; a corrected bill has as many as the one it replaces. ``facts`` are the files
    of facts, empty unless they were asked for.
    """

    folder: Path
    files: tuple[Path, ...]
    restated: tuple[Path, ...]
    rows: int
    truth: Mapping[str, object]
    facts: tuple[Path, ...] = ()


def generate(
    out: Path,
    *,
    rows: int,
    seed: int = DEFAULT_SEED,
    until: date = date(2026, 10, 31),
    months: int = 12,
    file_format: FileFormat = "parquet",
    facts: bool = False,
) -> Company:
    """Writes the company's bills under ``out``: about ``rows`` rows over ``months`` months, up to the day ``until``.

    ``out/synthetic`` holds every month once, as first issued; ``out/restated`` the corrected month beside it. With
    ``facts``, ``out/facts`` holds the facts of these bills, ``out/synthetic-token-prices.csv`` what the company pays
    below the list, and the truth what is planted in the facts, under ``facts``.
    ``out`` is made if it is missing; an earlier company in it is replaced, and any other content is left alone.
    Raises :class:`outlay.errors.UsageError` for a number out of range, and for rows too few to hold the company.
    """
    _check(rows, months, file_format)
    calendar = Calendar.ending(until, months)
    plan = make_plan(calendar, seed, rows)
    issued_folder, corrected_folder, facts_folder = out / "synthetic", out / "restated", out / "facts"
    for folder in (issued_folder, corrected_folder):
        _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
    for old in (*(facts_folder / name for name in NAMES), out / CONTRACT_NAME):
        old.unlink(missing_ok=True)
    restated_month = calendar.months[max(0, len(calendar.months) - 2)][0]
    sums: list[Sum] = []
    first_sums: list[Sum] = []
    files: list[Path] = []
    corrected: list[Path] = []
    with session() as connection:
        writer = Writer(connection, plan.lines, calendar, file_format)
        for part in writer.parts():
            if (part.provider, part.month) == (_RESTATED_PROVIDER, restated_month):
                first_sums += writer.write(part, issued_folder, late_from_day=part.month_last_day - _LATE_DAYS)
                made = writer.write(part, corrected_folder)
                corrected += [corrected_folder / part.file_name] if made else []
            else:
                made = writer.write(part, issued_folder)
            files += [issued_folder / part.file_name] if made else []
            sums += made
    replaced = [issued_folder / path.name for path in corrected]
    restatement = Restatement(
        _RESTATED_PROVIDER,
        restated_month,
        first_sums,
        [f"restated/{path.name}" for path in corrected],
        [path.name for path in replaced],
    )
    truth = tell(Tally(plan.lines, sums), calendar, seed, plan.absent, restatement)
    written: tuple[Path, ...] = ()
    if facts:
        written, truth["facts"] = write_facts(facts_folder, plan.lines, calendar, seed, rows)
        write_contract(out, plan.lines)
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    readme = _README.format(rows=rows, seed=seed, until=until.isoformat(), months=months)
    (out / "README.txt").write_text(readme, encoding="utf-8")
    return Company(out, tuple(files), tuple(corrected), sum(found.rows for found in sums), truth, written)


def _check(rows: int, months: int, file_format: str) -> None:
    if not MIN_ROWS <= rows <= MAX_ROWS:
        raise UsageError(f"{rows} rows are out of range.", where="rows", hint=f"Ask for {MIN_ROWS} to {MAX_ROWS}.")
    if not 1 <= months <= MAX_MONTHS:
        raise UsageError(f"{months} months are out of range.", where="months", hint=f"Ask for 1 to {MAX_MONTHS}.")
    if file_format not in ("parquet", "csv.gz"):
        raise UsageError(f"'{file_format}' can't be written.", where="file_format", hint="Ask for parquet or csv.gz.")


def _clear(folder: Path) -> None:
    """Removes the files of an earlier company and nothing else: a month that is no longer made must not stay."""
    slugs = [provider.slug for provider in PROVIDERS.values()]
    for slug in slugs:
        for suffix in ("parquet", "csv.gz"):
            for old in folder.glob(f"synthetic-{slug}-*.{suffix}"):
                old.unlink()
