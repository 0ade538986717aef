"""What somebody sees who starts a gateway for the first time, and what is said when something is in the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.command import outlay, started

SETTINGS = """
[gateway]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
[[gateway.upstreams]]
id = "local"
provider = "openai-compatible"
base_url = "http://127.0.0.1:9/v1"
api_key_env = "LOCAL_KEY"
[[quotas]]
id = "search-day"
scope = {{ team = "search" }}
limit = "0.01 USD/day"
[[quotas]]
id = "each-key"
scope = {{ key = "*" }}
limit = "2M tokens/hour"
[[quotas]]
id = "tried"
limit = "50 USD/30 days"
mode = "shadow"
"""
KEY = {"LOCAL_KEY": "a-key", "COLUMNS": "80"}


@pytest.fixture
def free() -> int:
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    return int(port)


def test_without_settings_it_says_how_to_begin(tmp_path: Path) -> None:
    status, _, said = outlay("gateway", folder=tmp_path)
    assert (status, said.splitlines()[0]) == (2, "outlay: outlay.toml: is not there. Write one, and begin with:")
    (tmp_path / "outlay.toml").write_text(said.split("begin with:")[1])
    _, _, said = outlay("gateway", folder=tmp_path, environment={"OPENAI_API_KEY": ""})
    assert "OPENAI_API_KEY is empty or not set" in said, "what it says to begin with is what it takes"
    (tmp_path / "outlay.toml").write_text("[gateway]\n")
    assert "outlay.toml: names no provider to send calls to. Add one:" in outlay("gateway", folder=tmp_path)[2]


def test_what_is_in_the_way_is_said(tmp_path: Path, free: int) -> None:
    (tmp_path / "outlay.toml").write_text(SETTINGS.format(port=0, admin=free))
    _, _, said = outlay("gateway", folder=tmp_path, environment={"LOCAL_KEY": ""})
    assert said.startswith("outlay: [[gateway.upstreams]] 'local': the environment variable LOCAL_KEY is empty or not")
    _, _, said = outlay("quotas", folder=tmp_path)
    assert said == (
        f"outlay: http://127.0.0.1:{free}/quotas: no gateway answers: Connection refused. Start it: outlay gateway\n"
    )
    with started(folder=tmp_path, environment=KEY) as gateway:
        _, _, said = outlay("gateway", folder=tmp_path, environment=KEY)
        assert said.startswith(f"outlay: [gateway] admin_listen 127.0.0.1:{free}: another process listens there.")
        (tmp_path / "two.toml").write_text(
            SETTINGS.format(port=0, admin=0).replace("[gateway]", "[gateway]\nspool = 'two'")
        )
        _, _, said = outlay("gateway", "--config", "two.toml", folder=tmp_path, environment=KEY)
        assert said.startswith(f"outlay: gateway.db: process {gateway.pid} holds money in it already.")
        _, table, said = outlay("quotas", folder=tmp_path, environment=KEY)
    assert max(map(len, table.splitlines())) <= 80
    assert [line.split()[0] for line in table.splitlines()] == ["quota", "search-day", "tried"]
    assert "0.01 USD/day" in table
    assert said.splitlines() == [
        "In shadow mode, so they deny nothing: tried",
        "No call has come under these yet: each-key",
    ]


def test_a_new_gateway_tells_that_nobody_has_a_key(tmp_path: Path) -> None:
    (tmp_path / "outlay.toml").write_text(SETTINGS.format(port=0, admin=0))

    def said() -> list[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "outlay", "gateway"],
            cwd=tmp_path,
            env={**os.environ, **KEY},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        found = []
        while "Stop with Ctrl-C." not in found:
            found.append(process.stderr.readline().strip())
            assert found[-1], found
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
        return found

    advice = "No key yet, so no call is let in. Make one: outlay keys create --team T --use-case U --environment E"
    assert advice in said()
    assert outlay("keys", "create", *advice.split("create ")[1].split(), folder=tmp_path)[0] == 0
    assert not [line for line in said() if "key" in line]
