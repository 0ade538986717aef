"""What ``bench/gateway.py`` measures: the upstream, and the gateways in front of it, each as it is started.

Peers run in a virtual environment of their own, which is made where it is missing: LiteLLM and granian are no
dependencies of Outlay. Nothing but the package index is reached, and that once. CPU and memory are read from Linux'
``/proc``.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway_load import request

HERE = Path(__file__).parent
PEERS = ("granian==2.8.7", "aiohttp==3.14.5", "orjson==3.13.0", "uvloop==0.23.0")
LITELLM = "litellm[proxy]==1.106.2"
_TICK = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 180
_END_SECONDS = 90
_LITELLM_KEY = "sk-bench-7d1f0c93a5b84e62"

QUOTAS = """
[[quotas]]
id = "team-day"
scope = { team = "search" }
limit = "100M USD/day"

[[quotas]]
id = "key-hour"
scope = { key = "*" }
limit = "900B tokens/hour"

[[quotas]]
id = "team-minute"
scope = { team = "*" }
limit = "900M requests/minute"
"""
"""Three that every call falls under, and none that denies one."""


def peers(folder: Path, litellm: bool) -> Path:
    """The Python of the peers' environment. One that is missing is made; one that is there must hold what is needed."""
    python = folder / "bin" / "python"
    wanted = [*PEERS, *([LITELLM] if litellm else [])]
    if not python.exists():
        print(f"installing {', '.join(wanted)} in {folder}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    asked = "import sys, importlib.metadata as m; print([m.version(one) for one in sys.argv[1:]])"
    names, versions = zip(*(one.replace("[proxy]", "").split("==") for one in wanted), strict=True)
    found = subprocess.run([python, "-c", asked, *names], check=False, capture_output=True, text=True)
    if found.stdout.strip() != str(list(versions)):
        raise SystemExit(
            f"{folder} does not hold {' '.join(wanted)}. Install them, or name a folder that is not there."
        )
    return python


@dataclass
class Contender:
    """A running process with its children. ``started_s`` is the time from its start to its first answer.

    ``apart`` are children whose work is not a call's: Outlay's process that takes events up into the ledger.
    """

    name: str
    port: int
    key: str
    process: subprocess.Popen[str]
    started_s: float = 0.0
    apart: bool = False
    admin: str | None = None
    folder: Path | None = field(default=None, repr=False)
    apart_s: float | None = None
    """CPU seconds of what is apart, from the start to the end of the process: known once it has ended."""

    def cpu(self) -> float:
        """CPU seconds of what answers calls until now, user and system."""
        pid = self.process.pid
        return _own_cpu(pid) if self.apart else sum(_cpu(one) for one in _tree(pid))

    def rss_mib(self) -> float:
        """The resident memory of what answers calls now."""
        pid = self.process.pid
        return sum(_rss_kib(one) for one in ([pid] if self.apart else _tree(pid))) / 1024


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def upstream(delay: float = 0) -> Iterator[Contender]:
    """The pretended provider."""
    command = [sys.executable, "-m", "tests.gateway.upstreams.fast", "0", "--delay", str(delay)]
    process = subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    with _ended(process):
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        yield Contender("direct", int(url.rpartition(":")[2]), "none", process)


def served(port: int) -> int:
    """How many calls the upstream has had."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/_served")
    return sum(json.loads(connection.getresponse().read()).values())


@contextmanager
def bare(python: Path, provider: Contender) -> Iterator[Contender]:
    """The floor."""
    port, key = free_port(), "olk_bare"
    url = f"http://127.0.0.1:{provider.port}/v1/chat/completions"
    with _started("bare", [str(python), str(HERE / "bare_gateway.py"), str(port), url, key], port, key) as one:
        yield one


@contextmanager
def outlay(folder: Path, provider: Contender, quotas: str = QUOTAS, gateway: str = "") -> Iterator[Contender]:
    """`outlay gateway` as its users start it: a configuration file, a key of `outlay keys create`, state and spool."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port, admin = free_port(), free_port()
    (folder / "outlay.toml").write_text(
        f"""{quotas}
[gateway]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
spool = "spool"
{gateway}

[[gateway.upstreams]]
id = "openai"
provider = "openai"
base_url = "http://127.0.0.1:{provider.port}/v1"
api_key_env = "BENCH_PROVIDER_KEY"
models = ["gpt-*"]
"""
    )
    command = [sys.executable, "-m", "outlay"]
    tags = ["--team", "search", "--use-case", "chat", "--environment", "prod"]
    made = subprocess.run(
        [*command, "keys", "create", *tags, "--config", "outlay.toml", "--json"],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    key = json.loads(made.stdout)["key"]
    environment = {"BENCH_PROVIDER_KEY": "sk-of-the-provider"}
    started = [*command, "gateway", "--config", "outlay.toml"]
    with _started("outlay", started, port, key, environment=environment, folder=folder, apart=True) as one:
        one.admin = f"http://127.0.0.1:{admin}"
        yield one


@contextmanager
def litellm(python: Path, folder: Path, provider: Contender, budget: str | None = None) -> Iterator[Contender]:
    """LiteLLM's proxy, one worker, without a database; ``budget`` is that of the one key, in dollars."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    general: dict[str, Any] = {"master_key": _LITELLM_KEY}
    if budget is not None:
        (folder / "one_key.py").write_text(_ONE_KEY.format(key=_LITELLM_KEY, budget=budget))
        general = {"custom_auth": "one_key.auth"}
    base = f"http://127.0.0.1:{provider.port}/v1"
    model = {"model": "openai/gpt-4o-mini", "api_base": base, "api_key": "sk-of-the-provider"}
    config = {  # JSON is YAML
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": model}],
        "litellm_settings": {"telemetry": False, "num_retries": 0, "request_timeout": 60},
        "router_settings": {"num_retries": 0},
        "general_settings": general,
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_LOG": "ERROR",
        "LITELLM_TELEMETRY": "False",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # whatever it would fetch is not part of this
        "NO_PROXY": "127.0.0.1",
    }
    command = [str(python.with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--num_workers", "1", "--telemetry", "False"]
    with _started("litellm", command, port, _LITELLM_KEY, environment=environment, folder=folder) as one:
        yield one


_ONE_KEY = """from litellm.proxy._types import UserAPIKeyAuth, hash_token

async def auth(request, api_key):
    assert api_key == "{key}"
    return UserAPIKeyAuth(api_key=hash_token(api_key), max_budget={budget}, spend=0.0)
"""


@contextmanager
def _started(
    name: str,
    command: Sequence[str],
    port: int,
    key: str,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    apart: bool = False,
) -> Iterator[Contender]:
    log = ((folder or HERE) / "log.txt").open("w") if folder else None
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder or HERE,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        text=True,
    )
    one = Contender(name, port, key, process, apart=apart, folder=folder)
    with _ended(process, one):
        _first_answer(process, name, port, key, folder)
        one.started_s = time.perf_counter() - began
        yield one
    if log:
        log.close()


def _first_answer(process: subprocess.Popen[str], name: str, port: int, key: str, folder: Path | None) -> None:
    """Wait until it answers a call."""
    until = time.perf_counter() + _START_SECONDS
    while time.perf_counter() < until:
        if process.poll() is not None:
            said = (folder / "log.txt").read_text()[-2000:] if folder else ""
            raise SystemExit(f"{name} ended with {process.returncode}: {said}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as one:
            one.sendall(request(port, key, stream=False))
            if one.recv(64).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.01)
    raise SystemExit(f"{name} answers nothing")


@contextmanager
def _ended(process: subprocess.Popen[str], one: Contender | None = None) -> Iterator[None]:
    try:
        yield
    finally:
        tree = _tree(process.pid)
        own, before = _own_cpu(process.pid), _ended_cpu()
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in tree[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        if one is not None:
            one.apart_s = _ended_cpu() - before - own


def _ended_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, path.read_text().split())
    return found


def _cpu(pid: int) -> float:
    """With its children that have ended."""
    return sum(_times(pid))


def _own_cpu(pid: int) -> float:
    return sum(_times(pid)[:2])


def _times(pid: int) -> list[float]:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return [int(one) / _TICK for one in fields[11:15]]
    return []


def _rss_kib(pid: int) -> int:
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return 0
