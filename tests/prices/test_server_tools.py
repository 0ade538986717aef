"""Searches that a provider ran are counted where a whole response tells them, each as the provider charges it."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.prices.usage import normalise


def fees(provider: str, response: dict[str, Any]) -> dict[str, object]:
    found = normalise(provider, response).meters
    return {meter: count for meter, count in found.items() if meter.endswith("searches")}


def responses(*output: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5, "total_tokens": 15}
    return {"object": "response", "model": "gpt-5", "output": [*output, {"type": "message"}], "usage": usage}


def search(action: str | None = "search", status: str = "completed") -> dict[str, Any]:
    item: dict[str, Any] = {"type": "web_search_call", "id": "ws_1", "status": status}
    return item if action is None else {**item, "action": {"type": action}}


def test_openai_charges_searches_and_not_the_pages_opened() -> None:
    response = responses(search(), search(None), search("open_page"), search("find_in_page"), search(status="failed"))
    assert fees("openai", response) == {"web_searches": 2}
    assert fees("openai", response["usage"]) == {}


def test_openai_file_searches_are_a_fee_of_their_own() -> None:
    assert fees("openai", responses({"type": "file_search_call", "status": "completed"})) == {"storage_searches": 1}


def gemini(version: str | None, *queries: str) -> dict[str, Any]:
    told = {"modelVersion": version} if version else {}
    grounding = {"webSearchQueries": list(queries)} if queries else {}
    candidate = {"content": {}, "groundingMetadata": grounding}
    return {**told, "candidates": [candidate], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}}


@pytest.mark.parametrize(
    ("version", "count"), [("gemini-3.5-flash", 2), ("gemini-2.5-flash", 1), ("models/gemini-2.0-flash", 1), (None, 2)]
)
def test_gemini_charges_prompts_up_to_2_and_queries_from_3_on(version: str | None, count: int) -> None:
    assert fees("google", gemini(version, "rust", "oxide", "")) == {"web_searches": count}
    assert fees("google", gemini(version)) == {}


def test_the_spelling_of_the_python_sdk() -> None:
    response = {
        "model_version": "gemini-3.5-flash",
        "candidates": [{"grounding_metadata": {"web_search_queries": ["rust"]}}],
        "usage_metadata": {"prompt_token_count": 10},
    }
    assert fees("google", response) == {"web_searches": 1}


def test_the_count_of_the_usage_object_is_the_one_that_is_read() -> None:
    response = {**responses(search(), search()), "usage": {"input_tokens": 1, "server_tool_use": {}}}
    response["usage"]["server_tool_use"]["web_search_requests"] = 5
    assert fees("anthropic", response) == {"web_searches": 5}


@pytest.mark.parametrize("output", ["text", None, 7, [], [None, "x", {}], [{"type": ["web_search_call"]}], {"a": 1}])
def test_other_outputs_are_no_searches(output: object) -> None:
    assert fees("openai", {**responses(), "output": output}) == {}
    broken = {"candidates": output, "usageMetadata": {"promptTokenCount": 1}, "modelVersion": output}
    assert fees("google", broken) == {}
