"""Lines into rows of FOCUS files.

A part of a bill is made in two steps. The narrow step counts what each line used (:mod:`outlay.demo.counts`). The
wide step joins what stays the same on the line and multiplies counts by prices. The decimals are sized so that no
product exceeds 38 digits and none is rounded: a quantity has 6 decimals, a price 9, so a cost has 15.

Parts bound the memory: a month of one provider is one file until it exceeds ``PART_ROWS`` rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from outlay.demo.catalogue import PROVIDERS, SERVICES
from outlay.demo.chance import MIX_MACROS
from outlay.demo.constants import COST_COLUMNS, constants
from outlay.demo.counts import Part, narrow_sql, shapes
from outlay.demo.lines import Calendar, Line
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.costs import focus_columns
from outlay.periods import month_period

__all__ = ["PART_ROWS", "SYNTHETIC", "FileFormat", "Sum", "Writer"]

FileFormat = Literal["parquet", "csv.gz"]

PART_ROWS = 2_000_000
"""Rows of one file, about; a day is never split."""

SYNTHETIC = "synthetic: not a real bill"
"""Value of ``x_Synthetic`` on every row."""

_ENUM_VALUES = 300
_COST, _QUANTITY = "DECIMAL(38,18)", "DECIMAL(18,6)"
_COPY_OPTIONS = {"parquet": "FORMAT parquet, COMPRESSION zstd", "csv.gz": "FORMAT csv, HEADER, COMPRESSION gzip"}


@dataclass(frozen=True, slots=True)
class Sum:
    """What one line came to in one month: rows, units, and units outside Monday-Friday 07:00-19:00 UTC.

    The last are counted on hourly rows only; a row of a day does not show its hours.
    """

    line: int
    month: str
    rows: int
    units: int
    units_outside: int


class Writer:
    """Writes the parts of one company through a DuckDB connection, which must be its own."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, lines: Sequence[Line], calendar: Calendar, file_format: FileFormat
    ) -> None:
        self._connection = connection
        self._calendar = calendar
        self._format = file_format
        self._rows_a_day = dict.fromkeys(PROVIDERS, 0)
        for line in lines:
            self._rows_a_day[SERVICES[line.sku.service].provider] += {"hour": 24, "day": 1, "month": 0}[line.grain]
        connection.execute("SET preserve_insertion_order = true")  # the same order of rows, whatever the threads
        connection.execute(MIX_MACROS)
        self._store("shapes", shapes(lines, calendar))
        self._store_constants(constants(lines))

    def _store(self, name: str, table: pa.Table) -> None:
        self._connection.register("arriving", table)
        self._connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM arriving")
        self._connection.unregister("arriving")

    def _store_constants(self, table: pa.Table) -> None:
        """Columns of few values become ENUMs: their dictionaries are written twice as fast, and read the same."""
        enums: list[str] = []
        for name in table.schema.names:
            if table.schema.field(name).type == pa.string():
                values = sorted(value for value in table.column(name).unique().to_pylist() if value is not None)
                if 0 < len(values) <= _ENUM_VALUES:
                    kind = ", ".join(map(literal, values))
                    enums.append(f"CAST({identifier(name)} AS ENUM({kind})) AS {identifier(name)}")
        self._store("text", table)
        replaced = f"REPLACE ({', '.join(enums)})" if enums else ""
        self._connection.execute(f"CREATE TEMP TABLE lines AS SELECT * {replaced} FROM text")
        self._connection.execute("DROP TABLE text")

    def parts(self) -> Iterator[Part]:
        """The parts in order of month and provider."""
        for month, first_day, last_day in self._calendar.months:
            for provider in PROVIDERS.values():
                step = max(1, PART_ROWS // max(1, self._rows_a_day[provider.name]))
                starts = range(first_day, last_day, step)
                for number, start in enumerate(starts, 1):
                    suffix = f"-part{number:02d}" if len(starts) > 1 else ""
                    name = f"synthetic-{provider.slug}-{month}{suffix}.{self._format}"
                    end = min(start + step, last_day)
                    yield Part(provider.name, month, start, end, first_day, last_day, name)

    def write(self, part: Part, folder: Path, *, late_from_day: int | None = None) -> list[Sum]:
        """Writes ``part`` into ``folder`` and tells what each line came to; no file when no line has a row.

        With ``late_from_day``, the bill as it was before its restatement: a tenth of each volume is missing from
        that day on.
        """
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE part AS {narrow_sql(part, late_from_day)}")
        outside = "(first_hour // 24 + 3) % 7 >= 5 OR first_hour % 24 < 7 OR first_hour % 24 >= 19"
        sums = self._connection.execute(
            f"""SELECT line, count(*), sum(n),
                coalesce(sum(n) FILTER (WHERE last_hour - first_hour = 1 AND ({outside})), 0)
            FROM part GROUP BY line ORDER BY line"""
        ).fetchall()
        if sums:
            target = literal(str(folder / part.file_name))
            self._connection.execute(
                f"COPY ({_wide_sql(part, self._format)}) TO {target} ({_COPY_OPTIONS[self._format]})"
            )
        return [Sum(line, part.month, rows, int(units), int(out)) for line, rows, units, out in sums]


def _wide_sql(part: Part, file_format: FileFormat) -> str:
    """All columns of the file, in FOCUS' order."""
    quantity = f"CAST(p.n * l.per_unit AS {_QUANTITY})"
    costs = {name: f"CAST({quantity} * l.price_{name} AS {_COST})" for name in COST_COLUMNS}
    invoice = f"SYNTHETIC-{PROVIDERS[part.provider].slug.upper()}-{part.month}"
    period = month_period(part.month)
    found = costs | {
        "BillingPeriodStart": _moment(period.since, file_format),
        "BillingPeriodEnd": _moment(period.until, file_format),
        "ChargePeriodStart": _time("p.first_hour", file_format),
        "ChargePeriodEnd": _time("p.last_hour", file_format),
        "PricingQuantity": f"CASE WHEN l.PricingUnit IS NOT NULL THEN {quantity} END",
        "ConsumedQuantity": f"CASE WHEN l.ConsumedUnit IS NOT NULL THEN CAST(p.n * l.per_consumed AS {_QUANTITY}) END",
        "CommitmentDiscountQuantity": f"CAST({quantity} * l.per_commitment AS {_COST})",
        "PricingCurrencyEffectiveCost": costs["EffectiveCost"],
        "InvoiceId": literal(invoice),
        "InvoiceDetailId": f"{literal(invoice + '-')} || l.service",
    }
    if file_format == "csv.gz":
        found["Tags"] = "l.tags_json"
    columns = ", ".join(
        f"{found.get(column.name, 'l.' + identifier(column.name))} AS {identifier(column.name)}"
        for column in focus_columns()
    )
    return f"""SELECT {columns}, {literal(SYNTHETIC)} AS "x_Synthetic" FROM part p JOIN lines l USING (line)"""


def _moment(moment: datetime, file_format: FileFormat) -> str:
    return f"TIMESTAMP '{moment}'" if file_format == "parquet" else f"'{moment:%Y-%m-%dT%H:%M:%SZ}'"


def _time(hour: str, file_format: FileFormat) -> str:
    moment = f"make_timestamp(({hour})::BIGINT * 3600000000)"
    return moment if file_format == "parquet" else f"strftime({moment}, '%Y-%m-%dT%H:%M:%SZ')"
