"""Bedrock as pretended: signatures, converse and invoke, and the frames of their streams, read by another hand.

The frames' checksums are compared with messages whose bytes are known, the signature with one that botocore 1.44.5
made.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from contextlib import closing
from typing import Any
from zlib import crc32

import pytest

from tests.gateway.upstreams import Meters, Upstream
from tests.gateway.upstreams.calls import connection, posted
from tests.gateway.upstreams.event_stream import encoded
from tests.gateway.upstreams.http import Request
from tests.gateway.upstreams.sigv4 import wrong

MODEL = "anthropic.claude-sonnet-4-5-20250929-v1%3A0"
NAMED = "anthropic.claude-sonnet-4-5-20250929-v1:0"
CONVERSE = {
    "system": [{"text": "Be brief."}],
    "messages": [{"role": "user", "content": [{"text": "Say hello."}]}],
    "inferenceConfig": {"maxTokens": 8},
}
INVOKE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 8,
    "messages": [{"role": "user", "content": "Say hello."}],
}


def decoded(data: bytes) -> list[tuple[dict[str, str], Any]]:
    """Messages of an event stream, every length and checksum verified."""
    found = []
    while data:
        length, headers_length, prelude_crc = struct.unpack(">III", data[:12])
        message, data = data[:length], data[length:]
        assert crc32(message[:8]) == prelude_crc
        assert (crc32(message[:-4]),) == struct.unpack(">I", message[-4:])
        block, payload = message[12 : 12 + headers_length], message[12 + headers_length : -4]
        headers = {}
        while block:
            end = 1 + block[0]
            name, kind, size = block[1:end].decode(), block[end], int.from_bytes(block[end + 1 : end + 3], "big")
            assert kind == 7
            headers[name] = block[end + 3 : end + 3 + size].decode()
            block = block[end + 3 + size :]
        found.append((headers, json.loads(payload)))
    return found


def test_frames_have_the_bytes_of_known_messages() -> None:
    assert encoded({}, b"") == bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
    assert encoded({}, b"{'foo':'bar'}") == bytes.fromhex("0000001d 00000000 fd528c5a") + b"{'foo':'bar'}" + (
        bytes.fromhex("c3653936")
    )


def bearer(running: Upstream) -> dict[str, str]:
    return {"authorization": f"Bearer {running.secret}"}


def test_converse_tells_input_without_the_cache_and_a_total_with_it(bedrock: Upstream) -> None:
    bedrock.next(reasoning=3, cache_read=2, cache_write_5m=1, cache_write_1h=1, hidden_input=4, service_tier="flex")
    with closing(connection(bedrock.url)) as to:
        told = json.loads(posted(to, f"/model/{MODEL}/converse", CONVERSE, bearer(bedrock)).read())
    used = told["usage"]
    assert (used["inputTokens"], used["outputTokens"], used["totalTokens"]) == (6, 8, 18)
    assert used["cacheReadInputTokens"] == used["cacheReadInputTokenCount"] == 2
    assert used["cacheDetails"] == [{"ttl": "1h", "inputTokens": 1}, {"ttl": "5m", "inputTokens": 1}]
    assert (told["stopReason"], told["serviceTier"]) == ("max_tokens", {"type": "flex"})
    assert told["output"]["message"]["content"] == [{"text": "all is  well and so "}]
    [entry] = bedrock.log.settled(1)
    assert entry.billed == Meters(6, 2, 1, 1, output=8, reasoning=3)
    assert entry.model == NAMED


def test_converse_streams_and_tells_usage_last(bedrock: Upstream) -> None:
    body = {**CONVERSE, "toolConfig": {"tools": [{"toolSpec": {"name": "weather"}}], "toolChoice": {"any": {}}}}
    with closing(connection(bedrock.url)) as to:
        answer = posted(to, f"/model/{MODEL}/converse-stream", body, bearer(bedrock))
        assert answer.getheader("content-type") == "application/vnd.amazon.eventstream"
        events = decoded(answer.read())
    assert [headers[":event-type"] for headers, _ in events] == [
        *("messageStart", "contentBlockStart", *["contentBlockDelta"] * 4),
        *("contentBlockStop", "messageStop", "metadata"),
    ]
    assert "".join(one["delta"]["toolUse"]["input"] for _, one in events[2:6]) == '{"city":"Oslo"}'
    assert events[-1][1]["usage"]["outputTokens"] == 4
    assert bedrock.log.settled(1)[0].billed.output == 4


def test_invoke_speaks_anthropic_and_tells_counts_in_headers(bedrock: Upstream) -> None:
    bedrock.next(cache_read=1)
    with closing(connection(bedrock.url)) as to:
        answer = posted(to, f"/model/{MODEL}/invoke", INVOKE, bearer(bedrock))
        told = json.loads(answer.read())
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (2, 8)
    assert answer.getheader("x-amzn-bedrock-input-token-count") == "2"
    assert answer.getheader("x-amzn-bedrock-output-token-count") == "8"
    assert answer.getheader("x-amzn-bedrock-cache-read-input-token-count") == "1"
    assert bedrock.log.settled(1)[0].billed == Meters(input=2, cache_read=1, output=8)


def test_invoke_streams_events_in_base64_and_repeats_the_counts_in_the_last(bedrock: Upstream) -> None:
    with closing(connection(bedrock.url)) as to:
        answer = posted(to, f"/model/{MODEL}/invoke-with-response-stream", INVOKE, bearer(bedrock))
        events = [json.loads(b64decode(one["bytes"])) for _, one in decoded(answer.read())]
    assert [one["type"] for one in events] == [
        *("message_start", "content_block_start", *["content_block_delta"] * 8, "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert events[0]["message"]["usage"]["input_tokens"] == 3
    assert events[-2]["usage"]["output_tokens"] == 8
    assert events[-1]["type"] == "message_stop"
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 8
    assert bedrock.log.settled(1)[0].billed == Meters(input=3, output=8)


@pytest.mark.parametrize("action", ["converse-stream", "invoke-with-response-stream"])
def test_a_stream_fails_with_an_exception_frame(bedrock: Upstream, action: str) -> None:
    bedrock.next(stream_error=True)
    body = CONVERSE if action.startswith("converse") else INVOKE
    with closing(connection(bedrock.url)) as to:
        events = decoded(posted(to, f"/model/{MODEL}/{action}", body, bearer(bedrock)).read())
    headers, told = events[-1]
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "modelStreamErrorException")
    assert told["originalStatusCode"] == 503
    assert bedrock.log.settled(1)[0].billed == Meters(input=6 if body is CONVERSE else 3, output=4)


def test_who_has_no_key_is_refused(bedrock: Upstream) -> None:
    with closing(connection(bedrock.url)) as to:
        for headers in ({}, {"authorization": "Bearer another"}, {"authorization": "AWS4-HMAC-SHA256 x"}):
            answer = posted(to, f"/model/{MODEL}/converse", CONVERSE, headers)
            assert answer.status == 403
            assert answer.getheader("x-amzn-errortype") == "AccessDeniedException"
            assert "message" in json.loads(answer.read())
        answer = posted(to, f"/model/{MODEL}/invoke", {**INVOKE, "stream": True}, bearer(bedrock))
        assert json.loads(answer.read()) == {"message": "stream: Extra inputs are not permitted"}
        bedrock.next(status=429)
        answer = posted(to, f"/model/{MODEL}/converse", CONVERSE, bearer(bedrock))
        answer.read()
        assert (answer.status, answer.getheader("x-amzn-errortype")) == (429, "ThrottlingException")
    assert {one.billed for one in bedrock.log.settled(5)} == {Meters()}


def signed_by_botocore() -> Request:
    """What botocore 1.44.5 made of this call on 2026-01-02, with the example keys of Amazon's documentation."""
    names = "content-type;host;x-amz-date;x-amz-security-token"
    signature = "ad046168a7b99dd2e9c7490a303a0912ce1ef654ab0f0872895daad9223d7fe4"
    scope = "AKIDEXAMPLE/20260102/eu-north-1/bedrock/aws4_request"
    headers = [
        ("content-type", "application/json"),
        ("host", "bedrock-runtime.eu-north-1.amazonaws.com"),
        ("x-amz-date", "20260102T030405Z"),
        ("x-amz-security-token", "a-token"),
        ("authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"),
    ]
    return Request("POST", f"/model/{MODEL}/converse".encode(), headers, b'{"messages":[]}', keep=True)


def test_a_signature_is_right_only_for_what_was_signed() -> None:
    request = signed_by_botocore()
    given = request.header("authorization")
    assert given is not None
    assert wrong(request, given) is None
    for change in ("body", "token", "path"):
        other = signed_by_botocore()
        if change == "body":
            other.body = b'{"messages":[{}]}'
        elif change == "token":
            other.headers[3] = ("x-amz-security-token", "another")
        else:
            other.raw_path = other.raw_path.replace("converse", "invoke")
        assert wrong(other, given) == ("The request signature we calculated does not match the signature you provided.")
    assert "security token" in (wrong(request, given.replace("AKIDEXAMPLE", "AKIDANOTHER")) or "")
