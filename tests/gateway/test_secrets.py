"""Keys, secrets and what was asked and answered are in no log, no file, no metric and no exception."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import openai
import pytest

from outlay.config.gateway import UpstreamSettings
from outlay.gateway.call import Sender
from outlay.gateway.callers import Caller
from outlay.gateway.routes import Routes
from outlay.gateway.run import Serving
from tests.gateway.harness import TAGS, Harness, gateway
from tests.gateway.raw import exchange
from tests.gateway.test_admin_port import ask

KEY = "olk-a-key-that-must-not-be-seen"
PROMPT = "Wherefore art thou confidential?"
QUOTAS = [{"id": "usd", "limit": "50 USD/day"}]


async def _calls(gate: Harness, client: Any) -> None:
    """Of every kind: good, streamed, refused, denied, broken off, and with an error of the gateway's own."""
    said = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 50}
    upstream = gate.upstreams["openai"]
    kinds: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({}, {"stream": True}),
        ({"status": 400}, {}),
        ({"status": 500}, {}),
        ({"drop": "before_headers"}, {}),
        ({"drop": "mid_stream"}, {"stream": True}),
        ({"stream_error": True}, {"stream": True}),
        ({"garbage": True}, {}),
        ({}, {"max_tokens": 10**9}),
        ({}, {"n": PROMPT}),
        ({}, {"model": f"{PROMPT}\n"}),
        ({}, {"stop": {"a": PROMPT}, "tools": [PROMPT]}),
    ]
    for behaviour, more in kinds:
        upstream.next(**behaviour)
        failed = ""
        try:
            answer = await client.chat.completions.create(**{**said, **more})
            if "stream" in more:
                [chunk async for chunk in answer]
        except (openai.APIError, ValueError) as error:
            failed = repr(error) + str(error)
        assert upstream.secret not in failed
        upstream._queue.clear()


@pytest.mark.parametrize("broken", [False, True])
def test_nothing_that_must_not_be_seen_is_logged_or_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    caplog.set_level(1)
    for name in list(logging.root.manager.loggerDict):
        if not name.startswith(("openai", "httpx", "httpcore")):
            monkeypatch.setattr(logging.getLogger(name), "level", 1)
            monkeypatch.setattr(logging.getLogger(name), "disabled", False)

    found: list[bytes] = []  # a result of the task would be in the log of asyncio
    secrets: list[str] = []

    async def run() -> None:
        asyncio.get_running_loop().set_debug(True)
        asyncio.get_running_loop().slow_callback_duration = 0
        callers = {KEY: Caller("key-1", TAGS)}
        async with gateway(tmp_path, "openai", quotas=QUOTAS, callers=callers) as gate:
            if broken:

                async def fails(*_: object) -> None:
                    raise LookupError("an error of ours")

                monkeypatch.setattr(Sender, "_whole", fails)
            client = gate.openai(KEY)
            await _calls(gate, client)
            wrong = gate.openai(f"{KEY}-and-more")
            with pytest.raises(openai.AuthenticationError) as refused:
                await wrong.models.list()
            assert KEY not in str(refused.value)
            admin = f"http://{gate.running.at.admin}"
            found.extend([await exchange(admin, ask(b"GET", path), first=True) for path in (b"/metrics", b"/quotas")])
            await gate.told(8)
            secrets.append(gate.upstreams["openai"].secret)

    asyncio.run(run())
    shown = [one.decode() for one in found]
    told = [f"{one.getMessage()} {one.args} {one.exc_text} {one.stack_info}" for one in caplog.records]
    told += [caplog.handler.format(one) for one in caplog.records]
    said = [one for one, record in zip(told, [*caplog.records] * 2, strict=True) if not _of_client(record)]
    assert any(record.name.startswith(("asyncio", "uvicorn")) for record in caplog.records), "logging is on"
    kept = {str(one): one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    assert any(name.endswith(".db") for name in kept)
    for hidden in (KEY, *secrets, PROMPT, "olk-a-key", "Wherefore"):
        assert not [one for one in said if hidden in one]
        assert not [one for one in shown if hidden in one]
        assert not [name for name, content in kept.items() if hidden.encode() in content]


def _of_client(record: logging.LogRecord) -> bool:
    """What the caller's own library logs of its own requests."""
    return re.match(r"openai|httpx|httpcore", record.name) is not None


def test_an_object_that_holds_a_secret_does_not_show_it(tmp_path: Path) -> None:
    settings = UpstreamSettings(
        id="openai", provider="openai", base_url="https://api.openai.com/v1", api_key_env="SECRET"
    )
    routes = Routes([settings], {"SECRET": "sk-hidden"})
    (route,) = routes.of("chat", "gpt-4o-mini")
    assert dict(route.upstream.headers)["authorization"] == "Bearer sk-hidden"
    from outlay.config.gateway import GatewaySettings

    serving = Serving(GatewaySettings(), (), (), tmp_path, tmp_path, {"SECRET": "sk-hidden"})
    for one in (route, route.upstream, routes, serving, vars(routes)):
        assert "sk-hidden" not in repr(one)
