"""The page on token prices is complete, and its examples give what they show."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from outlay.ledger.meters import METERS, MODALITIES
from outlay.prices.contract import COLUMNS, read_contract

_PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/prices.md").read_text(encoding="utf-8")
_CONSOLE = re.findall(r"^```console\n\$ outlay (.*?)\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), _CONSOLE, ids=range(len(_CONSOLE)))
def test_an_example_gives_what_it_shows(command: str, shown: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outlay", *shlex.split(command)],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (1 if ": unpriced" in shown else 0), done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [line.split() for line in shown.splitlines()]


def test_there_are_examples() -> None:
    assert len(_CONSOLE) == 4


def test_the_price_file_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```csv\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "prices.csv"
    path.write_text(example, encoding="utf-8")
    read = read_contract(path)
    assert read.problems == ()
    assert len(read.rows) == 4


def test_every_meter_and_column_is_documented() -> None:
    plain = {meter for meter in METERS if not meter.endswith(tuple(f"_{modality}" for modality in MODALITIES))}
    assert [name for name in (*plain, *COLUMNS) if f"`{name}`" not in _PAGE] == []
