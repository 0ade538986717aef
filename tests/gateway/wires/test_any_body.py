"""A body of any shape is a call or no call: never an error of ours, and what goes on is what was read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.gateway.wires.anthropic_messages import COUNT_TOKENS, MESSAGES
from outlay.gateway.wires.bedrock_converse import CONVERSE, CONVERSE_STREAM
from outlay.gateway.wires.bedrock_invoke import INVOKE, INVOKE_STREAM
from outlay.gateway.wires.gemini import GEMINI_VERBS
from outlay.gateway.wires.openai_chat import CHAT
from outlay.gateway.wires.openai_completions import COMPLETIONS
from outlay.gateway.wires.openai_embeddings import EMBEDDINGS
from outlay.gateway.wires.openai_responses import RESPONSES
from outlay.gateway.wires.spoken import Malformed
from outlay.gateway.wires.wire import Beside, Wire
from outlay.prices.ceiling import asked

WIRES: list[Wire] = [
    *(CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES, COUNT_TOKENS),
    *(CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM),
    *GEMINI_VERBS.values(),
]
NAMES = """
model messages input prompt suffix contents content parts role type text tools tool_choice max_tokens n best_of
max_completion_tokens max_output_tokens maxOutputTokens max_tool_calls max_uses stream stream_options include_usage
system instructions thinking budget_tokens thinking_budget thinkingConfig generationConfig generation_config
candidateCount responseModalities modalities prediction audio web_search_options service_tier serviceTier speed
inference_geo inferenceConfig maxTokens additionalModelRequestFields toolConfig toolSpec guardrailConfig
performanceConfig latency extra_body google thinking_config cachedContent requests context_management edits conversation
previous_response_id background functionDeclarations functionResponse inlineData mimeType reasoning encrypted_content
output summary name environment textGenerationConfig maxTokenCount inputText cache_control source data prompt_embeds
image_url mcp_servers container toolResult json reasoningContent promptVariables"""
KEYS = NAMES.split()
WORDS = ["message", "text", "web_search_20250305", "web_search", "function", "computer", "namespace", "shell", "user"]
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 2**63),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([*WORDS, "priority", "us", "fast", ""]),
        st.text(st.characters(blacklist_categories=["Cs"]), max_size=5),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=12,
)
FITTING = {"model": "m", "messages": [], "input": "hi", "contents": []}


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
@settings(max_examples=150, deadline=None)
@given(body=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), fitting=st.booleans())
def test_any_body_is_a_call_or_malformed(wire: Wire, body: dict[str, Any], fitting: bool) -> None:
    body = {**FITTING, **body} if fitting else body
    beside = Beside(None if wire.model_in_body else "m")
    before = orjson.dumps(body)
    asked(body)
    try:
        spoken = wire.spoken(body, beside)
    except Malformed:
        return
    assert orjson.dumps(body) == before, "reading changes nothing"
    assert spoken.choices >= 1
    assert spoken.rounds >= 1
    assert min(spoken.more_output, spoken.more_input) >= 0
    if spoken.has_output and spoken.max_tokens is None:
        sent = dict(body)
        wire.limit(sent, 77, "openai", "m")
        assert orjson.dumps(body) == before, "objects within are the caller's"
        assert wire.spoken(sent, beside).max_tokens is not None, "what was put in is a limit"
        wire.mend(sent, "openai-compatible")
        wire.ask_usage(sent)
        assert orjson.dumps(body) == before
        orjson.dumps(sent)
