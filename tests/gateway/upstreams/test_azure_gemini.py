"""Azure and Gemini as pretended: addresses, keys, filters, thoughts outside the candidates, both forms of Gemini."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import openai as sdk
import pytest

from tests.gateway.upstreams import IMAGE_TOKENS, Meters, Upstream, tokens
from tests.gateway.upstreams.azure import DEPLOYED
from tests.gateway.upstreams.calls import connection, posted

HELLO: Any = [{"role": "user", "content": "Say hello."}]
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}


def test_azure_answers_for_a_deployment_to_its_sdk(azure: Upstream) -> None:
    with sdk.AzureOpenAI(
        azure_endpoint=azure.url, api_key=azure.secret, api_version="2024-10-21", max_retries=0
    ) as client:
        told = client.chat.completions.create(model="my-deployment", messages=HELLO, max_tokens=4)
        assert told.model == DEPLOYED
        assert told.usage is not None
        assert told.usage.completion_tokens == 4
        parts = list(
            client.chat.completions.create(
                model="my-deployment", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
        assert parts[0].choices == []
        assert parts[0].usage is None
        assert "prompt_filter_results" in (parts[0].model_extra or {})
        assert parts[-1].usage is not None
        assert parts[-1].usage.completion_tokens == 20
        vector = client.embeddings.create(model="my-embedding", input="abcd")
        assert vector.usage.prompt_tokens == 1
        azure.next(status=429, retry_after=2)
        with pytest.raises(sdk.RateLimitError) as limited:
            client.chat.completions.create(model="my-deployment", messages=HELLO)
        assert limited.value.response.headers["retry-after-ms"] == "2000"
    entries = azure.log.settled(4)
    assert entries[0].path == "/openai/deployments/my-deployment/chat/completions"
    assert [one.model for one in entries] == ["my-deployment", "my-deployment", "my-embedding", "my-deployment"]
    assert entries[1].billed == Meters(input=3, output=20)
    assert entries[0].header("api-key") == azure.secret


def test_azure_has_openais_addresses_under_v1(azure: Upstream) -> None:
    with sdk.OpenAI(base_url=azure.url + "/openai/v1", api_key=azure.secret, max_retries=0) as client:
        told = client.responses.create(model="my-deployment", input="Say hello.")
        assert (told.model, tokens(told.output_text)) == (DEPLOYED, 20)
    assert azure.log.settled(1)[0].billed == Meters(input=3, output=20)


def test_azure_wants_a_version_a_key_and_a_deployment(azure: Upstream) -> None:
    body = {"messages": HELLO}
    with closing(connection(azure.url)) as to:

        def status(path: str, key: str) -> tuple[int, str]:
            answer = posted(to, path, body, {"api-key": key})
            return answer.status, json.loads(answer.read())["error"]["code"]

        path = "/openai/deployments/{}/chat/completions"
        assert status(path.format("d"), azure.secret) == (404, "404")
        assert status(path.format("d") + "?api-version=2024-10-21", "another") == (401, "401")
        missing = status(path.format("no-such") + "?api-version=2024-10-21", azure.secret)
        assert missing == (404, "DeploymentNotFound")


def test_gemini_tells_thoughts_apart_from_candidates(gemini: Upstream) -> None:
    gemini.next(reasoning=7, output=9, cache_read=2)
    body = {**CONTENTS, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    body["generationConfig"] = {"maxOutputTokens": 12}
    with closing(connection(gemini.url)) as to:
        told = json.loads(posted(to, GENERATE, body, {"x-goog-api-key": gemini.secret}).read())
    used = told["usageMetadata"]
    counts = ("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    assert [used[one] for one in counts] == [6, 2, 5, 7]
    assert used["totalTokenCount"] == 6 + 5 + 7
    [candidate] = told["candidates"]
    assert candidate["finishReason"] == "MAX_TOKENS"
    assert tokens(candidate["content"]["parts"][0]["text"]) == 5
    assert gemini.log.settled(1)[0].billed == Meters(input=4, cache_read=2, output=12, reasoning=7)


def test_gemini_tells_usage_in_every_chunk_of_a_stream(gemini: Upstream) -> None:
    gemini.next(reasoning=7, output=3)
    with closing(connection(gemini.url)) as to:
        answer = posted(to, STREAM, CONTENTS, {"x-goog-api-key": gemini.secret})
        chunks = [json.loads(one[6:]) for one in answer.read().decode().split("\n\n") if one]
    assert [one["usageMetadata"]["candidatesTokenCount"] for one in chunks] == [1, 2, 3, 3]
    assert [one["usageMetadata"]["thoughtsTokenCount"] for one in chunks] == [7] * 4
    assert [one["candidates"][0].get("finishReason") for one in chunks] == [None, None, None, "STOP"]
    assert gemini.log.settled(1)[0].billed == Meters(input=3, output=10, reasoning=7)


def test_gemini_calls_functions_and_counts_images_and_tokens(gemini: Upstream) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    tools = [{"functionDeclarations": [{"name": "weather"}]}]
    body = {
        "contents": [{"role": "user", "parts": [picture]}],
        "tools": tools,
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }
    key = {"x-goog-api-key": gemini.secret}
    with closing(connection(gemini.url)) as to:
        told = json.loads(posted(to, GENERATE, body, key).read())
        counted = json.loads(posted(to, GENERATE.replace("generateContent", "countTokens"), body, key).read())
    [part] = told["candidates"][0]["content"]["parts"]
    assert part["functionCall"] == {"name": "weather", "args": {"city": "Oslo"}}
    expected = IMAGE_TOKENS + tokens(json.dumps(tools, separators=(",", ":")))
    assert counted["totalTokens"] == told["usageMetadata"]["promptTokenCount"] == expected


def test_gemini_refuses_in_its_own_format(gemini: Upstream) -> None:
    with closing(connection(gemini.url)) as to:

        def refused(path: str, key: str | None) -> tuple[int, str]:
            answer = posted(to, path, CONTENTS, {"x-goog-api-key": key} if key else {})
            error = json.loads(answer.read())["error"]
            assert error["code"] == answer.status
            return answer.status, error["status"]

        assert refused(GENERATE, None) == (403, "PERMISSION_DENIED")
        assert refused(GENERATE, "another") == (400, "INVALID_ARGUMENT")
        assert refused(GENERATE.replace("gemini-2.5-flash", "no-such"), gemini.secret) == (404, "NOT_FOUND")
        gemini.next(status=429)
        assert refused(STREAM, gemini.secret) == (429, "RESOURCE_EXHAUSTED")
        gemini.next(stream_error=True)
        answer = posted(to, STREAM, CONTENTS, {"x-goog-api-key": gemini.secret})
        last = answer.read().decode().strip().rpartition("data: ")[2]
        assert (answer.status, json.loads(last)["error"]["status"]) == (200, "UNAVAILABLE")


def test_gemini_in_openais_form_leaves_thoughts_out_of_the_completion(gemini: Upstream) -> None:
    gemini.next(reasoning=7, output=9)
    gemini.next(reasoning=7, output=9)
    with sdk.OpenAI(base_url=gemini.url + "/v1beta/openai/", api_key=gemini.secret, max_retries=0) as client:
        told = client.chat.completions.create(model="gemini-2.5-flash", messages=HELLO)
        parts = list(
            client.chat.completions.create(
                model="gemini-2.5-flash", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.total_tokens) == (3, 9, 19)
    assert parts[-1].usage == told.usage
    assert [one.billed for one in gemini.log.settled(2)] == [Meters(input=3, output=16, reasoning=7)] * 2
