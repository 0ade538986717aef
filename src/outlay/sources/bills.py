"""Which files are bills, and which reader reads each.

A path may be a file or a folder; a folder is read recursively, hidden and empty-named files aside. Where a provider
writes a manifest (AWS), the manifest decides which of the folder's files belong to the bill. A file in no known
format is an error that lists the formats; in a folder, files that can't be a bill by their content (a README, a
manifest) are skipped and named.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from outlay.errors import OutlayError, UnreadableError, UsageError, nearest
from outlay.ledger.engine.duckdb import identifier
from outlay.ledger.tables.costs import focus_columns
from outlay.plugins import plugin_manager
from outlay.sources.aws_manifest import superseded_in
from outlay.sources.raw import RawFile, not_utf8, open_raw
from outlay.sources.reader import Reader

__all__ = ["Found", "find_bills", "reader_for", "readers", "reading"]

_MAX_FILES = 10_000
_TIME_NAME = re.compile(r"(?:start|end|(?<!to)(?<!to_)date|time)$", re.IGNORECASE)
_NUMBERS = ("BIGINT", "DOUBLE", "DECIMAL", "BOOLEAN")
_DATA_SUFFIXES = (".csv", ".gz", ".parquet", ".json", ".jsonl", ".ndjson", ".txt", ".tsv")


@dataclass(frozen=True, slots=True)
class Found:
    """A bill and its reader."""

    raw: RawFile
    reader: Reader


def readers() -> list[Reader]:
    """Every registered reader: built-ins, then plugins."""
    manager = plugin_manager()
    return [reader for group in reversed(manager.hook.outlay_readers()) for reader in group]


def reader_for(raw: RawFile, *, format_id: str | None = None) -> Reader:
    """The reader that recognises ``raw``, or the one asked for by id."""
    known = readers()
    if format_id is not None:
        for reader in known:
            if reader.format.id == format_id:
                return reader
        raise UsageError(
            f"there is no format '{format_id}'.", where="--as", hint=nearest(format_id, [r.format.id for r in known])
        )
    for reader in known:
        if reader.recognises(raw):
            return reader
    titles = "; ".join(reader.format.title for reader in known)
    columns = ", ".join(list(raw.columns)[:6])
    raise UnreadableError(
        f"is no bill that Outlay knows (its columns begin: {columns}).",
        where=str(raw.path),
        hint=f"Known formats: {titles}. Run `outlay sources` for what each needs, or name one with --as.",
    )


def find_bills(paths: Sequence[Path], *, format_id: str | None = None) -> tuple[list[Found], list[str]]:
    """The bills in ``paths`` in a stable order, and a sentence for each file of a folder that was passed over."""
    found: list[Found] = []
    skipped: list[str] = []
    for path in paths:
        if path.is_dir():
            inside, passed_over = _in_folder(path, format_id)
            found += inside
            skipped += passed_over
        else:
            one = _open(path, format_id)
            if one.raw.no_rows:
                raise UnreadableError(
                    "holds no rows, only the names of its columns.", where=str(path), hint="Export it again."
                )
            found.append(one)
    return found, skipped


def _open(path: Path, format_id: str | None) -> Found:
    raw = open_raw(path)
    found = Found(raw, reader_for(raw, format_id=format_id))
    if raw.kind == "parquet":
        _refuse_foreign(found)
    return found


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


def _in_folder(folder: Path, format_id: str | None) -> tuple[list[Found], list[str]]:
    candidates = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _hidden(p, folder)]
    if len(candidates) > _MAX_FILES:
        raise UsageError(f"holds more than {_MAX_FILES:,} files.", where=str(folder), hint="Give a narrower folder.")
    found: list[Found] = []
    skipped: list[str] = []
    superseded = superseded_in(folder)
    for path in candidates:
        if path in superseded:
            skipped.append(f"{path}: not in its report's newest manifest")
            continue
        if not path.name.lower().endswith(_DATA_SUFFIXES):
            skipped.append(f"{path}: not a data file")
            continue
        try:
            found.append(_open(path, format_id))
        except UnreadableError as error:
            if path.suffix.lower() not in (".json", ".txt"):
                raise
            skipped.append(str(error))
    if not found:
        raise UnreadableError(
            "holds no bill.", where=str(folder), hint="Outlay reads CSV, CSV.gz, JSON lines and Parquet."
        )
    return found, skipped


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


@contextlib.contextmanager
def reading(paths: Path | Iterable[Path], reader: Reader | None = None) -> Iterator[None]:
    """Turn the parsers' own errors into an :class:`UnreadableError` that names the file.

    SQL that DuckDB can't compile is never the file's fault but that of the ``reader`` that wrote it, so the error names
    the reader's format.
    """
    where = str(paths) if isinstance(paths, Path) else ", ".join(str(path) for path in paths)
    import duckdb
    import pyarrow as pa

    try:
        yield
    except OutlayError:
        raise
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        format_id = f" '{reader.format.id}'" if reader is not None else ""
        raise UnreadableError(
            f"can't be read: the format{format_id} asks for SQL that does not compile "
            f"({str(error).splitlines()[0][:300].rstrip('.')}).",
            where=where,
            hint="The file may be fine: report it to the reader's author.",
        ) from error
    except (duckdb.Error, pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        text = str(error)
        folded = text.lower()
        if "truncated" in folded or "end of gzip" in folded or "end-of-stream" in folded:
            raise UnreadableError(
                "the gzip stream is truncated.", where=where, hint="Download or export it again."
            ) from error
        if "straddling" in folded or "maximum line size" in folded:
            raise UnreadableError(
                "has a row longer than 1 MiB.",
                where=where,
                hint="A quote that is never closed does this; see the file.",
            ) from error
        # Arrow can't hand a broken row that is no text to a handler, and DuckDB cuts what Arrow says of it
        if "utf" in folded or "unicode" in folded or ("csv parse error" in folded and "python exception" in folded):
            raise not_utf8(Path(where), "in its later part") from error
        raise UnreadableError(
            f"can't be read: {text.splitlines()[0][:300]}.", where=where, hint="Export it again."
        ) from error
