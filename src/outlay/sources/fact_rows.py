"""From a reader's facts to rows of a table: types, tags, months, and a Parquet file of them to work from.

A value that its column can't hold is never bent to fit: the record becomes a :class:`Problem`, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.config import TagSettings
from outlay.ledger.delta import arrow_schema
from outlay.ledger.tables.table import Column, FactTable, tag_column
from outlay.problems import Problem
from outlay.sources.facts import Fact, Window
from outlay.sources.source_name import source_slug

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FILE", "SEQUENCE", "RowWriter", "flat_tags"]

SEQUENCE = "__sequence"
FILE = "__file"
"""Columns of the written file: the order in which rows came, over all files of the load, and the file's number."""

_BATCH_ROWS = 20_000
_MOST_FLATTENED = 10_000
_EXACT = Context(prec=120)
"""Wide enough for sums of any column: the context of the thread would round at 28 digits."""
_INT64 = 1 << 63


class Unfit(ValueError):
    """A value that its column can't hold; the message says why."""


class RowWriter:
    """Writes the facts of a load into one Parquet file, batch by batch, and sums the measures as they come.

    ``assumed`` has values for columns that records may lack; a row that takes one is marked in ``x_Remarks``.
    """

    def __init__(
        self,
        path: Path,
        table: FactTable,
        tags: TagSettings,
        load_id: str,
        *,
        source: str | None = None,
        assumed: Mapping[str, str] | None = None,
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._table = table
        self._flat = flat_tags(tags)
        self._tag_names = [tag_column(tag) for tag in tags.required]
        self._load_id = load_id
        self._source = source
        self._assumed = dict(assumed or {})
        columns = [column for column in table.columns(tags.required) if column.name not in table.filled]
        self._schema = arrow_schema(columns).append(pa.field(SEQUENCE, pa.int64())).append(pa.field(FILE, pa.int32()))
        self._fit = {column.name: _fitting(column) for column in table.own if column.name not in table.filled}
        self._required = [column.name for column in table.own if not column.nullable]
        self._flattened: dict[tuple[tuple[str, str], ...], Sequence[str | None]] = {}
        self._waiting: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        self._writer = pq.ParquetWriter(path, self._schema, compression="lz4")
        self.rows = 0
        self.file = 0
        self.sums: dict[str, Decimal] = dict.fromkeys(table.measures, Decimal(0))
        self.months: set[tuple[str, str]] = set()

    def source_of(self, fact: Fact | Window, format_id: str) -> str:
        """Whose a row or window is: the name given at load, what the record says, or the format."""
        return self._source or (source_slug(fact.source) if fact.source else format_id)

    def add(self, fact: Fact, format_id: str, file: str) -> Problem | None:
        """Take a row in; the problem that keeps it out, if there is one."""
        fit = self._fit
        try:
            row = {name: fit[name](value, name) for name, value in fact.values.items() if value is not None}
            moment = self._moment(row)
        except Unfit as unfit:
            return Problem(file, fact.line, "unfit-value", str(unfit))
        except KeyError as unknown:
            raise KeyError(f"the table {self._table.name} has no column {unknown} for readers to fill") from None
        if moment is None:
            return Problem(file, fact.line, "missing-time", f"{self._table.time[0]} is missing")
        self._assume(row)
        missing = [name for name in self._required if name not in row]
        if missing:
            return Problem(file, fact.line, "missing-value", f"{missing[0]} is missing")
        source, month = self.source_of(fact, format_id), f"{moment.year:04}-{moment.month:02}"
        row["x_RowId"] = fact.identity
        row["x_Format"] = format_id
        row["x_Report"] = fact.kind or None
        row["x_SourceFile"] = file
        row["x_SourceRow"] = fact.line
        row["x_LoadId"] = self._load_id
        row["x_Source"] = source
        row["x_Month"] = month
        row[SEQUENCE] = self.rows
        row[FILE] = self.file
        if fact.tags:
            row["Tags"] = pairs = tuple(fact.tags.items())
            row.update(zip(self._tag_names, self._flattened_tags(pairs, fact.tags), strict=True))
        names = tuple(row)
        if names not in self._waiting:
            self._waiting[names] = []
        self._waiting[names].append(tuple(row.values()))
        for name in self.sums:
            if name in row:
                self.sums[name] = _EXACT.add(self.sums[name], row[name])
        self.months.add((source, month))
        self.rows += 1
        if self.rows % _BATCH_ROWS == 0:
            self._flush()
        return None

    def _assume(self, values: dict[str, Any]) -> None:
        """Fill in what the user said to assume where the record does not tell it, and remark on it."""
        for name, value in self._assumed.items():
            if name not in values:
                values[name] = value
                said = values.get("x_Remarks")
                values["x_Remarks"] = f"{said};assumed-{name}" if said else f"assumed-{name}"

    def close(self) -> None:
        """Write what is left and finish the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        alike = [_table(names, rows, self._schema) for names, rows in self._waiting.items()]
        if alike:
            self._writer.write_table(pa.concat_tables(alike))
        self._waiting.clear()

    def _flattened_tags(self, pairs: tuple[tuple[str, str], ...], tags: Mapping[str, str]) -> Sequence[str | None]:
        """The flat columns of ``tags``; worked out once for the many rows that have the same."""
        if (found := self._flattened.get(pairs)) is None:
            found = self._flat(tags)
            if len(self._flattened) < _MOST_FLATTENED:
                self._flattened[pairs] = found
        return found

    def _moment(self, values: Mapping[str, Any]) -> datetime | date | None:
        return next((values[name] for name in self._table.time if name in values), None)


def _table(names: Sequence[str], rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Rows that tell the same columns: a source's rows do, by the thousand, and leave most columns empty."""
    import pyarrow as pa

    told = dict(zip(names, zip(*rows, strict=True), strict=True))
    return pa.table(
        [
            pa.array(told[field.name], field.type) if field.name in told else pa.nulls(len(rows), field.type)
            for field in schema
        ],
        schema=schema,
    )


def _fitting(column: Column) -> Callable[[Any, str], Any]:
    """What a value must go through to stand in ``column``: it raises :class:`Unfit`."""
    fit = _fit(column.sql_type)
    if not column.allowed:
        return fit
    allowed = frozenset(column.allowed)

    def one_of(value: Any, name: str) -> Any:  # noqa: ANN401
        found = fit(value, name)
        if found not in allowed:
            raise Unfit(f"{name} is {value!r}, not one of {', '.join(sorted(allowed))}")
        return found

    return one_of


def _fit(sql_type: str) -> Callable[[Any, str], Any]:
    if sql_type.startswith("DECIMAL"):
        precision, scale = (int(n) for n in sql_type.removeprefix("DECIMAL(").removesuffix(")").split(","))
        return _decimal(precision, scale)
    return {"VARCHAR": _text, "BIGINT": _whole, "BOOLEAN": _truth, "TIMESTAMP": _time, "DATE": _day}[sql_type]


def _decimal(precision: int, scale: int) -> Callable[[Any, str], Decimal]:
    unit, limit = Decimal(1).scaleb(-scale), Decimal(10) ** (precision - scale)

    def fit(value: Any, name: str) -> Decimal:  # noqa: ANN401
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise Unfit(f"{name} is {value!r}, not a number")
        number = Decimal(value)
        if not number.is_finite() or number.copy_abs() >= limit:
            raise Unfit(f"{name} is {value}, which is not below {limit}")
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # it is finite
        if -exponent > scale:
            number = number.quantize(unit, ROUND_HALF_UP, _EXACT)
            if number.copy_abs() == limit:
                raise Unfit(f"{name} is {value}, which is not below {limit} when rounded")
        return number

    return fit


def _whole(value: Any, name: str) -> int:  # noqa: ANN401
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or value != int(value):
        raise Unfit(f"{name} is {value!r}, not a whole number")
    if not -_INT64 <= value < _INT64:
        raise Unfit(f"{name} is {value}, which no column holds")
    return int(value)


def _text(value: Any, name: str) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise Unfit(f"{name} is {value!r}, not text")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unfit(f"{name} holds half of a character") from None
    return value


def _truth(value: Any, name: str) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        raise Unfit(f"{name} is {value!r}, neither true nor false")
    return value


def _time(value: Any, name: str) -> datetime:  # noqa: ANN401
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise Unfit(f"{name} is {value!r}, not a time in UTC")
    return value


def _day(value: Any, name: str) -> date:  # noqa: ANN401
    if not isinstance(value, date):
        raise Unfit(f"{name} is {value!r}, not a date")
    return value.date() if isinstance(value, datetime) else value


def flat_tags(settings: TagSettings) -> Callable[[Mapping[str, str]], Sequence[str | None]]:
    """What each configured allocation tag is in a row's tags, whatever their spelling: case, separators, aliases."""
    spelt: list[list[str]] = [
        list(dict.fromkeys(_fold(name) for name in (tag, *settings.aliases.get(tag, ())))) for tag in settings.required
    ]
    folded: dict[str, str] = {}

    def fold(key: str) -> str:
        if key not in folded:
            folded[key] = _fold(key)
        return folded[key]

    def flat(tags: Mapping[str, str]) -> Sequence[str | None]:
        if not tags:
            return [None] * len(spelt)
        known = {fold(key): value for key, value in reversed(list(tags.items()))}
        return [next((known[name] for name in names if known.get(name)), None) for names in spelt]

    return flat


def _fold(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
