"""Which files are whose: bills and facts among the paths that a user gives.

A path may be a file or a folder; a folder is read recursively, hidden and empty-named files aside. Where a provider
writes a manifest (AWS), the manifest decides which of the folder's files belong to the bill. A file in no known
format is an error that says where the formats are listed; in a folder, files that can't be a bill or facts by their
content (a README, a manifest) are skipped and named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outlay.errors import UnreadableError, UsageError, nearest
from outlay.ledger.engine.duckdb import identifier
from outlay.ledger.tables.costs import focus_columns
from outlay.plugins import plugin_manager
from outlay.problems import Problem
from outlay.sources.bills.aws_manifest import superseded_in
from outlay.sources.bills.unfolded import unfold
from outlay.sources.fact_file import FactFile, open_facts
from outlay.sources.facts import FactReader
from outlay.sources.first_bytes import is_parquet
from outlay.sources.opening import open_raw
from outlay.sources.reader import Found
from outlay.sources.readers import reader_for, readers

__all__ = ["Findings", "FoundFacts", "fact_readers", "find", "find_bills"]

_MAX_FILES = 10_000
_TIME_NAME = re.compile(r"(?:start|end|(?<!to)(?<!to_)date|time)$", re.IGNORECASE)
_NUMBERS = ("BIGINT", "DOUBLE", "DECIMAL", "BOOLEAN")
_DATA_SUFFIXES = (".csv", ".gz", ".parquet", ".json", ".jsonl", ".ndjson", ".txt", ".tsv", ".prom", ".log")


@dataclass(frozen=True, slots=True)
class FoundFacts:
    """A file of facts and its reader."""

    file: FactFile
    reader: FactReader


@dataclass(slots=True)
class Findings:
    """What the paths hold, in a stable order; ``skipped`` has a sentence for each file that was passed over."""

    bills: list[Found] = field(default_factory=list)
    facts: list[FoundFacts] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def fact_readers() -> list[FactReader]:
    """Every registered reader of facts: built-ins, then plugins."""
    manager = plugin_manager()
    return [reader for group in reversed(manager.hook.outlay_fact_readers()) for reader in group]


def find(paths: Sequence[Path], *, format_id: str | None = None) -> Findings:
    """What ``paths`` hold. Raises :class:`UnreadableError` for a file that nobody reads."""
    if format_id is not None:
        known = [*(reader.format.id for reader in readers()), *(reader.format.id for reader in fact_readers())]
        if format_id not in known:
            raise UsageError(f"there is no format '{format_id}'.", where="--as", hint=nearest(format_id, known))
    findings = Findings()
    for path in paths:
        if path.is_dir():
            _in_folder(path, format_id, findings)
            continue
        one = _open(path, format_id)
        if isinstance(one, Found) and one.raw.no_rows:
            raise UnreadableError(
                "holds no rows, only the names of its columns.", where=str(path), hint="Export it again."
            )
        _put(one, findings)
    return findings


def find_bills(paths: Sequence[Path], *, format_id: str | None = None) -> tuple[list[Found], list[str]]:
    """The bills in ``paths``, and a sentence for each file of a folder that was passed over."""
    findings = find(paths, format_id=format_id)
    for one in findings.facts:
        title = one.reader.format.title
        if one.file.path in paths:
            raise UnreadableError(
                f"is no bill, but facts ({title}).", where=str(one.file.path), hint="Load it: `outlay load`."
            )
        findings.skipped.append(f"{one.file.path}: no bill, but facts ({title})")
    if not findings.bills:
        raise UnreadableError(
            "holds no bill.",
            where=", ".join(str(path) for path in paths),
            hint="Outlay reads CSV, CSV.gz, JSON lines and Parquet.",
        )
    return findings.bills, findings.skipped


def _put(one: Found | FoundFacts, findings: Findings) -> None:
    if isinstance(one, Found):
        findings.bills.append(one)
    else:
        findings.facts.append(one)


def _open(path: Path, format_id: str | None) -> Found | FoundFacts:
    if not is_parquet(path):
        file = open_facts(path)
        _refuse_empty_pages(file)
        for reader in fact_readers():
            if reader.format.id == format_id or (format_id is None and reader.recognises(file)):
                return FoundFacts(file, reader)
        report = _open_report(file, format_id)
        if report is not None:
            return report
        if file.kind == "json":
            keys = ", ".join(list(file.sample)[:6]) if isinstance(file.sample, dict) else "none: it is a list"
            raise UnreadableError(
                f"is a JSON document of no format that Outlay knows (its keys begin: {keys}).",
                where=str(path),
                hint="`outlay sources` lists the formats and what each needs.",
            )
    raw = open_raw(path)
    found = Found(raw, reader_for(raw, format_id=format_id))
    if raw.kind == "parquet":
        _refuse_foreign(found)
    return found


class _NothingTold(UnreadableError):
    """A report of a provider that tells of no time."""


def _refuse_empty_pages(file: FactFile) -> None:
    """Refuse pages of a provider's report without a row or bucket: they tell of no time."""
    if file.kind not in ("json", "jsonl") or '"has_more"' not in file.head:
        return
    pages = 0
    for one in file.objects():
        if isinstance(one, Problem) or "has_more" not in one[1] or one[1].get("data") != []:
            return
        pages += 1
    if pages:
        raise _NothingTold(
            "is a report without a single bucket of time: there is nothing to load, and nothing is replaced.",
            where=str(file.path),
            hint="Ask for a window that holds a whole bucket, and see that start and end are what you meant.",
        )


def _open_report(file: FactFile, format_id: str | None) -> Found | None:
    """A bill that is a nested report, which no reader is forced upon."""
    raw = unfold(file)
    known = readers() if raw is not None else []
    for reader in known:
        if raw is not None and format_id in (None, reader.format.id) and reader.recognises(raw):
            return Found(raw, reader)
    return None


def _refuse_foreign(found: Found) -> None:
    """Refuse a Parquet file that types a column which its reader needs as something that can't be read for certain."""
    raw = found.raw
    numbers = [name for name, kind in raw.columns.items() if kind.startswith(_NUMBERS) and _TIME_NAME.search(name)]
    if not raw.foreign and not numbers:  # a mapping may cost a pass over the rows
        return
    mapping = found.reader.mapping(raw)
    used = " ".join((*mapping.columns.values(), *mapping.control.values()))
    for name, kind in raw.foreign.items():
        if identifier(name) in used:
            raise UnreadableError(
                f"has the column '{name}' as {kind}.",
                where=str(found.raw.path),
                hint="Cast it to DECIMAL(38,18) and write the file again: reading it would round it."
                if kind.startswith("decimal")
                else "Write the file again with it as text (a UTF-8 string): bytes do not say their encoding.",
            )
    times = [
        mapping.columns[c.name] for c in focus_columns() if c.sql_type == "TIMESTAMP" and c.name in mapping.columns
    ]
    for name in numbers:
        if any(sql.startswith((identifier(name), f"coalesce({identifier(name)}")) for sql in times):
            raise UnreadableError(
                f"has the time '{name}' as a number ({raw.columns[name]}).",
                where=str(raw.path),
                hint="Write the file again with timestamps: a number may count seconds, milliseconds or days.",
            )


def _in_folder(folder: Path, format_id: str | None, findings: Findings) -> None:
    candidates = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _hidden(p, folder)]
    if len(candidates) > _MAX_FILES:
        raise UsageError(f"holds more than {_MAX_FILES:,} files.", where=str(folder), hint="Give a narrower folder.")
    before = len(findings.bills) + len(findings.facts)
    superseded = superseded_in(folder)
    for path in candidates:
        if path in superseded:
            findings.skipped.append(f"{path}: not in its report's newest manifest")
            continue
        if not path.name.lower().endswith(_DATA_SUFFIXES):
            findings.skipped.append(f"{path}: not a data file")
            continue
        try:
            _put(_open(path, format_id), findings)
        except _NothingTold as error:
            findings.skipped.append(str(error))
        except UnreadableError as error:
            if path.suffix.lower() not in (".json", ".txt", ".log"):
                raise
            findings.skipped.append(str(error))
    if len(findings.bills) + len(findings.facts) == before:
        raise UnreadableError(
            "holds no bill.", where=str(folder), hint="Outlay reads CSV, CSV.gz, JSON lines and Parquet."
        )


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
