"""The examples are what they say: a gateway starts with each of their settings, and each file names what is there."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from outlay.cli.gateway import command
from outlay.config import load_settings
from outlay.gateway.denials import Denials
from outlay.gateway.meters import Meters
from tests.gateway.command import outlay, started
from tests.operate.quotas.redis_server import RedisServer

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLES = _ROOT / "examples/gateway"
_REPLICAS = _EXAMPLES / "replicas"
_SECRETS = {"OPENAI_API_KEY": "sk-one", "ANTHROPIC_API_KEY": "sk-two", "OUTLAY_ADMIN_TOKEN": "a-token"}
_TAGS = ("--team", "search", "--use-case", "chat", "--environment", "prod")
_MLFLOW = Path(os.environ.get("OUTLAY_MLFLOW") or _ROOT / ".venv-mlflow/bin/mlflow")


@pytest.fixture
def redis() -> Iterator[str]:
    """The address of a real Redis server."""
    server = RedisServer()
    yield server.url
    server.stop()


def asked(url: str, token: str) -> Any:
    """The JSON that is there for whoever has this token."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})) as answer:
        return json.load(answer)


@pytest.mark.parametrize("example", ["outlay.toml", "replicas/outlay.toml"])
def test_a_gateway_starts_with_the_settings(tmp_path: Path, redis: str, example: str) -> None:
    text = (_EXAMPLES / example).read_text()
    text = re.sub(r'(listen = "[^:]+):\d+"', r'\1:0"', text)  # the ports may be in use here
    text = text.replace("/var/lib/outlay", str(tmp_path)).replace("redis://redis:6379/0", redis)
    (tmp_path / "outlay.toml").write_text(text)
    status, key, said = outlay("keys", "create", *_TAGS, folder=tmp_path)
    assert status == 0, said
    with started("--ledger", str(tmp_path / "ledger"), folder=tmp_path, environment=_SECRETS) as gateway:
        port = gateway.url.rpartition(":")[2]
        assert asked(f"http://127.0.0.1:{port}/v1/models", key.split()[0])["object"] == "list"
        admin = f"http://127.0.0.1:{gateway.admin.rpartition(':')[2]}"
        standing = {one["id"] for one in asked(f"{admin}/quotas", _SECRETS["OUTLAY_ADMIN_TOKEN"])["quotas"]}
    assert standing <= {one["id"] for one in tomllib.loads(text)["quotas"]}
    assert "search-day" in standing


@pytest.mark.parametrize(
    ("settings", "secrets"), [("outlay.toml", "gateway.env"), ("replicas/outlay.toml", "replicas/env.example")]
)
def test_the_secrets_are_those_that_the_settings_name_and_empty(settings: str, secrets: str) -> None:
    gateway = load_settings(_EXAMPLES / settings).gateway
    named = {one.api_key_env for one in gateway.upstreams}
    if gateway.admin_listen and not gateway.admin_listen.startswith("127."):
        named.add(gateway.admin_token_env)
    lines = [line for line in (_EXAMPLES / secrets).read_text().splitlines() if line and not line.startswith("#")]
    assert {line.partition("=")[0] for line in lines} == named
    assert all(line.endswith("=") for line in lines)


def options() -> set[str]:
    """What `outlay gateway` has."""
    return {option for parameter in command.params if isinstance(parameter, click.Option) for option in parameter.opts}


def test_the_unit_starts_the_command_as_it_is_and_can_be_drained() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(_EXAMPLES / "outlay-gateway.service")
    service = unit["Service"]
    words = service["ExecStart"].split()
    assert Path(words[0]).name == "outlay"
    assert words[1] == command.name
    assert {word for word in words if word.startswith("--")} <= options()
    assert service["Restart"] == "always"
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed")
    from outlay.gateway.servers import _CALLS_END
    from outlay.receivers.keeping_up import _ENDS

    assert int(service["TimeoutStopSec"]) > _CALLS_END + _ENDS


def test_the_alerts_are_about_metrics_that_there_are() -> None:
    meters = Meters(Denials("a", (), lambda: 0))
    there = {sample for one in meters.metrics((), None) for sample in (one.name, f"{one.name}_total")}
    named = set(re.findall(r"outlay_gateway_\w+", (_REPLICAS / "alerts.yml").read_text()))
    assert named
    assert named <= there


def in_yaml(path: Path) -> Any:
    """What a YAML file says, by the parser that MLflow's environment has."""
    python = _MLFLOW.parent / "python"
    assert os.access(python, os.X_OK), f"{python} is no command: run `make test-system`"
    script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", script], input=path.read_bytes(), capture_output=True, check=True, env=environment
    )
    return json.loads(done.stdout)


@pytest.mark.system
def test_the_composition_names_what_is_there() -> None:
    compose = in_yaml(_REPLICAS / "compose.yaml")
    services, settings = compose["services"], load_settings(_REPLICAS / "outlay.toml").gateway
    port, admin = (address.rpartition(":")[2] for address in (settings.listen, settings.admin_listen or ""))
    hosts = set()
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= services.keys()
        assert set(service.get("secrets", ())) <= compose["secrets"].keys()
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert (_REPLICAS / source).is_file() if source.startswith("./") else source in compose["volumes"]
        if not name.startswith("gateway"):
            continue
        hosts.add(service["hostname"])
        build = service["build"]
        assert (_REPLICAS / build["context"]).resolve() == _ROOT
        assert (_ROOT / build["dockerfile"]).is_file()
        assert service["command"][0] == command.name
        assert {word for word in service["command"] if word.startswith("--")} <= options()
        assert {one.api_key_env for one in settings.upstreams} <= service["environment"].keys()
        assert settings.admin_token_env in service["environment"]
        assert [one.rpartition(":")[2] for one in service["ports"]] == [port]
        assert f"127.0.0.1:{port}/healthz" in service["healthcheck"]["test"][-1]
    assert len(hosts) == 2
    assert settings.state.partition("://")[2].partition(":")[0] in services
    assert compose["secrets"]["admin_token"]["environment"] == settings.admin_token_env
    (scraped,) = in_yaml(_REPLICAS / "prometheus.yml")["scrape_configs"]
    assert {one for group in scraped["static_configs"] for one in group["targets"]} == {
        f"{one}:{admin}" for one in hosts
    }
    assert "ports" not in services["redis"]


@pytest.mark.system
def test_prometheus_takes_its_files(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not there: run `make test-system`"
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(_REPLICAS / name, tmp_path)
    subprocess.run([promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.yml"], check=True)
    subprocess.run([promtool, "check", "rules", tmp_path / "alerts.yml"], check=True)


@pytest.mark.system
def test_systemd_takes_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is not there: run `make test-system`"
    unit = tmp_path / "outlay-gateway.service"
    there = shutil.which("true")
    text = (_EXAMPLES / unit.name).read_text()
    unit.write_text(text.replace("/opt/outlay/bin/outlay", str(there)))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])
    rated = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=25", unit], capture_output=True, text=True, check=False
    )
    assert rated.returncode == 0, rated.stdout[-300:]  # 2.5 of 10
