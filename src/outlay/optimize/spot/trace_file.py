"""Trace files: what a cloud's capacity was, ping by ping.

Two formats, told apart by their first character:

- JSON as SkyPilot publishes its traces (skypilot-org/spot-traces): ``{"metadata": {"gap_seconds": 195}, "data": [0, 1,
  ...]}``, the instances that could be had at each tick. A tick stands for the whole gap that follows it.
- CSV with the columns ``time`` (ISO 8601, UTC unless it says otherwise, or seconds) and ``instances_up``. A row stands
  until the next one, whenever that is; the last row only says when the trace ends.

Unlike a bill, a trace is refused whole when one value can't be used: leaving it out would invent what happened in the
hole, and a replay runs across it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from outlay.errors import UnreadableError
from outlay.optimize.spot.availability import Trace
from outlay.optimize.spot.checkpoint import LONGEST

__all__ = ["read_trace", "read_traces"]

_MOST_BYTES = 64 * 1024 * 1024
_MOST_INSTANCES = 1_000_000_000
_SHORTEST_GAP = 1e-3
_SUFFIXES = (".csv", ".json")
_JSON_SHAPE = 'It must be {"metadata": {"gap_seconds": 300}, "data": [instances at each tick, ...]}.'
_CSV_SHAPE = "It must have the columns time and instances_up."


def read_traces(paths: Iterable[Path]) -> list[Trace]:
    """The traces of files, and of the ``.json`` and ``.csv`` files directly in folders, in the order of their names."""
    files = [file for path in paths for file in _files(path)]
    return [read_trace(file) for file in files]


def read_trace(path: Path) -> Trace:
    """One trace, named after its file. Raises :class:`UnreadableError` that says where and what to do."""
    text = _text(path)
    if text.lstrip()[:1] in ("{", "["):
        times, counts, end = _from_json(text, path)
    else:
        times, counts, end = _from_csv(text, path)
    if end > LONGEST:
        raise UnreadableError("spans more than a century.", where=str(path), hint="Check the unit of its times.")
    return Trace(path.stem, np.array(times, dtype=np.float64), np.array(counts, dtype=np.int64), end, str(path))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES and one.is_file())
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror}.", where=str(path)) from None
    if not found:
        raise UnreadableError("has no .json or .csv file directly in it.", where=str(path), hint="Name the traces.")
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            raw = handle.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableError(f"can't be read: {reason}.", where=str(path)) from None
    if len(raw) > _MOST_BYTES:
        raise UnreadableError(
            f"is larger than {_MOST_BYTES // 2**20} MiB.", where=str(path), hint="Give a shorter or coarser trace."
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(
            f"is not UTF-8 text (byte {error.start}).", where=str(path), hint="Give JSON or CSV, unpacked."
        ) from None
    if not text.strip():
        raise UnreadableError("is empty.", where=str(path), hint=_JSON_SHAPE)
    return text


def _from_json(text: str, path: Path) -> tuple[list[float], list[int], float]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UnreadableError(f"is not JSON: {reason}.", where=str(path), hint=_JSON_SHAPE) from None
    metadata = found.get("metadata") if isinstance(found, dict) else None
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(metadata, dict) or not isinstance(data, list):
        raise UnreadableError("is no trace: metadata or data is missing.", where=str(path), hint=_JSON_SHAPE)
    gap = _gap(metadata.get("gap_seconds"))
    if gap is None:
        raise UnreadableError(
            f"metadata.gap_seconds is {_short(metadata.get('gap_seconds'))}, which is no time between two ticks.",
            where=str(path),
            hint="It must be a number of seconds above 0.",
        )
    if not data:
        raise UnreadableError("has no ticks: data is empty.", where=str(path), hint=_JSON_SHAPE)
    counts = []
    for position, value in enumerate(data):
        count = _count(value)
        if count is None:
            raise UnreadableError(
                f"data[{position}] is {_short(value)}, which is no number of instances.",
                where=str(path),
                hint="Give whole numbers from 0 on; cut the trace where nothing is known.",
            )
        counts.append(count)
    return [position * gap for position in range(len(counts))], counts, len(counts) * gap


def _from_csv(text: str, path: Path) -> tuple[list[float], list[int], float]:
    times: list[float] = []
    counts: list[int] = []
    dated: bool | None = None
    for line, when_text, count_text in _rows(text, path):
        place = f"{path}:{line}"
        when = _time(when_text)
        if when is None:
            raise UnreadableError(
                f"'{_short(when_text)}' is no time.",
                where=place,
                hint="Write 2026-10-01T12:00:00Z, or seconds as a number.",
            )
        if dated is not None and when[1] != dated:
            raise UnreadableError("mixes dates and seconds.", where=place, hint="Write all times in one way.")
        dated = when[1]
        if times and when[0] - times[-1] < _SHORTEST_GAP:
            raise UnreadableError(
                f"the time {when_text} is not later than the one before it.",
                where=place,
                hint="Sort the rows by time, one row a moment.",
            )
        count = _count(_number(count_text))
        if count is None:
            raise UnreadableError(
                f"'{_short(count_text)}' is no number of instances.",
                where=place,
                hint="Give whole numbers from 0 on; cut the trace where nothing is known.",
            )
        times.append(when[0])
        counts.append(count)
    if len(times) < 2:
        raise UnreadableError(
            "has no time in it: a row stands until the next one.", where=str(path), hint="Give two rows or more."
        )
    first = times[0]
    return [one - first for one in times[:-1]], counts[:-1], times[-1] - first


def _rows(text: str, path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, time and count of each row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip().casefold() for name in next(reader)]
        if header.count("time") != 1 or header.count("instances_up") != 1:
            raise UnreadableError("is no trace.", where=f"{path}:1", hint=_CSV_SHAPE)
        time, count = header.index("time"), header.index("instances_up")
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise UnreadableError(
                    f"has {len(row)} fields where the header has {len(header)}.",
                    where=f"{path}:{reader.line_num}",
                    hint=_CSV_SHAPE,
                )
            yield reader.line_num, row[time].strip(), row[count].strip()
    except csv.Error as error:
        raise UnreadableError(f"is not CSV: {error}.", where=f"{path}:{reader.line_num}", hint=_CSV_SHAPE) from None


def _gap(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if _SHORTEST_GAP <= value <= LONGEST else None


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_INSTANCES:
        return None
    return int(value) if value == int(value) else None


def _number(text: str) -> float | None:
    if not text.isascii() or "_" in text:
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _time(text: str) -> tuple[float, bool] | None:
    """Seconds, and whether the text was a date."""
    seconds = _number(text)
    if seconds is not None:
        return (seconds, False) if abs(seconds) <= LONGEST else None
    try:
        found = datetime.fromisoformat(text)
        aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        return aware.timestamp(), True
    except (ValueError, OverflowError):
        return None


def _short(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
