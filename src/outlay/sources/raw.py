"""A file as it lies on disk, before anyone knows what it means.

:func:`open_raw` looks at the content, never at the name: magic bytes tell gzip and Parquet, the first characters tell
JSON lines from CSV, the header gives the column names. What can't be read as a whole is an :class:`UnreadableError`
that says why (empty, truncated, not UTF-8, a compression bomb, no known format). Its rows are read by
:mod:`outlay.sources.parsers`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from outlay.errors import UnreadableError
from outlay.ledger.engine.duckdb import literal
from outlay.problems import Problem
from outlay.sources.header import SAMPLE_ROWS, distinct, first_records, refuse_twins

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["NULL_TEXTS", "RaggedRow", "RawFile", "is_parquet", "not_utf8", "open_raw", "sniff"]

Kind = Literal["csv", "jsonl", "parquet"]

_SNIFF_BYTES = 1 << 20
_JSON_SAMPLE_LINES = 100
_BOMB_PROBE_BYTES = 64 << 20
_BOMB_RATIO = 250  # deflate reaches 1,032:1 on a run of one byte; real bills stay under 60:1
_MOST_DIGITS = 38  # of a DuckDB DECIMAL
_DELIMITERS = (",", ";", "\t", "|")
NULL_TEXTS = ["", "NULL", "null", "Null"]
"""What a CSV cell without a value may say."""


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A CSV record with more or fewer fields than the header has, or a line that is no JSON object.

    ``row`` is numbered as ``__row``, see :mod:`outlay.sources.parsers`.
    """

    row: int
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class RawFile:
    """What is known of a file from its first bytes.

    ``columns`` maps each column as the file spells it to its DuckDB type (``VARCHAR`` for CSV, ``JSON`` for JSON
    lines and for nested Parquet columns). SQL does not tell names apart that differ in case only: of such CSV columns
    the later ones are renamed, and ``titles`` maps their new names to the file's own. ``blank`` are the Parquet text
    columns that may hold empty texts (by the file's own statistics), ``foreign`` the Parquet columns of a type that is
    neither text nor an exact amount, with its name. ``no_rows``: it is known to hold none. ``unfolded`` is the file of
    this process that has the rows of a nested document (:mod:`outlay.sources.bills.unfolded`), ``notices`` what that
    found. ``set_aside`` fills while a relation is read.
    """

    path: Path
    kind: Kind
    columns: dict[str, str]
    compressed: bool = False
    delimiter: str = ","
    sample: tuple[dict[str, str | None], ...] = ()
    blank: frozenset[str] = frozenset()
    titles: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    no_rows: bool = False
    unfolded: Path | None = None
    notices: tuple[Problem, ...] = ()
    set_aside: list[RaggedRow] = field(default_factory=list, compare=False)

    @property
    def rows_path(self) -> Path:
        """The file whose rows are read; messages, digest and provenance name ``path``."""
        return self.unfolded or self.path

    def find(self, name: str) -> str | None:
        """The column that is called ``name``, whatever its case and the separators between its words.

        The one that is spelled exactly so comes first, then the first of the file.
        """
        if name in self.columns:
            return name
        for column, title in self.titles.items():
            if title == name:
                return column
        return _folded(tuple(self.columns)).get(_fold(name))

    def title(self, column: str) -> str:
        """What the file itself calls one of ``columns``."""
        return self.titles.get(column, column)


@lru_cache(maxsize=64)
def _folded(columns: tuple[str, ...]) -> dict[str, str]:
    return {_fold(column): column for column in reversed(columns)}


@lru_cache(maxsize=4096)
def _fold(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def open_raw(path: Path) -> RawFile:
    """Look at the first bytes of ``path`` and say what it is.

    Reads at most about a MiB, of JSON lines (which leave out what is empty) all keys; raises :class:`UnreadableError`.
    """
    if is_parquet(path):
        return _open_parquet(path)
    text, compressed, whole = _text(path)
    if text.lstrip()[:1] == "{":
        return _open_jsonl(path, text, compressed=compressed)
    return _open_csv(path, text, compressed=compressed, whole=whole)


def is_parquet(path: Path) -> bool:
    """Whether ``path`` begins as a Parquet file does. Raises :class:`UnreadableError` for no file and an empty one."""
    return _magic(path)[:4] == b"PAR1"


def sniff(path: Path) -> tuple[str, bool]:
    """The first MiB of a text file, and whether it is gzipped; raises :class:`UnreadableError`."""
    text, compressed, _ = _text(path)
    return text, compressed


def _magic(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            magic = handle.read(8)
            size = path.stat().st_size
    except OSError as error:
        raise UnreadableError(f"can't be opened: {error.strerror}.", where=str(path), hint="Check the path.") from None
    if size == 0:
        raise UnreadableError("is empty (0 bytes).", where=str(path), hint="Export it again.")
    return magic


def _text(path: Path) -> tuple[str, bool, bool]:
    """The first MiB of a text file, whether it is gzipped, and whether that is the whole."""
    magic = _magic(path)
    compressed = magic[:2] == b"\x1f\x8b"
    if not compressed:
        _refuse_other_containers(path, magic)
    head = _head(path, compressed=compressed)
    text = _decode(path, head)
    if not text.strip():
        raise UnreadableError("holds only blank space.", where=str(path), hint="Export it again.")
    return text, compressed, len(head) < _SNIFF_BYTES


def _refuse_other_containers(path: Path, magic: bytes) -> None:
    known = {
        b"PK\x03\x04": (
            "is a ZIP archive",
            "Unpack it first; CSV, gzipped CSV, JSON lines and Parquet are read as they are.",
        ),
        b"BZh": ("is compressed with bzip2", "Unpack it first, or compress it with gzip."),
        b"\x28\xb5\x2f\xfd": ("is compressed with zstd", "Unpack it first, or compress it with gzip."),
        b"\xfd7zXZ": ("is compressed with xz", "Unpack it first, or compress it with gzip."),
        b"\xff\xfe": ("is encoded in UTF-16", "Save it as UTF-8."),
        b"\xfe\xff": ("is encoded in UTF-16", "Save it as UTF-8."),
        b"%PDF": ("is a PDF", "Export the bill as CSV or Parquet: an invoice PDF has no line items to read."),
    }
    for prefix, (what, hint) in known.items():
        if magic.startswith(prefix):
            raise UnreadableError(f"{what}.", where=str(path), hint=hint)


def _head(path: Path, *, compressed: bool) -> bytes:
    if not compressed:
        with path.open("rb") as handle:
            return handle.read(_SNIFF_BYTES)
    _refuse_bomb(path)
    try:
        with gzip.open(path) as handle:
            return handle.read(_SNIFF_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _truncated(path, error) from None


def _refuse_bomb(path: Path) -> None:
    """Unpack the first 64 MiB of output and stop; a bill never shrinks 250-fold, a bomb always does."""
    consumed = produced = 0
    unpack = zlib.decompressobj(wbits=31)
    with path.open("rb") as handle:
        while produced < _BOMB_PROBE_BYTES and (chunk := handle.read(64 << 10)):
            consumed += len(chunk)
            try:
                produced += len(unpack.decompress(chunk, _BOMB_PROBE_BYTES))
            except zlib.error as error:
                raise _truncated(path, error) from None
            if unpack.eof:
                break
    if produced >= _BOMB_PROBE_BYTES and produced > consumed * _BOMB_RATIO:
        raise UnreadableError(
            f"unpacks {produced // max(consumed, 1)}-fold in its first {produced >> 20} MiB: "
            "this looks like a compression bomb.",
            where=str(path),
            hint="If it is a real bill, unpack it yourself and give the plain file.",
        )


def _truncated(path: Path, error: Exception) -> UnreadableError:
    return UnreadableError(
        f"the gzip stream is truncated or damaged ({error}).", where=str(path), hint="Download or export it again."
    )


def _decode(path: Path, head: bytes) -> str:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4 or len(head) < _SNIFF_BYTES:
            raise not_utf8(path, f"byte {error.start}") from None
        text = head[: error.start].decode("utf-8-sig")
    if "\x00" in text:
        raise UnreadableError(
            "is a binary file of no known format.",
            where=str(path),
            hint="Outlay reads CSV, gzipped CSV, JSON lines and Parquet; see `outlay sources`.",
        )
    return text


def not_utf8(path: Path, place: str) -> UnreadableError:
    """The error for text in another encoding."""
    return UnreadableError(
        f"is not UTF-8 text ({place}).",
        where=str(path),
        hint="Save it as UTF-8, e.g. `iconv -f WINDOWS-1252 -t UTF-8`.",
    )


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
        {f.name: _duckdb_type(f.type) for f in schema},
        sample=sample,
        blank=_blank(parquet.metadata),
        foreign={f.name: str(f.type) for f in schema if _is_foreign(f.type)},
        no_rows=parquet.metadata.num_rows == 0,
    )


def _is_foreign(kind: pa.DataType) -> bool:
    """Bytes that nobody says are text, and decimals of more digits than SQL has (DuckDB would round them)."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return _is_foreign(kind.value_type)
    is_bytes = t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind)
    return bool(is_bytes or (t.is_decimal(kind) and kind.precision > _MOST_DIGITS))


def _blank(metadata: pq.FileMetaData) -> frozenset[str]:
    """The text columns of which no statistics prove that they hold no empty text: the empty text sorts first."""
    found = set()
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for number in range(metadata.num_columns):
            chunk = chunks.column(number)
            if chunk.physical_type != "BYTE_ARRAY":
                continue
            known = chunk.statistics
            if known is not None and known.has_min_max:
                may_be = not known.min
            else:
                may_be = known is None or known.null_count != chunk.num_values
            if may_be:
                found.add(chunk.path_in_schema)
    return frozenset(found)


def _duckdb_type(kind: pa.DataType) -> str:
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return _duckdb_type(kind.value_type)
    if t.is_decimal(kind):
        if kind.precision > _MOST_DIGITS:
            return "DOUBLE"
        return f"DECIMAL({kind.precision},{kind.scale})"
    if t.is_map(kind):
        return "MAP(VARCHAR, VARCHAR)"
    if t.is_nested(kind):
        return "JSON"
    if _is_foreign(kind):
        return "BLOB"
    if t.is_floating(kind):
        return "DOUBLE"
    if t.is_integer(kind):
        return "BIGINT"
    if t.is_boolean(kind):
        return "BOOLEAN"
    if t.is_timestamp(kind):
        return "TIMESTAMP"
    if t.is_date(kind):
        return "DATE"
    return "VARCHAR"
