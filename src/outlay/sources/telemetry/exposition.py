"""The Prometheus text format, and OpenMetrics: a line a reading, ``name{label="value",…} number [time]``.

An exporter's own page has no times: it says what is now. So a file of scrapes must say when each was made, in one of
three ways: a time at the end of each line (milliseconds in the Prometheus format, seconds in OpenMetrics, which are
told apart by their size); or a comment with an ISO 8601 time before each scrape, ``# scraped 2026-10-01T00:00:00Z``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation

from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import epoch, moment
from outlay.sources.telemetry.labels import LabelledSeries
from outlay.sources.telemetry.samples import METRICS, micros, whole_of_text

__all__ = ["has_series", "read_exposition"]

_LABEL = re.compile(r'([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_MARK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_FORMAL = ("# HELP", "# TYPE", "# UNIT", "# EOF")
_NO_READING = "the line is not name{labels} number [time]"
_MILLISECONDS_FROM = 10**11  # as seconds, the year 5138; as milliseconds, 1973
_READ = frozenset(name for name, metric in METRICS.items() if metric.kind != "request")


def has_series(text: str, prefix: str) -> bool:
    """Whether ``text`` has a line of a metric whose name starts with ``prefix``."""
    return re.search(rf"^{re.escape(prefix)}\w+\{{", text, re.MULTILINE) is not None


def read_exposition(file: FactFile) -> Iterator[LabelledSeries | Problem]:
    """The series of the metrics that are read, once the file is read through; problems on the way."""
    return _Exposition(file).read()


class _Exposition:
    """Where the reading of a file stands. A series is known by its line up to the closing brace; None is not read."""

    def __init__(self, file: FactFile) -> None:
        self.file = file
        self.series: dict[str, LabelledSeries | None] = {}
        self.marked: dict[str, int] = {}
        self.mark: int | None = None
        self.marks = 0
        self.complained = False

    def read(self) -> Iterator[LabelledSeries | Problem]:
        known = self.series
        for number, line in self.file.lines():
            if line.startswith("#"):
                self._comment(line)
                continue
            head, _, tail = line.rpartition("}")
            series = known[head] if head in known else self._found(number, line, head)
            if isinstance(series, LabelledSeries):
                problem = self._reading(number, series, head, tail)
                if problem is not None:
                    yield problem
            elif series is not None:
                yield series
        yield from (series for series in known.values() if series is not None and series.times)

    def _comment(self, line: str) -> None:
        if line.startswith(_FORMAL):
            return
        found = _MARK.search(line)
        at = moment(found[0].replace(",", ".")) if found else None
        if at is not None:
            self.mark = micros(at)
            self.marks += 1
            self.complained = False

    def _found(self, number: int, line: str, head: str) -> LabelledSeries | Problem | None:
        """The series that begins with this line, None for one that is not read."""
        name, brace, labels = (head or line).partition("{")
        metric = name.strip()
        if metric not in _READ:
            if brace:
                self.series[head] = None
            return None
        if not head or not brace:
            return self.file.problem(number, "unfit-value", f"{metric}: {_NO_READING}")
        series = self.series[head] = LabelledSeries(metric, _labels(labels), number)
        return series

    def _reading(self, number: int, series: LabelledSeries, head: str, tail: str) -> Problem | None:
        told = tail.split()
        if not 1 <= len(told) <= 2:
            return self.file.problem(number, "unfit-value", f"{series.metric}: {_NO_READING}")
        value = whole_of_text(METRICS[series.metric], told[0])
        if value is None:
            return self.file.problem(number, "unfit-value", f"{series.metric}: a value that is no number")
        at = self.mark
        if len(told) == 2:
            at = _time(told[1])
            if at is None:
                return self.file.problem(number, "unparsable-time", f"{series.metric}: a time that is none")
        elif at is None or self.marked.get(head) == self.marks:
            # The same series twice after one mark: a second scrape began without saying when.
            if self.complained:
                return None
            self.complained = True
            return self.file.problem(number, "scrape-without-time", "a scrape that does not say when it was made")
        else:
            self.marked[head] = self.marks
        series.times.append(at)
        series.values.append(value)
        return None


def _time(text: str) -> int | None:
    try:
        number = Decimal(text)
        milliseconds = abs(number) >= _MILLISECONDS_FROM
    except InvalidOperation:
        return None
    at: datetime | None = epoch(number, per_second=1000 if milliseconds else 1)
    return None if at is None else micros(at)


def _labels(text: str) -> dict[str, str]:
    return {name: _unescaped(value) for name, value in _LABEL.findall(text)}


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text
