"""The page on spot gives what it shows, and names every field of the document."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from outlay.optimize.spot.checkpoint import Job
from outlay.optimize.spot.document import document
from outlay.optimize.spot.estimate import of_rate
from outlay.optimize.spot.replay import MOST_SPELLS
from outlay.optimize.spot.terms import Terms
from tests.sources.focus_bills import run_outlay

_PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/spot.md").read_text(encoding="utf-8")


def test_the_example_gives_what_it_shows() -> None:
    ((command, shown),) = re.findall(r"^```console\n\$ outlay (.*?)\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
    status, out, err = run_outlay(*shlex.split(command))
    assert (status, err) == (0, "")
    assert [line.rstrip() for line in out.splitlines()] == shown.splitlines()


def test_every_field_is_documented() -> None:
    fields = document(of_rate(Terms(Job(3600, 30, 30)), 3600))
    assert [name for name in fields if name not in ("name", "source") and f"`{name}`" not in _PAGE] == []
    assert f"{MOST_SPELLS:,} spells" in _PAGE
