"""The wheel has all that Outlay needs: installed into an empty environment it runs without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[1]


def _run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_wheel_runs_without_the_checkout(tmp_path: Path) -> None:
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=_CHECKOUT)
    (wheel,) = (tmp_path / "dist").glob("outlay-*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    # The dependencies are those of the environment that runs the tests: they were installed from the lock, and a test
    # must not need a registry. Its own `outlay` is an editable install, found through a .pth file, which is not read
    # in a folder that is itself named by one.
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "empty")}))
    (theirs / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    where = _run(python, "-c", "import outlay; print(outlay.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    made = _run(python, "-m", "outlay", "demo", "--rows", "2000", cwd=tmp_path)
    assert "report.html" in made
    assert (tmp_path / "outlay-demo" / "report.html").stat().st_size > 50_000
