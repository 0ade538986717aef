"""A file's rows as a relation, through either of two parsers.

:func:`register` offers the rows to DuckDB with ``__row``, so that every figure can name its rows: in CSV the number
that a spreadsheet shows (the header is row 1; blank lines are not counted, a cell with line breaks is one row), in
JSON lines the line, in Parquet the 1-based row. CSV is parsed by Arrow's streaming reader (cells stay text, ``NULL``
and empty cells are missing, a ragged row is set aside); Parquet by DuckDB.

:func:`register_independently` offers the same file through the *other* parser: reconciliation compares the two, so
that a fault in either shows.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import identifier, literal
from outlay.sources.raw import NULL_TEXTS, RaggedRow, RawFile

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["map_keys", "register", "register_alike", "register_independently"]

_BLOCK_BYTES = 1 << 20  # fits the caches: blocks of 8 MiB take half as long again; a row must fit in one
_JSON_BATCH_LINES = 50_000
_SLOW_BATCH_ROWS = 20_000
_LONGEST_CELL = 64 << 20
_FIRST_CSV_ROW = 2  # the header is row 1


def map_keys(path: Path, column: str) -> set[str]:
    """The distinct keys of a Parquet MAP column, from its dictionary pages: the values are not decoded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(path)
    leaves = [parquet.schema.column(i).path for i in range(len(parquet.schema))]
    leaf = next((name for name in leaves if name.startswith(f"{column}.") and name.endswith(".key")), None)
    if leaf is None:
        return set()
    parquet = pq.ParquetFile(path, read_dictionary=[leaf])
    keys: set[str] = set()
    for group in range(parquet.num_row_groups):
        for chunk in parquet.read_row_group(group, columns=[leaf]).column(0).chunks:
            names = chunk.keys if isinstance(chunk, pa.MapArray) else chunk.values.field(0)
            keys.update((names.dictionary if pa.types.is_dictionary(names.type) else names.unique()).to_pylist())
    return keys


def register(connection: duckdb.DuckDBPyConnection, raw: RawFile, *, used_by: str | None = None) -> str:
    """A FROM clause over the rows of ``raw``, with ``__row``.

    ``used_by`` is the SQL that will read it; for CSV only the columns it names are converted. A CSV relation is a
    stream: it can be read once, by one query.
    """
    if raw.kind == "parquet":
        return _parquet_clause(raw)
    raw.set_aside.clear()
    name = f"raw_{abs(hash((str(raw.path), id(raw)))):x}"
    if raw.kind == "csv":
        wanted = [c for c in raw.columns if used_by is None or identifier(c) in used_by]
        connection.register(name, _csv_stream(raw, wanted))
        return name
    connection.register(name, _jsonl_stream(raw))
    shape = literal(json.dumps(dict.fromkeys(raw.columns, "JSON")))
    fields = ", ".join(f"(__json.{identifier(c)}) AS {identifier(c)}" for c in raw.columns)
    return f"(SELECT __row, {fields} FROM (SELECT __row, json_transform(__line, {shape}) AS __json FROM {name}))"


def _parquet_clause(raw: RawFile) -> str:
    return register_alike([raw])


def register_alike(raws: Sequence[RawFile]) -> str:
    """A FROM clause over Parquet files of one schema, with ``__row`` and ``__file``, the file's index in ``raws``."""
    fields = ", ".join(
        f"to_json({identifier(c)}) AS {identifier(c)}" if kind == "JSON" else identifier(c)
        for c, kind in raws[0].columns.items()
    )
    paths = ", ".join(literal(str(raw.rows_path)) for raw in raws)
    return f"(SELECT file_row_number + 1 AS __row, file_index AS __file, {fields} FROM read_parquet([{paths}]))"


def register_independently(
    connection: duckdb.DuckDBPyConnection, raw: RawFile, *, used_by: str, slowly: bool = False
) -> str:
    """The same rows through another parser than :func:`register` uses (no ``__row``).

    DuckDB's for CSV, Arrow's for Parquet. ``slowly`` takes Python's own for CSV: parsers differ in what they forgive in
    a malformed row, and this one sets the same rows aside as Arrow does.
    """
    if raw.kind == "csv" and slowly:
        name = f"check_{abs(hash((str(raw.path), id(raw)))):x}"
        wanted = [c for c in raw.columns if identifier(c) in used_by]
        connection.register(name, _slow_csv_stream(raw, wanted or list(raw.columns)[:1]))
        return name
    if raw.kind == "parquet":
        import pyarrow.dataset as ds

        name = f"check_{abs(hash((str(raw.path), id(raw)))):x}"
        dataset = ds.dataset(raw.rows_path, format="parquet")
        wanted = [c for c in raw.columns if identifier(c) in used_by]
        connection.register(name, dataset.scanner(columns=wanted, batch_size=64_000).to_reader())
        fields = ", ".join(
            f"to_json({identifier(c)}) AS {identifier(c)}" if raw.columns[c] == "JSON" else identifier(c)
            for c in wanted
        )
        return f"(SELECT {fields or '1 AS __one'} FROM {name})"
    if raw.kind == "csv":
        types = ", ".join(f"{literal(c)}: 'VARCHAR'" for c in raw.columns)
        nulls = ", ".join(literal(text) for text in NULL_TEXTS)
        return (
            f"read_csv({literal(str(raw.rows_path))}, delim={literal(raw.delimiter)}, quote='\"', escape='\"', "
            f"header=true, auto_detect=false, columns={{{types}}}, nullstr=[{nulls}], allow_quoted_nulls=true, "
            f"ignore_errors=true, max_line_size={_BLOCK_BYTES}"
            f"{', compression=' + literal('gzip') if raw.compressed else ''})"
        )
    types = ", ".join(f"{literal(c)}: 'JSON'" for c in raw.columns)
    return (
        f"read_json({literal(str(raw.rows_path))}, format='newline_delimited', columns={{{types}}}, ignore_errors=true"
        f"{', compression=' + literal('gzip') if raw.compressed else ''})"
    )


def _csv_stream(raw: RawFile, wanted: Sequence[str]) -> pa.RecordBatchReader:
    import pyarrow as pa
    import pyarrow.csv as pc

    def set_aside(row: pc.InvalidRow) -> str:
        raw.set_aside.append(
            RaggedRow(
                row.number or _FIRST_CSV_ROW,
                row.text,
                f"has {row.actual_columns} fields where the header has {row.expected_columns}",
            )
        )
        return "skip"

    source = pa.TransformInputStream(
        pa.input_stream(str(raw.rows_path), compression="gzip" if raw.compressed else None), _checked_utf8()
    )
    reader = pc.open_csv(
        source,
        read_options=pc.ReadOptions(
            block_size=_BLOCK_BYTES, use_threads=False, column_names=list(raw.columns), skip_rows_after_names=1
        ),
        parse_options=pc.ParseOptions(delimiter=raw.delimiter, newlines_in_values=True, invalid_row_handler=set_aside),
        convert_options=pc.ConvertOptions(
            include_columns=wanted or list(raw.columns)[:1],
            column_types=dict.fromkeys(raw.columns, pa.string()),
            null_values=NULL_TEXTS,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    schema = reader.schema.insert(0, pa.field("__row", pa.int64()))
    return pa.RecordBatchReader.from_batches(schema, _numbered(reader, raw, schema))


def _checked_utf8() -> Callable[[pa.Buffer], pa.Buffer]:
    """Passes blocks of text on, and raises UnicodeDecodeError at the first byte that is not UTF-8.

    Arrow checks the cells it converts, but can't hand a broken row that is no text to the invalid-row handler.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()

    def checked(block: pa.Buffer) -> pa.Buffer:
        decoder.decode(block)
        return block

    return checked


def _slow_csv_stream(raw: RawFile, wanted: Sequence[str]) -> pa.RecordBatchReader:
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in wanted])
    places = [list(raw.columns).index(name) for name in wanted]

    def batches() -> Iterator[pa.RecordBatch]:
        def batch(rows: list[list[str]]) -> pa.RecordBatch:
            columns = [[None if row[i] in NULL_TEXTS else row[i] for row in rows] for i in places]
            return pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in columns], schema=schema)

        opener = gzip.open if raw.compressed else open
        with opener(raw.rows_path, "rt", encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, delimiter=raw.delimiter)
            next(reader)
            good = (row for row in reader if len(row) == len(raw.columns))
            while rows := _next_rows(good):
                yield batch(rows)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _next_rows(rows: Iterator[list[str]]) -> list[list[str]]:
    """The next rows, however long their cells are: the limit is the process', so it is raised for these only."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        return list(itertools.islice(rows, _SLOW_BATCH_ROWS))
    finally:
        csv.field_size_limit(before)


def _numbered(reader: pa.RecordBatchReader, raw: RawFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    following = _FIRST_CSV_ROW
    for batch in reader:
        aside = [one.row for one in raw.set_aside if one.row >= following]
        numbers = pa.arange(following, following + batch.num_rows + len(aside))
        if aside:
            kept = pc.invert(pc.is_in(numbers, value_set=pa.array(aside, pa.int64())))
            numbers = numbers.filter(kept)[: batch.num_rows]
        following = numbers[-1].as_py() + 1 if batch.num_rows else following
        yield pa.RecordBatch.from_arrays([numbers, *batch.columns], schema=schema)


def _jsonl_stream(raw: RawFile) -> pa.RecordBatchReader:
    import pyarrow as pa

    schema = pa.schema([("__row", pa.int64()), ("__line", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        rows: list[int] = []
        lines: list[str] = []
        opener = gzip.open if raw.compressed else open
        with opener(raw.rows_path, "rt", encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, start=1):
                if not line.strip():
                    continue
                try:
                    is_object = isinstance(json.loads(line), dict)
                except ValueError:
                    is_object = False
                if not is_object:
                    raw.set_aside.append(RaggedRow(number, line[:2000], "is not a JSON object"))
                    continue
                rows.append(number)
                lines.append(line)
                if len(rows) == _JSON_BATCH_LINES:
                    yield pa.RecordBatch.from_arrays([pa.array(rows, pa.int64()), pa.array(lines)], schema=schema)
                    rows, lines = [], []
        if rows:
            yield pa.RecordBatch.from_arrays([pa.array(rows, pa.int64()), pa.array(lines)], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())
