"""Files of logged prompts with a score and a cost of each model: CSV with a header, or JSON Lines.

One row a prompt. Of each model ``NAME``:

- its score from 0 to 1 (or true/false) in ``NAME|score``, or in ``NAME`` alone, as RouterBench exports it;
- its cost in ``NAME|cost`` or ``NAME|total_cost``; or ``NAME|input_tokens`` and ``NAME|output_tokens``, which the price
  list prices.

A column with a model's name alone is taken for a score if another column of that model is there or the model is named.
JSON Lines may nest them: ``{"prompt": ..., "models": {NAME: {"score": 1, "cost": "0.002"}}}``. The prompt is in
``prompt`` (or ``question``), or its length in ``prompt_chars``; what tells prompts apart without a text in ``id``,
``sample_id``, ``prompt_id`` or ``question_id``. Other columns are not read. Empty is missing.

A file is refused whole for a value that can't be used: leaving a row out would tilt the comparison.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from outlay.errors import UnreadableError, UsageError, nearest
from outlay.optimize.routing.logged import Logged, Model, groups_of

__all__ = ["Pricer", "read_logged"]

Pricer = Callable[[str, int, int], tuple[Decimal, str] | str]
"""The cost and currency of a call by model, input tokens and output tokens, or why there is none."""

_MOST_BYTES = 512 * 1024 * 1024
_MOST_MODELS = 50
_MOST_ROWS = 100_000
_LONGEST_CELL = 16 * 1024 * 1024
_IDS = ("id", "sample_id", "prompt_id", "question_id")
_PROMPTS = ("prompt", "question")
_COSTS = ("cost", "total_cost")
_TOKENS = ("input_tokens", "output_tokens")
_SHAPE = "Each model needs NAME|score (or NAME) and NAME|cost: docs/reference/routing.md has an example."
_SCORES = {"true": 1.0, "false": 0.0}

_Row = tuple[int, Mapping[str, Any]]


def read_logged(path: Path, *, named: Sequence[str], currency: str, price: Pricer) -> Logged:
    """The prompts of a file. ``named`` are models that it must have; ``currency`` is that of its costs.

    Raises :class:`UnreadableError` and :class:`UsageError`.
    """
    text = _text(path)
    rows = list(_json_rows(text, path) if text.lstrip()[:1] == "{" else _csv_rows(text, path))
    if not rows:
        raise UnreadableError("has no rows.", where=str(path), hint=_SHAPE)
    if len(rows) > _MOST_ROWS:
        raise UnreadableError(f"has more than {_MOST_ROWS:,} rows.", where=str(path), hint="Draw a sample of it.")
    columns = dict.fromkeys(name for _, row in rows for name in row)
    names = _models(columns, named)
    if not names:
        raise UnreadableError("names no model.", where=str(path), hint=_SHAPE)
    if len(names) > _MOST_MODELS:
        raise UnreadableError(
            f"has {len(names)} models, more than {_MOST_MODELS}.", where=str(path), hint="Leave some out."
        )
    for name in named:
        if name not in names:
            raise UsageError(f"no model is called '{name}'.", where=str(path), hint=nearest(name, names))
    prompts = [_prompt(row) for _, row in rows]
    models, currencies = [], set()
    for name in names:
        model, found = _model(name, rows, columns, path, currency=currency, price=price)
        models.append(model)
        currencies |= found
    if len(currencies) > 1:
        listed = " and ".join(sorted(currencies))
        raise UsageError(f"has costs in {listed}.", where=str(path), hint="Give all of them as costs in one currency.")
    chars = [_chars(row, prompt, f"{path}:{line}") for (line, row), prompt in zip(rows, prompts, strict=True)]
    ids = [next((str(row[one]) for one in _IDS if _told(row.get(one))), None) for _, row in rows]
    return Logged(
        tuple(models),
        tuple(prompts),
        np.array(chars, dtype=np.int64),
        groups_of(prompts, ids),
        next(iter(currencies), currency),
        str(path),
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            raw = handle.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror}.", where=str(path)) from None
    if len(raw) > _MOST_BYTES:
        raise UnreadableError(f"is larger than {_MOST_BYTES >> 20} MiB.", where=str(path), hint="Give a sample of it.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 text (byte {error.start}).", where=str(path), hint=_SHAPE) from None


def _json_rows(text: str, path: Path) -> Iterator[_Row]:
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            found = json.loads(written, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise UnreadableError(f"is not JSON: {error}.", where=f"{path}:{line}", hint="One object a line.") from None
        if not isinstance(found, dict):
            raise UnreadableError("is no JSON object.", where=f"{path}:{line}", hint="One object a line.")
        nested = found.pop("models", None)
        for name, model in nested.items() if isinstance(nested, dict) else ():
            for key, value in model.items() if isinstance(model, dict) else (("score", model),):
                found[f"{name}|{key}"] = value
        yield line, found


def _csv_rows(text: str, path: Path) -> Iterator[_Row]:
    before = csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = next((name for name in header if name and header.count(name) > 1), None)
        if twice is not None:
            raise UnreadableError(f"has two columns '{twice}'.", where=f"{path}:1", hint="Name each once.")
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                what = f"has {len(row)} fields where the header has {len(header)}."
                raise UnreadableError(what, where=f"{path}:{reader.line_num}", hint=_SHAPE)
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise UnreadableError(f"is not CSV: {error}.", where=f"{path}:{reader.line_num}", hint=_SHAPE) from None
    finally:
        csv.field_size_limit(before)


def _models(columns: Mapping[str, None], named: Sequence[str]) -> list[str]:
    """The models of a file, in the order of its columns."""
    known = {"score", *_COSTS, *_TOKENS}
    with_more = {name for column in columns for name, bar, key in [column.rpartition("|")] if bar and key in known}
    scored = []
    for column in columns:
        name, bar, key = column.rpartition("|")
        if bar and key == "score":
            scored.append(name)
        elif column in with_more or column in named:
            scored.append(column)
    return list(dict.fromkeys(scored))


def _model(
    name: str, rows: Sequence[_Row], columns: Mapping[str, None], path: Path, *, currency: str, price: Pricer
) -> tuple[Model, set[str]]:
    score_column = f"{name}|score" if f"{name}|score" in columns else name
    scores = np.array([_score(row.get(score_column), score_column, f"{path}:{line}") for line, row in rows])
    cost_column = next((f"{name}|{one}" for one in _COSTS if f"{name}|{one}" in columns), None)
    if cost_column is not None:
        costs = tuple(_cost(row.get(cost_column), cost_column, f"{path}:{line}") for line, row in rows)
        return Model(name, scores, costs), {currency}
    if not all(f"{name}|{one}" in columns for one in _TOKENS):
        why = f"'{name}' has neither {name}|cost nor {name}|input_tokens and {name}|output_tokens."
        return Model(name, scores, (None,) * len(rows), why), set()
    found: list[Decimal | None] = []
    currencies: set[str] = set()
    why_not: str | None = None
    for line, row in rows:
        counts = [_count(row.get(f"{name}|{one}"), f"{name}|{one}", f"{path}:{line}") for one in _TOKENS]
        priced = None if counts[0] is None or counts[1] is None else price(name, counts[0], counts[1])
        if isinstance(priced, str):
            why_not = f"'{name}' can't be priced: {priced}"
        found.append(priced[0] if isinstance(priced, tuple) else None)
        if isinstance(priced, tuple):
            currencies.add(priced[1])
    return Model(name, scores, tuple(found), why_not), currencies


def _prompt(row: Mapping[str, Any]) -> str | None:
    return next((str(row[one]) for one in _PROMPTS if _told(row.get(one))), None)


def _chars(row: Mapping[str, Any], prompt: str | None, place: str) -> int:
    if prompt is not None:
        return len(prompt)
    found = _count(row.get("prompt_chars"), "prompt_chars", place)
    return -1 if found is None else found


def _told(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def _score(value: object, column: str, place: str) -> float:
    if not _told(value):
        return math.nan
    found = _number(value)
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip().lower() in _SCORES:
        return _SCORES[value.strip().lower()]
    if found is None or not 0 <= found <= 1:
        raise UnreadableError(
            f"{column} is '{value}', which is no score from 0 to 1.",
            where=place,
            hint="Divide scores by the largest that can be had.",
        )
    return float(found)


def _cost(value: object, column: str, place: str) -> Decimal | None:
    if not _told(value):
        return None
    found = _number(value)
    if found is None or found < 0:
        raise UnreadableError(
            f"{column} is '{value}', which is no cost.",
            where=place,
            hint="Write an amount from 0 on; empty is missing.",
        )
    return found


def _count(value: object, column: str, place: str) -> int | None:
    if not _told(value):
        return None
    found = _number(value)
    if found is None or found < 0 or found != int(found):
        raise UnreadableError(f"{column} is '{value}', which is no count.", where=place, hint="Write a whole number.")
    return int(found)


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    text = str(value).strip()
    try:
        found = Decimal(text) if text.isascii() and "_" not in text else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() and abs(found.adjusted()) < 30 else None
