"""Many small files become one without changing a row, while others write, and the versions before stay readable."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from outlay.config import Settings
from outlay.ledger import compaction
from outlay.ledger.compaction import compact
from outlay.ledger.delta import LiveFile, Scope
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.sources.loading import load
from tests.sources.usage.otel_building import chat, traces


def spans(folder: Path, *numbers: int) -> Path:
    path = folder / f"spans-{'-'.join(map(str, numbers))}.json"
    path.write_text(json.dumps(traces(*map(chat, numbers))))
    return path


def rows(ledger: Ledger, *, version: int | None = None) -> list[tuple[Any, ...]]:
    with session() as connection:
        ledger.facts(REQUESTS).view(connection, REQUESTS.columns(()), version=version)
        return connection.execute("SELECT * FROM requests ORDER BY x_RowId").fetchall()


def test_small_files_become_one_and_no_row_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_FEWEST", 4)
    ledger = Ledger(tmp_path / "ledger")
    folder = ledger.facts(REQUESTS)
    for number in range(1, 4):
        load(ledger, [spans(tmp_path, number)], Settings())
    assert compact(folder, {"otlp"}) == 0
    load(ledger, [spans(tmp_path, 4)], Settings())
    before, version = rows(ledger), folder.table().version()

    assert compact(folder, {"another"}) == 0
    assert compact(folder, {"otlp"}) == 4

    assert len(folder.live()) == 1
    assert rows(ledger) == before == rows(ledger, version=version)
    assert [len(record.facts.get("files", ())) for record in folder.history()] == [0, 1, 1, 1, 1, 0]
    assert compact(folder, {"otlp"}) == 0
    assert load(ledger, [spans(tmp_path, 2)], Settings()).changed is False


def test_files_of_unlike_size_are_left_apart() -> None:
    def file(size: int) -> LiveFile:
        return LiveFile(f"{size}", Scope("a", "2026-10"), 1, size)

    small, middle, large = ([file(size)] * 31 for size in (1 << 10, 1 << 20, 1 << 26))
    assert compaction._many([*small, *middle, *large, *large]) == []
    assert compaction._many([*middle, *small, file(20)]) == [*small, file(20)]
    assert compaction._many([*middle, *small, file(2 << 20)]) == [*middle, file(2 << 20)]


def test_a_load_at_the_same_time_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_FEWEST", 2)
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [spans(tmp_path, 1, 2, 3)], Settings())
    over = threading.Event()
    errors: list[BaseException] = []

    def compacting() -> None:
        try:
            while not over.is_set():
                compact(ledger.facts(REQUESTS), {"otlp"})
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=compacting)
    thread.start()
    for number in range(4, 8):
        load(ledger, [spans(tmp_path, number, 1)], Settings())  # 1 is told again: its file is written anew
    over.set()
    thread.join()
    assert not errors
    assert len(rows(ledger)) == 7
