"""Hours as arrays: quantities of a time laid on the hours they were used in, exact to a billionth.

A row of a bill says how much in a time; a commitment is sized by the hour. A row of more than an hour is laid evenly
over its hours, the billionths that do not divide on the first ones, so that a sum stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EPOCH", "HOUR_SQL", "LONGEST", "hour_of", "laid", "moment_of", "nanos_sql", "span_sql"]

EPOCH = datetime(1970, 1, 1)
LONGEST = 744
"""Hours of the longest month: a row of a longer time says nothing of an hour."""
_HOUR = timedelta(hours=1)

HOUR_SQL = "date_diff('hour', TIMESTAMP '1970-01-01', {})"
"""Hours from :data:`EPOCH` to the hour that holds a time."""


def span_sql(start: str, end: str) -> str:
    """Hours that a row spans, at least one; a row without an end is one of a day, as FOCUS' daily rows are."""
    return (
        f"CASE WHEN {end} IS NULL THEN 24 WHEN {end} <= {start} + INTERVAL 1 HOUR THEN 1 "
        f"ELSE greatest(date_diff('hour', {start}, {end}), 1) END"
    )


def nanos_sql(total: str) -> str:
    """A sum of GPU-hours as whole billionths; NULL where they are too many to be GPU-hours."""
    return f"CAST(try_cast({total} AS DECIMAL(18,9)) * 1000000000::BIGINT AS BIGINT)"


def hour_of(moment: datetime) -> int:
    """Hours from :data:`EPOCH` to the hour that holds ``moment``."""
    return (moment - EPOCH) // _HOUR


def moment_of(hour: int) -> datetime:
    """The start of an hour."""
    return EPOCH + int(hour) * _HOUR


def laid(columns: Mapping[str, NDArray[Any]], slots: int, first: int, length: int) -> NDArray[np.int64]:
    """Rows (``slot``, ``hour``, ``span``, ``nanos``) as an array of ``slots`` lines of ``length`` hours from ``first``.

    What lies outside of those hours is cut off.
    """
    found = np.zeros((slots, length), dtype=np.int64)
    slot, hour = columns["slot"].astype(np.int64), columns["hour"].astype(np.int64) - first
    span, nanos = columns["span"].astype(np.int64), columns["nanos"].astype(np.int64)
    for wide in np.unique(span):
        rows = np.flatnonzero(span == wide)
        each, left = nanos[rows] // wide, nanos[rows] % wide
        for step in range(int(wide)):
            at = hour[rows] + step
            inside = (at >= 0) & (at < length)
            np.add.at(found, (slot[rows][inside], at[inside]), (each + (step < left))[inside])
    return found
