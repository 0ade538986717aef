"""What a hostile client sends: requests that two servers would read differently, heads and bodies that are none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.harness import Harness, gateway
from tests.gateway.raw import AUTH, BODY, answered, body_of, exchange, post, provider, status_of

QUOTAS = [{"id": "usd", "limit": "50 USD/day"}, {"id": "tokens", "limit": "1M tokens/day"}]


def against(folder: Path, test: Callable[[Harness], Awaitable[None]], **settings: Any) -> None:
    """Run a test against a gateway with one OpenAI behind it."""

    async def run() -> None:
        async with gateway(folder, "openai", quotas=QUOTAS, **settings) as gate:
            await test(gate)

    asyncio.run(run())


def chunked(body: bytes = BODY, *headers: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return post(b"%x\r\n%s\r\n%s" % (len(body), body, end), *headers, length=False)


SMUGGLED = b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\n\r\n"


@pytest.mark.parametrize(
    ("why", "sent"),
    [
        ("length and chunks", post(b"0\r\n\r\n" + SMUGGLED, b"transfer-encoding: chunked")),
        ("two lengths", post(BODY, b"content-length: 5")),
        ("the same length twice", post(BODY, b"content-length: %d" % len(BODY))),
        ("a list of lengths", post(BODY, b"content-length: %d, %d" % (len(BODY), len(BODY)), length=False)),
        ("a signed length", post(BODY, b"content-length: +%d" % len(BODY), length=False)),
        ("a negative length", post(BODY, b"content-length: -1", length=False)),
        ("a length that is no number", post(BODY, b"content-length: 0x20", length=False)),
        ("an unknown coding", chunked(BODY, b"transfer-encoding: xchunked")),
        ("chunked is not the last", chunked(BODY, b"transfer-encoding: chunked, identity")),
        ("chunked twice", chunked(BODY, b"transfer-encoding: chunked, chunked")),
        ("two codings apart", chunked(BODY, b"transfer-encoding: chunked", b"transfer-encoding: identity")),
        ("a control character in the coding", chunked(BODY, b"transfer-encoding: \x0bchunked")),
        ("a blank before the colon", chunked(BODY, b"transfer-encoding : chunked")),
        ("a folded header", chunked(BODY, b"x-a: b\r\n transfer-encoding: chunked")),
        ("lines that end with LF alone", post().replace(b"\r\n", b"\n")),
        ("a bare CR in a header", post(BODY, b"x-a: b\rtransfer-encoding: chunked")),
        ("a NUL in a header", post(BODY, b"x-a: b\0c")),
        ("a NUL in a header's name", post(BODY, b"x-\0a: b")),
        ("a chunk size that is none", post(b"-1\r\nx\r\n0\r\n\r\n", b"transfer-encoding: chunked", length=False)),
        ("a chunk size beyond all", post(b"f" * 17 + b"\r\nx\r\n", b"transfer-encoding: chunked", length=False)),
        ("chunks that end with LF alone", post(b"2\n{}\n0\n\n", b"transfer-encoding: chunked", length=False)),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
        ("a tunnel", b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nhost: gateway\r\n" + AUTH + b"\r\n"),
        ("nothing of HTTP", b"\0" * 1000 + b"\r\n\r\n"),
    ],
)
def test_what_two_servers_may_read_differently_is_not_read(tmp_path: Path, why: str, sent: bytes) -> None:
    async def run(gate: Harness) -> None:
        answer = await exchange(gate.url, sent, seconds=0.3)
        assert status_of(answer) in (0, 400, 404), (why, answer)
        assert answer.count(b"HTTP/1.1 ") <= 1, "what follows is not taken for a request"
        assert gate.upstreams["openai"].log.entries == []
        assert await answered(gate, post()) == 200

    against(tmp_path, run)


def test_a_body_stays_a_body_and_a_second_request_has_to_say_who_it_is(tmp_path: Path) -> None:
    async def run(gate: Harness) -> None:
        inner = post(json.dumps({"model": "gpt-4o", "messages": []}).encode())
        content = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": inner.decode()}]})
        answer = await exchange(gate.url, chunked(content.encode(), b"transfer-encoding: chunked"))
        assert answer.count(b"HTTP/1.1 200") == answer.count(b"HTTP/1.1 ") == 1
        assert [entry.model for entry in gate.upstreams["openai"].log.entries] == ["gpt-4o-mini"]
        poisoned = post().replace(AUTH, b"")
        both = await exchange(gate.url, post() + poisoned)
        assert both.count(b"HTTP/1.1 200") == both.count(b"HTTP/1.1 401") == 1
        assert len(gate.upstreams["openai"].log.entries) == 2

    against(tmp_path, run)


def test_a_refused_body_that_still_comes_is_no_request(tmp_path: Path) -> None:
    async def run(gate: Harness) -> None:
        unknown = post(SMUGGLED * 20).replace(AUTH, b"authorization: Bearer nobody\r\n")
        answer = await exchange(gate.url, unknown[:-400], b"", unknown[-400:], seconds=0.4)
        assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 401") == 1

    against(tmp_path, run)


def test_trailers_are_no_headers(tmp_path: Path) -> None:
    async def run(gate: Harness) -> None:
        trailer = b"0\r\nx-trailer: 1\r\nauthorization: Bearer other\r\nx-outlay-tags: team=mine\r\n\r\n"
        assert await answered(gate, chunked(BODY, b"transfer-encoding: chunked", end=trailer)) == 200
        (entry,) = gate.upstreams["openai"].log.entries
        assert entry.header("x-trailer") is None
        assert (await gate.told(1))[0]["attributes"]["team"] == "search"

    against(tmp_path, run)


@pytest.mark.parametrize(
    "target",
    [
        b"http://169.254.169.254/v1/chat/completions",
        b"http://user:password@127.0.0.1:1/v1/chat/completions?base_url=http://127.0.0.1:1",
        b"/v1/chat/completions?api-version=evil&base_url=http://169.254.169.254/",
        b"/v1/chat/completions#@169.254.169.254",
    ],
)
def test_no_target_and_no_header_names_where_a_call_goes(tmp_path: Path, target: bytes) -> None:
    async def run(gate: Harness) -> None:
        headers = [
            b"x-forwarded-host: 169.254.169.254",
            b"x-original-url: /v1/files",
            b"x-rewrite-url: /v1/files",
            b"x-http-method-override: DELETE",
            b"forwarded: host=169.254.169.254",
            b"proxy-authorization: Basic eA==",
        ]
        sent = post(BODY, *headers, path=target).replace(b"host: gateway", b"host: 169.254.169.254")
        assert await answered(gate, sent) == 200
        (entry,) = gate.upstreams["openai"].log.entries
        assert (entry.path, entry.query) == ("/v1/chat/completions", "")
        assert entry.header("host") == gate.upstreams["openai"].url.removeprefix("http://")
        assert "169.254" not in str(entry.headers)
        assert not {"x-original-url", "x-rewrite-url", "x-http-method-override"} & dict(entry.headers).keys()

    against(tmp_path, run)


def test_headers_that_choose_a_dearer_tier_end_at_the_gateway(tmp_path: Path) -> None:
    async def run(gate: Harness) -> None:
        dearer = [b"X-Amzn-Bedrock-Service-Tier: priority", b"X-Vertex-AI-LLM-Request-Type: priority"]
        assert await answered(gate, post(BODY, *dearer)) == 200
        (entry,) = gate.upstreams["openai"].log.entries
        assert not [name for name, _ in entry.headers if name.startswith(("x-amzn", "x-vertex"))]

    against(tmp_path, run)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"x-outlay-tags: team=\xff\xfe", 400),
        (b"x-outlay-tags: caf\xc3\xa9=1", 400),
        (b"x-outlay-tags: city=M\xc3\xbcnchen", 200),
        (b"x-outlay-tags: city=\xe2\x80\xae", 400),
        (b"x-outlay-tags: a=\x7f", 400),
        (b"x-outlay-tags: model=gpt-5", 400),
        (b"x-outlay-tags: team=payments", 400),
        (b"x-outlay-tags: =", 400),
        (b"x-outlay-tags: " + b",".join(b"a%d=1" % n for n in range(40)), 400),
        (b"x-outlay-tags: a=" + b"b" * 300, 400),
        (b"x-outlay-tags: " + b"," * 5000, 200),
        (b"x-odd: \xff\xfe\x80", 200),
        (b"x-odd: " + "日本".encode(), 200),
        (b"x-control: a\x01b", 200),
        (b"x-tab: a\tb", 200),
        (b"anthropic-version: ", 200),
    ],
)
def test_odd_headers_are_refused_or_go_on_and_never_break_anything(tmp_path: Path, header: bytes, status: int) -> None:
    async def run(gate: Harness) -> None:
        found = await answered(gate, post(BODY, header))
        assert found == status or (found == 400 and b"\x01" in header)

    against(tmp_path, run)


def test_an_injected_line_does_not_reach_the_provider(tmp_path: Path) -> None:
    async def run(gate: Harness) -> None:
        await answered(gate, post(BODY, b"x-a: b%0d%0aauthorization: Bearer mine", b"x-b: \\r\\nx-c: d"))
        (entry,) = gate.upstreams["openai"].log.entries
        assert [value for name, value in entry.headers if name == "authorization"] == [
            f"Bearer {gate.upstreams['openai'].secret}"
        ]
        assert entry.header("x-c") is None

    against(tmp_path, run)


MANY = b"[" * 300 + b"]" * 300


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"a"',
        b"\xef\xbb\xbf" + BODY,
        BODY[:-1],
        BODY + b"{}",
        BODY.replace(b"Oslo", b"\xff\xfe"),
        BODY.replace(b"Oslo", b"\\ud800"),
        BODY.replace(b"50", b"NaN"),
        BODY.replace(b"50", b"Infinity"),
        BODY.replace(b"50", b"1e999"),
        BODY.replace(b"50", b"1" * 400),
        BODY.replace(b"50", b"-1"),
        BODY.replace(b"50", b"1.0"),
        BODY.replace(b"50", b'"50"'),
        BODY.replace(b"50", b"true"),
        BODY.replace(b"50", b"[]"),
        BODY.replace(b'"gpt-4o-mini"', b'["gpt-4o-mini"]'),
        BODY.replace(b'"gpt-4o-mini"', b'"gpt-4o\\u0000mini"'),
        BODY.replace(b'"gpt-4o-mini"', b'"' + b"m" * 1000 + b'"'),
        BODY.replace(b'"messages"', b'"stream": true, "deep": ' + MANY + b', "messages"'),
        BODY.replace(b'"messages"', b'"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b', "messages"'),
        BODY.replace(b'"messages"', b'"n": 0, "messages"'),
        BODY.replace(b'"messages"', b'"n": 1e3, "messages"'),
    ],
    ids=range(26),
)
def test_a_body_that_is_no_call_is_refused(tmp_path: Path, body: bytes) -> None:
    async def run(gate: Harness) -> None:
        answer = await exchange(gate.url, post(body), first=True)
        assert status_of(answer) == 400, (body[:80], answer)
        assert body_of(answer)["error"]["message"]
        assert len(answer) < 2000, "what was sent is not sent back"
        assert gate.upstreams["openai"].log.entries == []
        assert (await gate.standing("usd"), await gate.standing("tokens")) == ((0, 0), (0, 0))

    against(tmp_path, run)


@pytest.mark.parametrize("path", [b"/stops", b"/metrics", b"/quotas", b"//stops", b"/v1/../stops", b"/%73tops"])
def test_the_callers_port_has_nothing_of_the_admins(tmp_path: Path, path: bytes) -> None:
    async def run(gate: Harness) -> None:
        stop = json.dumps({"id": "a", "scope": {"team": "search"}}).encode()
        assert await answered(gate, post(stop, path=path)) == 404
        got = b"GET " + path + b" HTTP/1.1\r\nhost: gateway\r\n" + AUTH + b"\r\n"
        assert await answered(gate, got) == 404
        assert await gate.running.quotas.stops() == {}

    against(tmp_path, run)


def test_a_redirection_of_a_provider_is_neither_followed_nor_handed_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with provider([]) as inside:
            there = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: {inside.url}/secret\r\ncontent-length: 0\r\n\r\n"
            async with provider([there.encode()]) as outside:
                more = {"openai": {"base_url": outside.url}}
                async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams=more) as gate:
                    answer = await exchange(gate.url, post(), first=True)
                    assert status_of(answer) == 502
                    assert b"secret" not in answer
                    assert inside.came == []
                    assert await gate.standing("usd") == (0, 0)

    asyncio.run(run())


def test_what_a_provider_says_can_not_become_a_header_of_the_gateways(tmp_path: Path) -> None:
    async def run() -> None:
        content = json.dumps({"usage": {"prompt_tokens": 1, "completion_tokens": 1}, "model": "gpt-4o-mini"}).encode()
        head = [
            b"HTTP/1.1 200 OK",
            b"content-type: application/json",
            b"x-outlay-cost: 0 USD",
            b"x-a: \xe6\x97\xa5",
            b"x-b: \x01\x02",
            b"set-cookie: session=1",
            b"x-c: kept",
            b"content-length: %d" % len(content),
        ]
        async with (
            provider([b"\r\n".join(head) + b"\r\n\r\n" + content]) as odd,
            gateway(tmp_path, "openai", upstreams={"openai": {"base_url": odd.url}}) as gate,
        ):
            answer = await exchange(gate.url, post(), first=True)
            lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
            assert lines[0] == b"HTTP/1.1 200 OK"
            assert b"x-c: kept" in lines
            assert b"x-a: \xe6\x97\xa5" in lines
            assert not [one for one in lines if one.startswith((b"x-b", b"set-cookie")) or b"0 USD" in one]

    asyncio.run(run())
