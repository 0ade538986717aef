"""Cost reports of model providers that tests write and load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from outlay.config import Settings
from outlay.errors import OutlayError
from outlay.ledger.store import Ledger
from outlay.sources.bill_loading import load_bills
from outlay.sources.find import find_bills
from outlay.sources.load_report import FileReport
from outlay.sources.loading import load

__all__ = ["load_file", "load_or_error", "write_pages"]


def load_file(ledger: Path, path: Path, *, source: str | None = None) -> FileReport:
    """Load one bill; what is told of it."""
    (table,) = load(Ledger(ledger), [path], Settings(), source=source).tables
    (report,) = table.files
    return report


def load_or_error(ledger: Path, path: Path) -> FileReport | OutlayError:
    """Load one file as a bill, or the error that says why not."""
    try:
        found, _ = find_bills([path])
        return load_bills(Ledger(ledger), found, Settings()).files[0]
    except OutlayError as error:
        return error


def write_pages(path: Path, *pages: Any) -> Path:
    """One page as a document, several as JSON lines."""
    path.write_text("".join(json.dumps(page) + "\n" for page in pages), encoding="utf-8")
    return path
