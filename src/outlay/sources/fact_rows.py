"""From a reader's facts to rows of a table: types, tags, months, and a Parquet file of them to work from.

A value that its column can't hold is never bent to fit: the record becomes a :class:`Problem`, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.config import TagSettings
from outlay.ledger.delta import arrow_schema
from outlay.ledger.tables.table import FactTable, tag_column
from outlay.problems import Problem
from outlay.sources.facts import Fact, Window
from outlay.sources.fitting import EXACT, Fitting, Unfit
from outlay.sources.source_name import source_slug

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FILE", "SEQUENCE", "RowWriter", "flat_tags"]

SEQUENCE = "__sequence"
FILE = "__file"
"""Columns of the written file: the order in which rows came, over all files of the load, and the file's number."""

_MOST_FLATTENED = 10_000


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
        self._fit = {
            column.name: Fitting(column, self._schema.field(column.name).type)
            for column in table.own
            if column.name not in table.filled
        }
        self._required = [column.name for column in table.own if not column.nullable]
        self._flattened: dict[tuple[tuple[str, str], ...], Sequence[str | None]] = {}
        self._writer = pq.ParquetWriter(path, self._schema, compression="lz4")
        self._told = 0
        self.rows = 0
        self.file = 0
        self.sums: dict[str, Decimal] = dict.fromkeys(table.measures, Decimal(0))
        self.months: set[tuple[str, str]] = set()

    def source_of(self, fact: Fact | Window, format_id: str) -> str:
        """Whose a row or window is: the name given at load, what the record says, or the format."""
        return self._source or (source_slug(fact.source) if fact.source else format_id)

    def add(self, facts: Sequence[Fact], format_id: str, file: str) -> list[Problem | None]:
        """Take rows in; for each the problem that keeps it out, if there is one."""
        import pyarrow as pa

        problems: list[Problem | None] = [None] * len(facts)
        alike: dict[tuple[str, ...], list[int]] = {}
        for number, fact in enumerate(facts):
            names = tuple(fact.values)
            if names in alike:
                alike[names].append(number)
            else:
                alike[names] = [number]
        tables = []
        for numbers in alike.values():
            batch = _Batch([facts[number] for number in numbers], numbers)
            self._fit_all(batch)
            for number, (code, message) in batch.flaws.items():
                problems[numbers[number]] = Problem(file, batch.facts[number].line, code, message)
            batch.drop()
            if batch.facts:
                tables.append(self._typed(batch, format_id, file))
        if tables:
            self._writer.write_table(pa.concat_tables(tables))
        self._told += len(facts)
        return problems

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def _fit_all(self, batch: _Batch) -> None:
        """Put each value into its column's type, and note the rows of which one can't be or is missing."""
        for name, values in batch.columns.items():
            try:
                fit = self._fit[name]
            except KeyError as unknown:
                raise KeyError(f"the table {self._table.name} has no column {unknown} for readers to fill") from None
            if (found := fit.all(values)) is not None:
                batch.arrays[name] = found
                continue
            fitted: list[Any] = [None] * len(values)
            for number, value in enumerate(values):
                try:
                    fitted[number] = None if value is None else fit.one(value, name)
                except Unfit as unfit:
                    batch.flaws.setdefault(number, ("unfit-value", str(unfit)))
            batch.columns[name] = fitted
        batch.moments = batch.first_of(self._table.time)
        batch.note_missing(batch.moments, "missing-time", self._table.time[0])
        self._assume(batch)
        for name in self._required:
            batch.note_missing(batch.columns.get(name), "missing-value", name)

    def _assume(self, batch: _Batch) -> None:
        """Fill in what the user said to assume where the record does not tell it, and remark on it."""
        nothing = [None] * len(batch.facts)
        for name, value in self._assumed.items():
            told, remarks = batch.columns.get(name, nothing), batch.columns.get("x_Remarks", nothing)
            remark = f"assumed-{name}"
            batch.put(name, [value if one is None else one for one in told])
            batch.put(
                "x_Remarks",
                [
                    said if one is not None else f"{said};{remark}" if said else remark
                    for one, said in zip(told, remarks, strict=True)
                ],
            )

    def _typed(self, batch: _Batch, format_id: str, file: str) -> pa.Table:
        """The batch with all columns of the table."""
        import pyarrow as pa

        facts, arrays, rows = batch.facts, batch.arrays, len(batch.facts)
        for name, values in batch.columns.items():
            if name not in arrays:
                arrays[name] = pa.array(values, self._schema.field(name).type)
        whose = {fact.source: self.source_of(fact, format_id) for fact in facts}
        sources = [whose[fact.source] for fact in facts]
        months = [_month(moment.year, moment.month) for moment in batch.moments]
        told: dict[str, Any] = {
            "x_RowId": [fact.identity for fact in facts],
            "x_Report": [fact.kind or None for fact in facts],
            "x_SourceRow": [fact.line for fact in facts],
            "x_Source": sources,
            "x_Month": months,
            SEQUENCE: [self._told + number for number in batch.numbers],
        }
        same: dict[str, Any] = {"x_Format": format_id, "x_SourceFile": file, "x_LoadId": self._load_id, FILE: self.file}
        for name, values in told.items():
            arrays[name] = pa.array(values, self._schema.field(name).type)
        for name, value in same.items():
            arrays[name] = pa.repeat(pa.scalar(value, self._schema.field(name).type), rows)
        arrays |= self._tags(facts)
        for name in self.sums.keys() & batch.columns.keys():
            for value in batch.columns[name]:
                if value is not None:
                    self.sums[name] = EXACT.add(self.sums[name], value)
        self.months |= set(zip(sources, months, strict=True))
        self.rows += rows
        return pa.table(
            [arrays[field.name] if field.name in arrays else pa.nulls(rows, field.type) for field in self._schema],
            schema=self._schema,
        )

    def _tags(self, facts: Sequence[Fact]) -> dict[str, pa.Array]:
        """The tags of rows and their flat columns; made once for the many rows that have the same."""
        import pyarrow as pa

        distinct: dict[tuple[tuple[str, str], ...], int] = {}
        which = pa.array([distinct.setdefault(tuple(fact.tags.items()), len(distinct)) for fact in facts], pa.int32())
        columns: dict[str, Sequence[Any]] = {"Tags": [pairs or None for pairs in distinct]}
        flat = [self._flattened_tags(pairs) for pairs in distinct]
        columns |= zip(self._tag_names, zip(*flat, strict=True), strict=True)
        return {name: pa.array(told, self._schema.field(name).type).take(which) for name, told in columns.items()}

    def _flattened_tags(self, pairs: tuple[tuple[str, str], ...]) -> Sequence[str | None]:
        """The flat columns of tags; worked out once for the many rows that have the same."""
        if (found := self._flattened.get(pairs)) is None:
            found = self._flat(dict(pairs))
            if len(self._flattened) < _MOST_FLATTENED:
                self._flattened[pairs] = found
        return found


class _Batch:
    """Rows that tell the same columns, on their way into the file: a source's rows do, by the thousand.

    ``columns`` has their values, ``arrays`` those that are known to fit; ``flaws`` are by the row's place in the batch,
    ``numbers`` say where it stands in what was told.
    """

    def __init__(self, facts: list[Fact], numbers: list[int]) -> None:
        self.facts = facts
        self.numbers = numbers
        told = zip(*[fact.values.values() for fact in facts], strict=True)
        self.columns: dict[str, Sequence[Any]] = dict(zip(facts[0].values, told, strict=True))
        self.arrays: dict[str, pa.Array] = {}
        self.moments: Sequence[Any] = ()
        self.flaws: dict[int, tuple[str, str]] = {}

    def put(self, name: str, values: Sequence[Any]) -> None:
        """Values in the place of a column's."""
        self.columns[name] = values
        self.arrays.pop(name, None)

    def first_of(self, names: Sequence[str]) -> Sequence[Any]:
        """Of each row the first of these columns that it has."""
        told = [self.columns[name] for name in names if name in self.columns]
        if len(told) == 1:
            return told[0]
        return [next((one for one in row if one is not None), None) for row in zip(*told, strict=True)]

    def note_missing(self, values: Sequence[Any] | None, code: str, name: str) -> None:
        """Note the rows that have None where there must be a value."""
        if not values:
            values = [None] * len(self.facts)
        if None in values:
            for number, value in enumerate(values):
                if value is None:
                    self.flaws.setdefault(number, (code, f"{name} is missing"))

    def drop(self) -> None:
        """Leave out the rows that have a flaw."""
        if not self.flaws:
            return
        left = [number for number in range(len(self.facts)) if number not in self.flaws]
        self.facts = [self.facts[number] for number in left]
        self.numbers = [self.numbers[number] for number in left]
        self.moments = [self.moments[number] for number in left]
        self.columns = {name: [values[number] for number in left] for name, values in self.columns.items()}
        self.arrays = {}


@lru_cache(maxsize=1000)
def _month(year: int, month: int) -> str:
    return f"{year:04}-{month:02}"


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
