"""Opening a bill's file: what kind it is, and which columns it has.

:func:`open_raw` looks at the content, never at the name: magic bytes tell gzip and Parquet
(:mod:`outlay.sources.first_bytes`), the first characters tell JSON lines from CSV, the header gives the column names.
What can't be read as a whole is an :class:`UnreadableError` that says why.
"""

from __future__ import annotations

import json
from pathlib import Path

from outlay.errors import UnreadableError
from outlay.ledger.engine.duckdb import literal
from outlay.sources.first_bytes import first_text, is_parquet
from outlay.sources.header import SAMPLE_ROWS, distinct, first_records, refuse_twins
from outlay.sources.parquet_columns import blank_columns, duckdb_type, is_foreign
from outlay.sources.raw import NULL_TEXTS, RawFile

__all__ = ["open_raw"]

_JSON_SAMPLE_LINES = 100
_DELIMITERS = (",", ";", "\t", "|")


def open_raw(path: Path) -> RawFile:
    """Look at the first bytes of ``path`` and say what it is.

    Reads at most about a MiB, of JSON lines (which leave out what is empty) all keys; raises :class:`UnreadableError`.
    """
    if is_parquet(path):
        return _open_parquet(path)
    text, compressed, whole = first_text(path)
    if text.lstrip()[:1] == "{":
        return _open_jsonl(path, text, compressed=compressed)
    return _open_csv(path, text, compressed=compressed, whole=whole)


def _open_csv(path: Path, text: str, *, compressed: bool, whole: bool) -> RawFile:
    first_line = text.splitlines()[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    header, rows, all_read = first_records(text, delimiter)
    titles = [title.strip() for title in header]
    if len(titles) < 2 or any(len(title) > 200 for title in titles):
        raise UnreadableError(
            "has no header line of column names.",
            where=str(path),
            hint="Outlay reads CSV with a header, gzipped CSV, JSON lines and Parquet; see `outlay sources`.",
        )
    if not titles[-1] and rows and all(len(row) == len(titles) - 1 for row in rows):
        titles.pop()  # the header ends with a delimiter, the rows do not
    doubled = sorted({title for title in titles if title and titles.count(title) > 1})
    if doubled:
        raise UnreadableError(
            f"has the column '{doubled[0]}' twice.", where=str(path), hint="Rename or drop one of them."
        )
    names = distinct(titles)
    sample = tuple(
        {name: (None if cell in NULL_TEXTS else cell) for name, cell in zip(names, row, strict=True)}
        for row in rows
        if len(row) == len(names)
    )
    return RawFile(
        path,
        "csv",
        dict.fromkeys(names, "VARCHAR"),
        compressed,
        delimiter,
        sample[:SAMPLE_ROWS],
        titles={name: title for name, title in zip(names, titles, strict=True) if title and name != title},
        no_rows=whole and all_read and not rows,
    )


def _open_jsonl(path: Path, text: str, *, compressed: bool) -> RawFile:
    keys: dict[str, str] = {}
    sample: list[dict[str, str | None]] = []
    for line in text.splitlines()[:_JSON_SAMPLE_LINES]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            keys |= dict.fromkeys(record, "JSON")
            if len(sample) < SAMPLE_ROWS:
                sample.append(
                    {k: v if isinstance(v, str) else json.dumps(v) for k, v in record.items() if v is not None}
                )
    if not keys:
        raise UnreadableError(
            "starts like JSON but no line is a JSON object.",
            where=str(path),
            hint="Export as newline-delimited JSON: one object a line.",
        )
    keys |= dict.fromkeys(sorted(_all_keys(path, compressed=compressed) - keys.keys()), "JSON")
    refuse_twins(path, list(keys))
    return RawFile(path, "jsonl", keys, compressed, sample=tuple(sample))


def _all_keys(path: Path, *, compressed: bool) -> set[str]:
    """Every key that any object of the file has: a column that is empty in the first thousands of rows is a column."""
    import duckdb

    compression = "gzip" if compressed else "none"
    objects = f"read_ndjson_objects({literal(str(path))}, ignore_errors=true, compression={literal(compression)})"
    with duckdb.connect() as connection:
        try:
            rows = connection.execute(
                f"SELECT DISTINCT unnest(json_keys(json)) FROM {objects} WHERE json_type(json) = 'OBJECT'"
            ).fetchall()
        except duckdb.Error:  # what is wrong with the file is told where its rows are read
            return set()
    return {row[0] for row in rows}


def _open_parquet(path: Path) -> RawFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(path)
        schema = parquet.schema_arrow
        first = next(parquet.iter_batches(batch_size=SAMPLE_ROWS), None)
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableError(
            f"is a damaged Parquet file ({str(error).splitlines()[0]}).", where=str(path), hint="Export it again."
        ) from None
    sample: tuple[dict[str, str | None], ...] = ()
    if first is not None:
        sample = tuple(
            {k: (None if v is None else v if isinstance(v, str) else str(v)) for k, v in row.items()}
            for row in first.to_pylist()
        )
    refuse_twins(path, schema.names)
    return RawFile(
        path,
        "parquet",
        {f.name: duckdb_type(f.type) for f in schema},
        sample=sample,
        blank=blank_columns(parquet.metadata),
        foreign={f.name: str(f.type) for f in schema if is_foreign(f.type)},
        no_rows=parquet.metadata.num_rows == 0,
    )
