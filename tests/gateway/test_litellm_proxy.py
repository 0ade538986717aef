"""A real LiteLLM proxy with Outlay's callback: its calls are held, counted to the last token, and refused at the limit.

The proxy is the command ``litellm`` that `make test-system` installs into .venv-peers, or in the folder that
``$OUTLAY_PEERS`` names.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.beside import PROGRAMS, beside, free_port, program
from tests.gateway.harness import PEER_SECRET, Harness
from tests.gateway.test_calls import price
from tests.gateway.upstreams.log import Entry

pytestmark = pytest.mark.system

_SOURCE = Path(__file__).resolve().parents[2] / "src"
_KEY = "sk-test-1234567890abcdef"
_CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{openai}/v1", api_key: sk-upstream-openai}}
  - model_name: claude
    litellm_params: {{model: anthropic/claude-sonnet-5, api_base: "{anthropic}", api_key: sk-ant-upstream}}
litellm_settings:
  callbacks: outlay.gateway.litellm.callback.quotas
  num_retries: 1
router_settings:
  fallbacks: [{{"small": ["claude"]}}]
general_settings:
  master_key: {key}
"""
_LIMIT = Decimal("0.05")
_QUOTAS: list[dict[str, Any]] = [
    {"id": "all", "limit": "100 USD/day"},
    {"id": "tight", "scope": {"feature": "tight"}, "limit": f"{_LIMIT} USD/day"},
    {"id": "crowd", "scope": {"feature": "crowd"}, "limit": f"{_LIMIT} USD/day"},
]


@dataclass
class Proxy:
    url: str
    gate: Harness

    def post(self, path: str, body: dict[str, Any], feature: str = "f", *, seconds: float = 60) -> tuple[int, bytes]:
        headers = {
            "authorization": f"Bearer {_KEY}",
            "content-type": "application/json",
            "x-outlay-tags": f"feature={feature}",
        }
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def events(self, feature: str, number: int) -> list[dict[str, Any]]:
        """The events of calls with a feature, once there are so many."""
        found: list[dict[str, Any]] = []
        for _ in range(80):
            found = [one for one in self.gate.events() if one["attributes"].get("feature") == feature]
            sent = [one for one in found if not (one["settled"] == "none" and one["error"] is None)]
            if len(sent) >= number:
                assert len(sent) == number, sent
                return sent
            time.sleep(0.05)
        raise AssertionError(found)

    def billed(self, feature: str) -> list[Entry]:
        """What the providers billed for calls whose prompt has the feature."""
        every = [one for up in self.gate.upstreams.values() for one in up.log.settled()]
        return [one for one in every if f"<{feature}>" in json.dumps(one.body)]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    command = PROGRAMS / "litellm"
    assert command.exists(), f"{command} is not there: run `make test-system`, or name its folder in OUTLAY_PEERS"
    folder = tmp_path_factory.mktemp("litellm")
    with beside(folder, "openai", "anthropic", quotas=_QUOTAS, required_tags=()) as gate:
        urls = {name: one.url for name, one in gate.upstreams.items()}
        (folder / "config.yaml").write_text(_CONFIG.format(key=_KEY, **urls))
        port = free_port()
        listening = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
        with program(
            [command, *listening],
            f"http://127.0.0.1:{port}/health/liveliness",
            folder,
            PYTHONPATH=str(_SOURCE),
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            OUTLAY_PEERS_URL=f"http://{gate.running.at.peers}",
            OUTLAY_PEERS_SECRET=PEER_SECRET,
            OUTLAY_TAGS="team=search",
        ):
            yield Proxy(f"http://127.0.0.1:{port}", gate)


def prompt(feature: str, **script: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"<{feature}> {{{{upstream: {json.dumps(script)}}}}} and say something"}]


_CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("chat", "/v1/chat/completions", {"model": "small", "script": {"reasoning": 7}}),
    ("chat-stream", "/v1/chat/completions", {"model": "small", "stream": True, "script": {"cache_read": 5}}),
    ("chat-claude", "/v1/chat/completions", {"model": "claude", "script": {"cache_read": 5, "cache_write_1h": 4}}),
    (
        "chat-claude-stream",
        "/v1/chat/completions",
        {"model": "claude", "stream": True, "script": {"cache_write_5m": 4}},
    ),
    ("messages", "/v1/messages", {"model": "claude", "max_tokens": 50, "script": {"cache_write_1h": 4}}),
    (
        "messages-stream",
        "/v1/messages",
        {"model": "claude", "max_tokens": 50, "stream": True, "script": {"cache_read": 3}},
    ),
    ("messages-bridged", "/v1/messages", {"model": "small", "max_tokens": 50, "script": {}}),
    ("messages-bridged-stream", "/v1/messages", {"model": "small", "max_tokens": 50, "stream": True, "script": {}}),
    ("responses", "/v1/responses", {"model": "small", "script": {"reasoning": 3}}),
    ("responses-stream", "/v1/responses", {"model": "small", "stream": True, "script": {"reasoning": 3}}),
    ("responses-bridged", "/v1/responses", {"model": "claude", "script": {}}),
    ("responses-bridged-stream", "/v1/responses", {"model": "claude", "stream": True, "script": {}}),
    ("completions", "/v1/completions", {"model": "small", "script": {}}),
]


@pytest.mark.parametrize(("feature", "path", "body"), _CASES, ids=[one[0] for one in _CASES])
def test_every_call_is_metered_as_the_provider_bills_it(
    proxy: Proxy, feature: str, path: str, body: dict[str, Any]
) -> None:
    body = dict(body)
    said = prompt(feature, **body.pop("script"))
    if path == "/v1/responses":
        body["input"] = said
    elif path == "/v1/completions":
        body["prompt"] = said[0]["content"]
    else:
        body["messages"] = said
    status, content = proxy.post(path, body, feature)
    assert status == 200, content
    (event,) = proxy.events(feature, 1)
    assert [one for one in proxy.gate.events() if one["attributes"].get("feature") == feature] == [event], "held once"
    (entry,) = proxy.billed(feature)
    assert event["settled"] == "usage", event
    used = event["usage"]
    assert (used["input"], used["output"]) == (entry.billed.all_input, entry.billed.output)
    assert (used["cache_read"], used["cache_write"]) == (entry.billed.cache_read, entry.billed.cache_write)
    assert entry.model is not None
    assert Decimal(event["cost"]) == price(event["priced_as"], entry.model, entry.billed)


def test_a_budget_is_kept_by_a_crowd_and_says_why(proxy: Proxy) -> None:
    """Sixty at a time, streaming or not, with retries and fallbacks: what the providers bill stays within the limit."""

    def one(n: int) -> int:
        script: dict[str, Any] = {"output": 40, "start_s": 0.1} | ({"status": 500} if n % 10 == 3 else {})
        script |= {"drop": "mid_stream"} if n % 10 == 7 else {}
        body = {"model": ("small", "claude")[n % 2], "messages": prompt("crowd", **script), "stream": n % 3 == 0}
        return proxy.post("/v1/chat/completions", body, "crowd")[0]

    watch = _Watch(proxy, "crowd")
    with watch, ThreadPoolExecutor(60) as pool:
        statuses = list(pool.map(one, range(60)))
    cost = sum(
        (price("openai" if one.model == "gpt-4o-mini" else "anthropic", one.model or "", one.billed))
        for one in proxy.billed("crowd")
    )
    assert 0 < cost <= _LIMIT
    assert watch.most <= _LIMIT
    assert 429 in statuses
    assert 200 in statuses


def test_a_refusal_is_the_callers_own_error_and_nothing_is_sent(proxy: Proxy) -> None:
    body = {"model": "small", "max_tokens": 16_000, "messages": prompt("tight") + prompt("tight") * 2000}
    statuses = [proxy.post("/v1/chat/completions", body, "tight") for _ in range(3)]
    status, content = statuses[-1]
    assert status == 429, content
    assert "the budget 'tight'" in json.loads(content)["error"]["message"]
    sent = len(proxy.billed("tight"))
    assert proxy.post("/v1/messages", body | {"max_tokens": 16_000}, "tight")[0] == 429
    assert len(proxy.billed("tight")) == sent


def test_what_is_granted_is_put_in_where_the_caller_names_no_limit(proxy: Proxy) -> None:
    status, _ = proxy.post("/v1/chat/completions", {"model": "small", "messages": prompt("clamped")}, "clamped")
    assert status == 200
    (entry,) = proxy.billed("clamped")
    assert entry.body["max_completion_tokens"] == 16_384


def test_every_attempt_counts_by_itself(proxy: Proxy) -> None:
    """What a provider refused costs nothing; of a connection that broke, nobody knows: it counts at its bound."""
    body = {"model": "small", "messages": prompt("refused", status=500)}
    assert proxy.post("/v1/chat/completions", body, "refused")[0] == 500
    found = proxy.events("refused", 4)
    assert [(one["sent_model"], one["settled"]) for one in found] == [
        ("gpt-4o-mini", "none"),
        ("gpt-4o-mini", "none"),
        ("claude-sonnet-5", "none"),
        ("claude-sonnet-5", "none"),
    ]
    body = {"model": "claude", "messages": prompt("broken", drop="before_headers")}
    assert proxy.post("/v1/chat/completions", body, "broken")[0] == 500
    assert [one["settled"] for one in proxy.events("broken", 2)] == ["bound", "bound"]


def test_a_stream_that_tells_no_usage_counts_at_its_bound_and_not_by_a_guess(proxy: Proxy) -> None:
    for stream in (True, False):
        feature = f"untold-{stream}"
        body = {"model": "small", "stream": stream, "messages": prompt(feature, usage=False)}
        assert proxy.post("/v1/chat/completions", body, feature)[0] == 200
        (event,) = proxy.events(feature, 1)
        assert (event["settled"], event["error"]) == ("bound", "no usage")


def test_a_streamed_completion_counts_at_its_bound_as_litellm_keeps_no_usage_of_it(proxy: Proxy) -> None:
    body = {"model": "small", "stream": True, "prompt": prompt("legacy")[0]["content"]}
    assert proxy.post("/v1/completions", body, "legacy")[0] == 200
    (event,) = proxy.events("legacy", 1)
    assert (event["settled"], event["error"]) == ("bound", "no usage")


@pytest.mark.parametrize(("model", "settled"), [("small", "bound"), ("claude", "received")])
def test_a_caller_that_goes_away_counts_at_its_bound(proxy: Proxy, model: str, settled: str) -> None:
    feature = f"gone-{model}"
    body = {"model": model, "stream": True, "max_tokens": 50, "messages": prompt(feature, chunk_s=0.2)}
    headers = {
        "authorization": f"Bearer {_KEY}",
        "content-type": "application/json",
        "x-outlay-tags": f"feature={feature}",
    }
    request = urllib.request.Request(proxy.url + "/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read(10)
    (event,) = proxy.events(feature, 1)
    assert event["settled"] == settled, event


@pytest.mark.parametrize("asked", [True, False])
def test_the_usage_of_a_stream_is_shown_to_whom_asked(proxy: Proxy, asked: bool) -> None:
    body = {"model": "small", "stream": True, "messages": prompt(f"shown-{asked}")}
    if asked:
        body["stream_options"] = {"include_usage": True}
    _, content = proxy.post("/v1/chat/completions", body, f"shown-{asked}")
    assert (b'"usage":{' in content) == asked
    assert content.rstrip().endswith(b"data: [DONE]")
    assert content.count(b'"finish_reason":"stop"') == 1


class _Watch:
    """The most that a quota had spent and held at a time."""

    def __init__(self, proxy: Proxy, quota: str) -> None:
        self._proxy, self._quota, self._done = proxy, quota, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.most = Decimal(0)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        url = f"http://{self._proxy.gate.running.at.admin}/quotas"
        while not self._done.wait(0.02):
            with urllib.request.urlopen(url, timeout=10) as answer:
                listed = json.loads(answer.read())["quotas"]
            (one,) = [one for one in listed if one["id"] == self._quota]
            self.most = max(self.most, Decimal(one["spent"]) + Decimal(one["held"]))
