"""A file of facts as it lies on disk: JSON documents, JSON lines, CSV or lines of text, plain or gzipped.

Facts come in small files by the standard of bills, and nested, so they are read in Python, record by record, with
every number exact (a JSON number becomes an int or a Decimal, never a float). A record that can't be read is a
:class:`Problem` with its line, and the ones after it are read.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from outlay.errors import UnreadableError
from outlay.problems import Problem
from outlay.sources.first_bytes import first_text, not_utf8
from outlay.sources.raw import NULL_TEXTS

__all__ = ["FactFile", "FileKind", "Json", "Unusable", "open_facts", "parse_json"]

FileKind = Literal["json", "jsonl", "csv", "text"]
_Read = TypeVar("_Read")
Json = Any
"""What :func:`parse_json` gives: dict, list, str, int, Decimal, bool or None."""

_MOST_DOCUMENT_BYTES = 1 << 30
_LONGEST_LINE = 64 << 20
_LONGEST_CELL = 1 << 20
"""The longest CSV cell that is read, in characters: as of a bill. A record with a longer one is kept out."""


class Unusable(Exception):
    """A record that can't be a row: a ``code`` of the catalogue of problems, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def problem(self, file: FactFile, line: int | None) -> Problem:
        """The problem of ``file`` that this is."""
        return file.problem(line, self.code, str(self))


@dataclass(frozen=True)
class FactFile:
    """A file and what its first MiB says of it; ``head`` is that text."""

    path: Path
    kind: FileKind
    head: str
    compressed: bool = False
    delimiter: str = ","

    @property
    def name(self) -> str:
        """The file's name, as problems and rows cite it."""
        return self.path.name

    @cached_property
    def header(self) -> tuple[str, ...]:
        """Column names of a CSV file, as it spells them; empty for other kinds."""
        if self.kind != "csv":
            return ()
        return tuple(name.strip() for name in _next(csv.reader(io.StringIO(self.head), delimiter=self.delimiter)) or ())

    @cached_property
    def sample(self) -> Json:
        """The whole document, or the first JSON line that is an object; None for other kinds and broken JSON."""
        if self.kind == "json":
            try:
                return self.document()
            except UnreadableError:
                return None
        if self.kind == "jsonl":
            try:
                found = (_maybe(line) for _, line in islice(self.lines(), 100))
                return next((one for one in found if isinstance(one, dict)), None)
            except UnreadableError:
                return None
        return None

    @property
    def first(self) -> Mapping[str, Json] | None:
        """The sample where it is an object, or the object that a listed sample begins with; None otherwise."""
        sample = self.sample
        found = sample[0] if isinstance(sample, list) and sample else sample
        return found if isinstance(found, dict) else None

    def document(self) -> Json:
        """The JSON document, whole. Raises :class:`UnreadableError` that says where it breaks off."""
        return self._document

    @cached_property
    def _document(self) -> Json:
        with self._open() as handle:
            content = self._guarded(lambda: handle.read(_MOST_DOCUMENT_BYTES + 1))
        if len(content) > _MOST_DOCUMENT_BYTES:
            raise UnreadableError(
                f"is one JSON document of more than {_MOST_DOCUMENT_BYTES >> 20} MiB.",
                where=str(self.path),
                hint="Export it in parts, or as JSON lines (one object a line), which are read line by line.",
            )
        try:
            return parse_json(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise not_utf8(self.path, f"byte {error.start}") from None
        except ValueError as error:
            raise UnreadableError(
                f"is not a whole JSON document ({error}).", where=str(self.path), hint="Export it again."
            ) from None

    def objects(self) -> Iterator[tuple[int, Mapping[str, Json]] | Problem]:
        """Each JSON object with its number from 1: of a line (JSON lines), or of an element (an array)."""
        if self.kind == "json":
            found = self.document()
            for number, one in enumerate(found if isinstance(found, list) else [found], start=1):
                if isinstance(one, dict):
                    yield number, one
                else:
                    yield self.problem(number, "not-json", f"element {number} is no JSON object")
            return
        for number, text in self.lines():
            if not text.strip():
                continue
            try:
                one = parse_json(text)
            except ValueError as error:
                yield self.problem(number, "not-json", f"the line is no JSON ({error})")
                continue
            if isinstance(one, dict):
                yield number, one
            else:
                yield self.problem(number, "not-json", "the line is no JSON object")

    def records(self) -> Iterator[tuple[int, dict[str, str | None]] | Problem]:
        """Each CSV record as a dict with the row number that bills use: the header is row 1. Empty cells are None."""
        with self._open() as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            rows = csv.reader(text, delimiter=self.delimiter)
            header = self.header
            self._guarded(lambda: _next(rows))
            number = 1
            while (row := self._guarded(lambda: _next(rows))) is not None:
                number += 1
                if not row:
                    continue
                if (longest := max(map(len, row))) > _LONGEST_CELL:
                    message = f"a cell has {longest:,} characters, more than the {_LONGEST_CELL:,} that are read"
                    yield self.problem(number, "unfit-value", message)
                    continue
                if len(row) != len(header):
                    yield self.problem(number, "ragged-row", f"the row has {len(row)} fields, the header {len(header)}")
                    continue
                yield number, {k: None if v in NULL_TEXTS else v for k, v in zip(header, row, strict=True)}

    def lines(self) -> Iterator[tuple[int, str]]:
        """Each line of text with its number from 1, without its end."""
        with self._open() as handle:
            number = 0
            while line := self._guarded(lambda: handle.readline(_LONGEST_LINE)):
                number += 1
                if len(line) >= _LONGEST_LINE:
                    raise UnreadableError(
                        f"line {number} is longer than {_LONGEST_LINE >> 20} MiB.", where=str(self.path), hint="See it."
                    )
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    raise not_utf8(self.path, f"line {number}") from None

    def problem(self, line: int | None, code: str, message: str) -> Problem:
        """A problem of this file."""
        return Problem(self.name, line, code, message)

    def _open(self) -> IO[bytes]:
        return gzip.open(self.path) if self.compressed else self.path.open("rb")  # type: ignore[return-value]

    def _guarded(self, read: Callable[[], _Read]) -> _Read:
        try:
            return read()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnreadableError(
                f"the gzip stream is truncated or damaged ({error}).", where=str(self.path), hint="Export it again."
            ) from None
        except UnicodeDecodeError as error:
            raise not_utf8(self.path, f"byte {error.start} of a block") from None
        except csv.Error as error:
            raise UnreadableError(f"is no CSV ({error}).", where=str(self.path), hint="Export it again.") from None


def _next(rows: Iterator[list[str]]) -> list[str] | None:
    """The next CSV record, whole however long its cells are: Python's parser gives up at 128 Ki characters.

    The limit is the process', so it is raised for this record only. A cell that is too long even so (a quote that is
    never closed) ends the file: where the next record begins is not known.
    """
    before = csv.field_size_limit(_LONGEST_LINE)
    try:
        return next(rows, None)
    finally:
        csv.field_size_limit(before)


def open_facts(path: Path) -> FactFile:
    """Look at the first bytes of ``path`` and say what it is; raises :class:`UnreadableError`."""
    head, compressed, _ = first_text(path)
    first = head.lstrip()[:1]
    if first == "[":
        return FactFile(path, "json", head, compressed)
    if first == "{":
        whole = FactFile(path, "json", head, compressed)
        lines = _is_lines(head) if "\n" in head else _has_lines(whole)
        return FactFile(path, "jsonl", head, compressed) if lines else whole
    first_line = head.lstrip().splitlines()[0]
    delimiter = max((",", ";", "\t", "|"), key=first_line.count)
    kind: FileKind = "csv" if first_line.count(delimiter) and not first_line.startswith("#") else "text"
    return FactFile(path, kind, head, compressed, delimiter)


def _is_lines(head: str) -> bool:
    """Whether a text that begins with ``{`` holds an object a line: its first line is a whole JSON value."""
    lines = [line for line in head.split("\n", 2)[:2] if line.strip()]
    try:
        parse_json(lines[0])
    except ValueError:  # an object over many lines; or a broken first line with whole ones after it
        return len(lines) > 1 and lines[1].lstrip().startswith("{") and not lines[0].rstrip().endswith(("{", "[", ","))
    return len(lines) > 1


def _has_lines(file: FactFile) -> bool:
    """Whether a file whose first line is longer than its head goes on with another object in the next line."""
    try:
        first, second = (line.strip() for _, line in islice(file.lines(), 2))
    except (UnreadableError, ValueError):  # too long for a line, or the only one
        return False
    return first.endswith("}") and second.startswith("{")


def _maybe(text: str) -> Json:
    try:
        return parse_json(text)
    except ValueError:
        return None


def parse_json(text: str) -> Json:
    """JSON with exact numbers. Raises ValueError; NaN and Infinity, which JSON has not, are refused."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON number")

    try:
        return json.loads(text, parse_float=Decimal, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
