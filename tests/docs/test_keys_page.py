"""The page on keys is complete, and its commands run in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

from outlay.operate.keys.ring import Reason
from outlay.operate.keys.secret import PATTERN
from outlay.operate.keys.virtual_key import RESERVED, State
from tests.cli.test_keys import keys

_PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/keys.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```console\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    id = ""
    for line in block.splitlines():
        arguments = shlex.split(line.removeprefix("$ outlay keys "))
        status, out, err = keys(tmp_path, *(id if one == "ID" else one for one in arguments))
        assert status == 0, f"{line}\n{err}"
        id = id or out[4:14]
    assert out.count(id) == 3


def test_the_expression_for_scanners_is_the_programs() -> None:
    assert f"```text\n{PATTERN}\n```" in _PAGE


def test_every_state_and_answer_is_documented() -> None:
    answers = " ".join(line for line in _PAGE.splitlines() if line.startswith("| `"))
    assert [one for one in (*get_args(State), *get_args(Reason)) if f"`{one}`" not in answers] == []
    assert [one for one in RESERVED if f"`{one}`" not in _PAGE] == []
