"""Who reaches the admin port: nobody from elsewhere without its secret, and no page in a browser."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from outlay.errors import UsageError
from outlay.gateway.callers import Caller
from tests.gateway.harness import KEY, TAGS, gateway
from tests.gateway.raw import answered, exchange, post, status_of

STOP = json.dumps({"id": "all", "scope": {"team": "search"}, "why": "a test"}).encode()
JSON = b"content-type: application/json"


def ask(method: bytes, path: bytes, *headers: bytes, body: bytes = b"", host: bytes = b"127.0.0.1:8788") -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", b"host: " + host, *headers, b"content-length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("why", "sent", "status"),
    [
        ("the command's own", ask(b"POST", b"/stops", JSON, body=STOP), 200),
        ("a form or a script of a page", ask(b"POST", b"/stops", b"content-type: text/plain", body=STOP), 415),
        ("a beacon of a page", ask(b"POST", b"/stops", body=STOP), 415),
        ("a page that may send JSON", ask(b"POST", b"/stops", JSON, b"origin: http://evil.example", body=STOP), 403),
        ("a sandboxed page", ask(b"POST", b"/stops", JSON, b"origin: null", body=STOP), 403),
        ("a name bent to here", ask(b"POST", b"/stops", JSON, body=STOP, host=b"evil.example:8788"), 403),
        ("a name that looks like here", ask(b"GET", b"/quotas", host=b"127.0.0.1.evil.example"), 403),
        ("a name that begins like here", ask(b"GET", b"/quotas", host=b"localhost.evil.example:8788"), 403),
        ("no name", ask(b"GET", b"/quotas", host=b""), 403),
        ("its name", ask(b"GET", b"/quotas", host=b"localhost:8788"), 200),
        ("its number", ask(b"GET", b"/metrics", host=b"[::1]:8788"), 200),
        ("nothing there", ask(b"GET", b"/"), 404),
        ("another method", ask(b"PUT", b"/stops", JSON, body=STOP), 404),
        ("no JSON", ask(b"POST", b"/stops", JSON, body=b"{"), 400),
        ("a list", ask(b"POST", b"/stops", JSON, body=b"[]"), 400),
        ("no scope", ask(b"POST", b"/stops", JSON, body=b'{"id": "a", "scope": {}}'), 400),
        ("a scope of no names", ask(b"POST", b"/stops", JSON, body=b'{"id": "a", "scope": {"team": [5]}}'), 400),
        ("a scope of nothing", ask(b"POST", b"/stops", JSON, body=b'{"id": "a", "scope": {"team": []}}'), 400),
        ("an empty page", ask(b"POST", b"/stops", JSON), 400),
        ("too much", ask(b"POST", b"/stops", JSON, body=b" " * 70_000), 413),
        ("a stop that is none", ask(b"DELETE", b"/stops/none"), 404),
        ("a page that resumes", ask(b"DELETE", b"/stops/all", b"origin: http://localhost:3000"), 403),
    ],
)
def test_no_page_in_a_browser_gets_at_the_admin_port(tmp_path: Path, why: str, sent: bytes, status: int) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate:
            assert gate.running.at.admin is not None
            answer = await exchange(f"http://{gate.running.at.admin}", sent, first=True)
            assert status_of(answer) == status, why
            assert bool(await gate.running.quotas.stops()) == (why == "the command's own")
            assert b"access-control" not in answer.lower()
            assert await answered(gate, post()) == (403 if status == 200 and b"POST" in sent else 200)

    asyncio.run(run())


def test_with_a_secret_every_path_wants_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", environment={"OUTLAY_ADMIN_TOKEN": "the-secret"}) as gate:
            url = f"http://{gate.running.at.admin}"
            for path in (b"/metrics", b"/quotas", b"/stops", b"/healthz", b"/", b"/nothing"):
                for said in (b"x: y", b"authorization: Bearer wrong", b"authorization: the-secret", b"x-api-key: x"):
                    assert status_of(await exchange(url, ask(b"GET", path, said), first=True)) == 401
            for sent in (ask(b"POST", b"/stops", JSON, body=STOP), ask(b"DELETE", b"/stops/a")):
                assert status_of(await exchange(url, sent, first=True)) == 401
            right = b"authorization: Bearer the-secret"
            found = await exchange(url, ask(b"GET", b"/quotas", right, host=b"gateway.internal:8788"), first=True)
            assert status_of(found) == 200
            assert await answered(gate, post()) == 200

    asyncio.run(run())


@pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0", "[::]:0", "127.evil.invalid:0"])
def test_open_to_other_machines_it_does_not_start_without_a_secret(tmp_path: Path, listen: str) -> None:
    async def run() -> None:
        with pytest.raises(UsageError, match="is open to other machines"):
            async with gateway(tmp_path, "openai", admin_listen=listen):
                raise AssertionError("it started")

    asyncio.run(run())


def test_models_that_callers_make_up_are_counted_by_name_only_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from outlay.gateway import meters

    monkeypatch.setattr(meters, "_MOST_NAMES", 3)

    async def run() -> None:
        callers = {KEY: Caller("key-1", TAGS)}
        async with gateway(tmp_path, "openai", callers=callers) as gate:
            for number in range(6):
                await answered(gate, post(post().partition(b"\r\n\r\n")[2].replace(b"gpt-4o-mini", b"m-%d" % number)))
            shown = await exchange(f"http://{gate.running.at.admin}", ask(b"GET", b"/metrics"), first=True)
            assert shown.count(b'outlay_gateway_calls_total{model="m-') == 3
            assert b'model="other"' in shown

    asyncio.run(run())
