"""bench/gateway.py works: a short round of everything but the peers, which are another environment's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_every_part_of_the_benchmark_measures(tmp_path: Path) -> None:
    command = [sys.executable, "bench/gateway.py", "--quick", "--without", "bare", "litellm"]
    run = subprocess.run(
        [*command, "--data", str(tmp_path), "--json", str(tmp_path / "found.json")],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT / "src")},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    cases = {(row["gateway"], row["stream"], row["connections"]) for row in found["side_by_side"]["rows"]}
    assert cases == {(name, stream, at) for name in ("direct", "outlay") for stream in (False, True) for at in (1, 8)}
    assert all(row["requests"] > 0 and row["wrong"] == 0 for row in found["side_by_side"]["rows"])
    assert all(row["cpu_ms"] > 0 for row in found["side_by_side"]["rows"] if row["gateway"] == "outlay")
    assert found["starts"]["seconds"][0] > 0
    assert found["memory"]["left"] > 0
    assert found["memory"]["wrong"] == 0
    assert found["memory"]["steps"][-1]["requests"] > 2_000
    assert all(row["over"] <= 1 for row in found["overshoot"])
    assert "| whole | 1 | Outlay |" in run.stdout
