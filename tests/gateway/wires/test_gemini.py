"""What a call of Gemini's own API may cost, in either spelling of its names."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from outlay.gateway.wires.gemini import GEMINI_VERBS
from outlay.gateway.wires.spoken import Malformed, Spoken
from outlay.gateway.wires.wire import Beside
from outlay.prices.usage import normalise

PATH = Beside("gemini-2.5-flash")
ALL = frozenset({"audio", "image", "video"})
MADE = frozenset({"audio", "image"})


def generate(verb: str = "generateContent", **fields: Any) -> Spoken:
    return GEMINI_VERBS[verb].spoken({"contents": [{"parts": [{"text": "hi"}]}], **fields}, PATH)


def configured(**config: Any) -> Spoken:
    return generate(generationConfig=config)


def part(**fields: Any) -> Spoken:
    return generate(contents=[{"role": "user", "parts": [{"text": "look"}, fields]}])


def test_a_plain_call() -> None:
    assert generate() == Spoken("gemini-2.5-flash", output_media=MADE)
    assert generate("streamGenerateContent").stream


@pytest.mark.parametrize("key", ["generationConfig", "generation_config"])
@pytest.mark.parametrize("limit", ["maxOutputTokens", "max_output_tokens"])
@pytest.mark.parametrize("choices", ["candidateCount", "candidate_count"])
def test_names_in_either_spelling(key: str, limit: str, choices: str) -> None:
    fields: dict[str, Any] = {key: {limit: 50, choices: 3, "response_modalities": ["TEXT"]}}
    said = generate(**fields)
    assert said == Spoken("gemini-2.5-flash", max_tokens=50, choices=3)


@pytest.mark.parametrize(
    "fields",
    [
        {"generationConfig": {}, "generation_config": {"maxOutputTokens": 5}},
        {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 50000}},
        {"generationConfig": {"candidateCount": 1, "candidate_count": 8}},
        {"generationConfig": {"thinkingConfig": {}, "thinking_config": {"thinkingBudget": 5}}},
        {"serviceTier": "standard", "service_tier": "priority"},
        {"generationConfig": []},
        {"generationConfig": {"maxOutputTokens": "50"}},
        {"generationConfig": {"maxOutputTokens": True}},
        {"generationConfig": {"maxOutputTokens": 1e9}},
        {"generationConfig": {"maxOutputTokens": 2**40}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": "9"}}},
        {"model": "models/gemini-3-pro"},
        {"tools": ["googleSearch"]},
        {"tools": 5},
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        generate(**fields)


def test_a_budget_of_thoughts_is_allowed_for_on_top() -> None:
    assert configured(maxOutputTokens=100, thinkingConfig={"thinkingBudget": 40}).more_output == 40
    assert configured(thinkingConfig={"thinkingBudget": -1}).more_output == 0
    assert configured(thinkingConfig={"thinkingLevel": "high"}).more_output == 0


def test_the_model_of_the_path_may_be_said_again() -> None:
    assert generate(model="models/gemini-2.5-flash").model == "gemini-2.5-flash"


@pytest.mark.parametrize(
    ("fields", "media"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "AA"}}, {"image"}),
        ({"inline_data": {"mime_type": "audio/wav", "data": "AA"}}, {"audio"}),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "x"}}, {"audio", "video"}),
        ({"fileData": {"mimeType": "application/pdf", "fileUri": "x"}}, ALL),
        ({"fileData": {"fileUri": "x"}}, ALL),
        ({"file_data": "x"}, ALL),
        ({"brandNew": {}}, ALL),
        (
            {"functionResponse": {"name": "f", "response": {}, "parts": [{"inlineData": {"mimeType": "image/png"}}]}},
            {"image"},
        ),
        ({"functionResponse": {"name": "f", "image": "x"}}, {"image"}),
        ({"functionResponse": [[{"inlineData": {}}]]}, ALL),
    ],
)
def test_parts_beyond_text(fields: dict[str, Any], media: set[str]) -> None:
    said = part(**fields)
    assert said.not_inline is not None
    assert said.media == media


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a", "thought": True, "thoughtSignature": "AA"},
        {"thought_signature": "AA"},
        {"functionCall": {"name": "f", "args": {"inlineData": "x"}}},
        {"functionResponse": {"id": "1", "name": "f", "response": {"image": "x"}}},
        {"function_response": {"name": "f", "response": {}}},
        {"executableCode": {"code": "1"}},
        {"code_execution_result": {"output": "1"}},
    ],
)
def test_parts_that_are_text(fields: dict[str, Any]) -> None:
    assert part(**fields).not_inline is None


@pytest.mark.parametrize("contents", ["hi", {"parts": {"text": "hi"}}, [{"parts": {"text": "hi"}}], None])
def test_a_list_of_one_may_come_without_brackets(contents: object) -> None:
    assert generate(contents=contents).not_inline is None


@pytest.mark.parametrize(
    "fields",
    [
        {"contents": {"parts": {"inlineData": {}}}},
        {"contents": 5},
        {"systemInstruction": {"parts": [{"fileData": {}}]}},
        {"system_instruction": {"parts": {"file_data": {}}}},
        {"cachedContent": "cachedContents/1"},
        {"cached_content": "cachedContents/1"},
    ],
)
def test_more_than_text_is_found_wherever_it_stands(fields: dict[str, Any]) -> None:
    assert generate(**fields).not_inline is not None


def test_content_that_is_nested_without_end() -> None:
    deep: Any = {"inlineData": {}}
    for _ in range(3000):
        deep = {"parts": [deep]}
    assert generate(contents=deep).not_inline == "deeply nested content"


@pytest.mark.parametrize(
    "tool", [{"googleSearch": {}}, {"google_search": {}}, {"codeExecution": {}}, {"urlContext": {}}, {"fileSearch": {}}]
)
def test_tools_that_google_runs_have_no_limit(tool: dict[str, Any]) -> None:
    both = {"functionDeclarations": [], **tool}
    for tools in ([tool], tool, [both]):
        assert generate(tools=tools).unbounded is not None


def test_tools_that_the_caller_runs() -> None:
    assert generate(tools=[{"functionDeclarations": []}]) == generate()
    computer = generate(tools=[{"functionDeclarations": []}, {"computer_use": {}}])
    assert (computer.unbounded, computer.not_inline) == (None, "the use of a computer")
    assert generate(tools={"computerUse": {}}).not_inline is not None


@pytest.mark.parametrize(
    ("asked", "made"),
    [(["TEXT"], frozenset()), (["TEXT", "IMAGE"], {"image"}), ("AUDIO", {"audio"}), ([2], ALL), (["text"], ALL)],
)
def test_what_an_answer_may_hold(asked: object, made: set[str]) -> None:
    assert configured(responseModalities=asked).output_media == made


def test_a_limit_goes_where_the_caller_keeps_its_own_and_leaves_the_callers_alone() -> None:
    wire = GEMINI_VERBS["generateContent"]
    for key in ("generationConfig", "generation_config"):
        config = {"temperature": 1, "max_output_tokens": None}
        body: dict[str, Any] = {key: config}
        wire.limit(body, 7, "gemini", "m")
        assert body == {key: {"temperature": 1, "maxOutputTokens": 7}}
        assert config == {"temperature": 1, "max_output_tokens": None}
    body = {}
    wire.limit(body, 7, "gemini", "m")
    assert body == {"generationConfig": {"maxOutputTokens": 7}}


def test_an_answer_tells_its_usage_with_the_thoughts() -> None:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 30, "totalTokenCount": 42}
    said = GEMINI_VERBS["generateContent"].said({"usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}, {})
    assert said is not None
    assert said[1] == "gemini-2.5-flash"
    found = normalise("google", said[0], flavor="gemini")
    assert (found.input_tokens, found.output_tokens, found.reasoning_tokens) == (10, 32, 30)
    assert GEMINI_VERBS["generateContent"].said({"usageMetadata": None}, {}) is None


def test_embeddings_have_no_output_and_each_of_a_batch_may_hold_more_than_text() -> None:
    text = {"content": {"parts": [{"text": "hi"}]}}
    image = {"content": {"parts": [{"inlineData": {"mimeType": "image/png"}}]}, "model": "models/gemini-2.5-flash"}
    one = GEMINI_VERBS["embedContent"].spoken(text, PATH)
    assert (one.has_output, one.not_inline, one.rounds) == (False, None, 1)
    many = GEMINI_VERBS["batchEmbedContents"].spoken({"requests": [text, image]}, PATH)
    assert (many.has_output, many.rounds, many.media) == (False, 2, frozenset({"image"}))
    wrong: list[Any] = [{}, ["a"], [{**text, "model": "models/dear"}]]
    for requests in wrong:
        with pytest.raises(Malformed):
            GEMINI_VERBS["batchEmbedContents"].spoken({"requests": requests}, PATH)


def test_counting_is_free() -> None:
    assert GEMINI_VERBS["countTokens"].spoken({"contents": 5}, PATH).free


def test_an_error_is_googles() -> None:
    told = orjson.loads(GEMINI_VERBS["generateContent"].error(429, "quota_exceeded", "No.", {"limit": 5, "none": None}))
    assert told["error"]["code"] == 429
    assert told["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert told["error"]["message"] == "No."
    assert told["error"]["details"][0]["metadata"] == {"limit": "5"}
    assert GEMINI_VERBS["generateContent"].broken("Gone.").startswith(b'\n\ndata: {"error":')
