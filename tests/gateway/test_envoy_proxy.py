"""A real Envoy with the configuration of the documentation: its calls are held, counted and refused.

Envoy is the command that `make test-system` installs into .venv-peers, or in the folder that ``$OUTLAY_PEERS`` names.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.beside import PROGRAMS, beside, free_port, program
from tests.gateway.harness import KEY, PEER_SECRET, Harness
from tests.gateway.test_calls import price

pytestmark = pytest.mark.system

_PAGE = Path(__file__).resolve().parents[2] / "docs/reference/other-gateways.md"
_LIMIT = Decimal("0.005")
_QUOTAS: list[dict[str, Any]] = [
    {"id": "all", "limit": "100 USD/day"},
    {"id": "crowd", "scope": {"feature": "crowd"}, "limit": f"{_LIMIT} USD/day"},
]


@dataclass
class Envoy:
    url: str
    gate: Harness

    def post(
        self, body: dict[str, Any], feature: str, key: str = KEY, path: str = "/v1/chat/completions"
    ) -> tuple[int, bytes]:
        request = self.request(body, feature, key, path)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def request(
        self, body: object, feature: str, key: str = KEY, path: str = "/v1/chat/completions"
    ) -> urllib.request.Request:
        headers = {
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "x-outlay-tags": f"feature={feature}",
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return urllib.request.Request(self.url + path, content, headers)

    def event(self, feature: str) -> dict[str, Any]:
        for _ in range(100):
            found = [one for one in self.gate.events() if one["attributes"].get("feature") == feature]
            if found:
                assert len(found) == 1, found
                return found[0]
            time.sleep(0.05)
        raise AssertionError("no event")


def configuration(gate: Harness, port: int) -> str:
    """The documentation's, with the ports of the test and without TLS."""
    (text,) = [one for one in re.findall(r"```yaml\n(.*?)```", _PAGE.read_text(), re.S) if "static_resources" in one]
    upstream, peers = urlsplit(gate.upstreams["openai"].url), str(gate.running.at.peers)
    for old, new in (
        ("port_value: 10000", f"port_value: {port}"),
        ("port_value: 8789", f"port_value: {peers.rpartition(':')[2]}"),
        ("address: api.openai.com, port_value: 443", f"address: 127.0.0.1, port_value: {upstream.port}"),
        ("THE_SECRET", PEER_SECRET),
    ):
        assert old in text
        text = text.replace(old, new)
    return re.sub(r"      transport_socket:\n(?:        .*\n)+", "", text)


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    command = PROGRAMS / "envoy"
    assert command.exists(), f"{command} is not there: run `make test-system`, or name its folder in OUTLAY_PEERS"
    folder, port, admin = tmp_path_factory.mktemp("envoy"), free_port(), free_port()
    with beside(folder, "openai", quotas=_QUOTAS, required_tags=()) as gate:
        text = f"admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}\n"
        (folder / "envoy.yaml").write_text(text + configuration(gate, port))
        with program(
            [command, "-c", "envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id"],
            f"http://127.0.0.1:{admin}/ready",
            folder,
            OPENAI_API_KEY=gate.upstreams["openai"].secret,
        ):
            yield Envoy(f"http://127.0.0.1:{port}", gate)


def chat(**more: Any) -> dict[str, Any]:
    script = more.pop("script", {})
    said = [{"role": "user", "content": f"say something {{{{upstream: {json.dumps(script)}}}}}"}]
    return {"model": "gpt-4o-mini", "messages": said, "max_tokens": 50, **more}


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_held_and_settled_by_what_the_provider_said(envoy: Envoy, stream: bool) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    status, content = envoy.post(chat(script={"cache_read": 4}, **options), f"one-{stream}")
    assert status == 200, content
    event, entry = envoy.event(f"one-{stream}"), envoy.gate.upstreams["openai"].log.settled()[-1]
    assert (event["settled"], event["attributes"]["key"]) == ("usage", "key-1")
    assert Decimal(event["cost"]) == price("openai", "gpt-4o-mini", entry.billed)
    assert entry.header("authorization") == "Bearer sk-upstream-openai"
    assert not [name for name, _ in entry.headers if name.startswith("x-outlay")]


def test_what_the_provider_refuses_costs_nothing_and_what_it_breaks_off_its_bound(envoy: Envoy) -> None:
    assert envoy.post(chat(script={"status": 500}), "refused")[0] == 500
    assert envoy.event("refused")["settled"] == "none"
    assert envoy.post(chat(script={"drop": "before_headers"}), "dropped")[0] == 503
    event = envoy.event("dropped")
    assert (event["settled"], event["error"]) == ("bound", "broke off")


def test_a_stream_without_usage_counts_at_its_bound(envoy: Envoy) -> None:
    assert envoy.post(chat(stream=True), "untold")[0] == 200
    assert envoy.event("untold")["settled"] == "bound"


def test_a_caller_that_leaves_keeps_its_hold(envoy: Envoy) -> None:
    with urllib.request.urlopen(
        envoy.request(chat(stream=True, script={"chunk_s": 0.2}), "gone"), timeout=30
    ) as answer:
        answer.read(10)
    time.sleep(2)
    assert not [one for one in envoy.gate.events() if one["attributes"].get("feature") == "gone"]
    with urllib.request.urlopen(f"http://{envoy.gate.running.at.admin}/quotas", timeout=5) as answer:
        (standing,) = [one for one in json.loads(answer.read())["quotas"] if one["id"] == "all"]
    assert Decimal(standing["held"]) > 0


def test_who_may_not_call_is_told_so_and_nothing_is_sent(envoy: Envoy) -> None:
    sent = len(envoy.gate.upstreams["openai"].log.settled())
    unlimited = chat()
    del unlimited["max_tokens"]
    twice = b'{"model": "gpt-4o-mini", "max_tokens": 5, "max_tokens": 50000, "messages": []}'
    for body, key, path, status, kind in (
        (chat(), "olk-wrong", "/v1/chat/completions", 401, "invalid_key"),
        (unlimited, KEY, "/v1/chat/completions", 400, "unbounded_call"),
        (twice, KEY, "/v1/chat/completions", 400, "invalid_json"),
        (chat(), KEY, "/v1/images/generations", 404, "unknown_path"),
        (chat(model="nobody-knows"), KEY, "/v1/chat/completions", 400, "unbounded_call"),
    ):
        found, content = envoy.post(body, "no", key, path)  # type: ignore[arg-type]
        assert (found, json.loads(content)["error"]["code"]) == (status, kind)
    assert len(envoy.gate.upstreams["openai"].log.settled()) == sent


def test_a_crowd_keeps_the_budget(envoy: Envoy) -> None:
    def one(n: int) -> int:
        options = {"stream": True, "stream_options": {"include_usage": True}} if n % 2 else {}
        return envoy.post(chat(script={"output": 40, "start_s": 0.1}, max_tokens=500, **options), "crowd")[0]

    before = len(envoy.gate.upstreams["openai"].log.settled())
    with ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(one, range(40)))
    entries = envoy.gate.upstreams["openai"].log.settled()[before:]
    cost = sum(price("openai", "gpt-4o-mini", one.billed) for one in entries)
    assert 0 < cost <= _LIMIT
    assert len(entries) == statuses.count(200)
    assert set(statuses) == {200, 429}
