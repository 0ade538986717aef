"""A gateway that serves has loaded no engine: it goes on when all that the ledger needs is broken."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.gateway.command import started

HEAVY = {"deltalake", "duckdb", "highspy", "ibis", "jinja2", "numpy", "pyarrow", "sqlglot", "vl_convert"}
NOT_ASKED_FOR = {"outlay.gateway.otlp", "opentelemetry.proto", "google.protobuf", "grpc"}
SETTINGS = """
[gateway]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[[gateway.upstreams]]
id = "local"
provider = "openai-compatible"
base_url = "http://127.0.0.1:9/v1"
"""
MAIN = """
import atexit, json, pathlib, sys
import outlay.cli
atexit.register(lambda: pathlib.Path("modules").write_text(json.dumps(list(sys.modules))))
outlay.cli.main()
"""


def loaded(modules: set[str]) -> set[str]:
    """The packages of these modules, and themselves."""
    return modules | {name.partition(".")[0] for name in modules}


def test_what_importing_it_loads() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import json, sys, outlay.gateway.run; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        check=True,
    )
    assert not loaded(set(json.loads(found.stdout))) & (HEAVY | NOT_ASKED_FOR)


def test_what_a_running_one_has_loaded(tmp_path: Path) -> None:
    (tmp_path / "outlay.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(MAIN)
    with started(folder=tmp_path, python=("main.py",)) as gateway:
        for path in (f"{gateway.url}/healthz", f"{gateway.admin}/metrics", f"{gateway.admin}/quotas"):
            with urllib.request.urlopen(path) as answer:
                assert answer.status == 200
    assert not loaded(set(json.loads((tmp_path / "modules").read_text()))) & (HEAVY | NOT_ASKED_FOR | {"rich"})
