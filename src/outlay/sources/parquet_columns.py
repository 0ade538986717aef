"""What a Parquet file says of its columns: their types in SQL, and what of them can't be read for certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["blank_columns", "duckdb_type", "is_foreign"]

_MOST_DIGITS = 38  # of a DuckDB DECIMAL


def duckdb_type(kind: pa.DataType) -> str:
    """The type that SQL reads a column as: ``JSON`` where it is nested, ``VARCHAR`` where nothing else fits."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return duckdb_type(kind.value_type)
    if t.is_decimal(kind):
        if kind.precision > _MOST_DIGITS:
            return "DOUBLE"
        return f"DECIMAL({kind.precision},{kind.scale})"
    if t.is_map(kind):
        return "MAP(VARCHAR, VARCHAR)"
    if t.is_nested(kind):
        return "JSON"
    if is_foreign(kind):
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


def is_foreign(kind: pa.DataType) -> bool:
    """Bytes that nobody says are text, and decimals of more digits than SQL has (DuckDB would round them)."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return is_foreign(kind.value_type)
    is_bytes = t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind)
    return bool(is_bytes or (t.is_decimal(kind) and kind.precision > _MOST_DIGITS))


def blank_columns(metadata: pq.FileMetaData) -> frozenset[str]:
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
