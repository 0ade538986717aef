"""A path leads to its API and to nowhere else, and the model in it is one step of a provider's address."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.config.gateway import UpstreamSettings
from outlay.errors import ConfigError
from outlay.gateway.paths import like, path_of
from outlay.gateway.refusal import Refusal
from outlay.gateway.routes import Routes
from outlay.gateway.wires.spoken import Malformed

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def name_of(path: str, query: bytes = b"") -> tuple[str, str | None] | None:
    found = path_of(path, query)
    return None if found is None else (found.wire.name, found.model)


@pytest.mark.parametrize(
    ("path", "wire", "model"),
    [
        ("/v1/chat/completions", "chat", None),
        ("/v1/completions", "completions", None),
        ("/v1/embeddings", "embeddings", None),
        ("/v1/responses", "responses", None),
        ("/v1/messages", "messages", None),
        ("/v1/messages/count_tokens", "count_tokens", None),
        ("/anthropic/v1/messages", "messages", None),
        ("/openai/v1/chat/completions", "chat", None),
        ("/openai/v1/responses", "responses", None),
        ("/openai/responses", "responses", None),
        ("/openai/deployments/my-dep/chat/completions", "chat", "my-dep"),
        ("/openai/deployments/my-dep/completions", "completions", "my-dep"),
        ("/openai/deployments/my-dep/embeddings", "embeddings", "my-dep"),
        ("/v1beta/openai/chat/completions", "chat", None),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "generateContent", "gemini-2.5-flash"),
        ("/v1/models/gemini-2.5-flash:countTokens", "countTokens", "gemini-2.5-flash"),
        ("/v1beta/models/gemini-embedding-001:batchEmbedContents", "batchEmbedContents", "gemini-embedding-001"),
        ("/model/us.amazon.nova-pro-v1:0/converse", "converse", "us.amazon.nova-pro-v1:0"),
        (f"/model/{ARN}/converse-stream", "converse-stream", ARN),
        ("/model/m/invoke", "invoke", "m"),
        ("/model/m/invoke-with-response-stream", "invoke-with-response-stream", "m"),
        ("/model/m/count-tokens", "count-tokens", "m"),
    ],
)
def test_paths(path: str, wire: str, model: str | None) -> None:
    assert name_of(path) == (wire, model)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/images/generations",
        "/v1/chat/completions/",
        "/v1beta/models/m:predict",
        "/v1beta/models/a/b:generateContent",
        "/openai/deployments/m/images/generations",
        "/openai/deployments/a/b/chat/completions",
        "/model/m/async-invoke",
        "/model//converse",
    ],
)
def test_other_paths_are_none(path: str) -> None:
    assert path_of(path) is None


@pytest.mark.parametrize(
    "name", ["..", "a..b", "../../x", ".hidden", "a b", "a%2Fb", "a%252e", "a?b", "a#b", "é", "a\\b"]
)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    for path in (
        f"/model/{name}/converse",
        f"/v1beta/models/{name}:generateContent",
        f"/openai/deployments/{name}/chat/completions",
    ):
        try:
            found = path_of(path)
        except Malformed:
            continue
        assert found is None


@pytest.mark.parametrize(
    "name",
    ["arn:aws:bedrock:us-east-1:1:inference-profile/../../x", "arn:aws:s3:::bucket/x", "a/b", f"{ARN}/../x", "/x"],
)
def test_only_an_aws_resource_name_has_slashes(name: str) -> None:
    with pytest.raises(Malformed):
        path_of(f"/model/{name}/converse")


def test_a_gemini_stream_is_asked_for_as_events() -> None:
    path = "/v1beta/models/m:streamGenerateContent"
    assert name_of(path, b"alt=sse&key=x") == ("streamGenerateContent", "m")
    for query in (b"", b"alt=json", b"alt=sse&alt=json", b"ALT=sse"):
        with pytest.raises(Malformed, match="alt=sse"):
            path_of(path, query)


@pytest.mark.parametrize(
    ("path", "flavor"),
    [
        ("/v1/messages/x", "messages"),
        ("/model/m/x", "converse"),
        ("/v1beta/models/m:x", "gemini"),
        ("/v1/models/m:x", "gemini"),
        ("/v1/models/m", "chat"),
        ("/x", "chat"),
    ],
)
def test_an_unknown_path_is_refused_in_the_likeliest_format(path: str, flavor: str) -> None:
    assert like(path).flavor == flavor


def url(provider: str, base: str, wire: str, model: str, **more: Any) -> str | None:
    routes = Routes([UpstreamSettings(id="u", provider=provider, base_url=base, **more)], {})
    found = routes.upstreams["u"].url(wire, model)
    return None if found is None else str(found)


AZURE = "https://x.openai.azure.com/openai"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("provider", "base", "wire", "model", "end"),
    [
        ("openai", "https://a.test/v1/", "responses", "m", "https://a.test/v1/responses"),
        ("openai", "https://a.test/v1", "messages", "m", None),
        ("openai-compatible", "http://vllm/v1", "count_tokens", "m", "http://vllm/v1/messages/count_tokens"),
        ("anthropic", "https://a.test/v1", "count_tokens", "m", "https://a.test/v1/messages/count_tokens"),
        ("gemini", GEMINI, "chat", "m", f"{GEMINI}/openai/chat/completions"),
        ("gemini", GEMINI, "generateContent", "g-2.5", f"{GEMINI}/models/g-2.5:generateContent"),
        ("gemini", GEMINI, "streamGenerateContent", "g", f"{GEMINI}/models/g:streamGenerateContent?alt=sse"),
        ("gemini", GEMINI, "converse", "g", None),
        ("bedrock", BEDROCK, "converse", "a.b-v1:0", f"{BEDROCK}/model/a.b-v1%3A0/converse"),
        ("bedrock", BEDROCK, "invoke", ARN, f"{BEDROCK}/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/invoke"),
        ("azure", AZURE, "chat", "dep", f"{AZURE}/deployments/dep/chat/completions?api-version=2024-10-21"),
        ("azure", AZURE, "responses", "dep", None),
        ("azure", f"{AZURE}/v1", "responses", "dep", f"{AZURE}/v1/responses"),
    ],
)
def test_addresses(provider: str, base: str, wire: str, model: str, end: str | None) -> None:
    assert url(provider, base, wire, model) == end


def test_responses_of_azure_want_a_version() -> None:
    found = url("azure", AZURE, "responses", "dep", api_version="2025-04-01-preview")
    assert found == f"{AZURE}/responses?api-version=2025-04-01-preview"


@pytest.mark.parametrize("model", ["..", "a/../b", "a/b", "a?x=1", "a#b", "a b", "%2e%2e", "", "a\n"])
@pytest.mark.parametrize(
    ("provider", "base", "wire"),
    [("azure", AZURE, "chat"), ("gemini", GEMINI, "generateContent"), ("bedrock", BEDROCK, "converse")],
)
def test_no_name_of_a_model_leaves_its_place_in_an_address(provider: str, base: str, wire: str, model: str) -> None:
    with pytest.raises(Refusal, match="address"):
        url(provider, base, wire, model)


def test_an_access_key_of_aws_is_told_apart_from_an_api_key() -> None:
    one = UpstreamSettings(id="b", provider="bedrock", base_url=BEDROCK, api_key_env="K")
    with pytest.raises(ConfigError, match="access key"):
        Routes([one], {"K": "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG"})
    assert Routes([one], {"K": "ABSKQmVkcm9ja0FQSUtleQ=="}).upstreams["b"].headers
