"""What a body says of how much it may cost is never less than what a provider may bill for it."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.gateway.wires.anthropic_messages import COUNT_TOKENS, MESSAGES
from outlay.gateway.wires.openai_chat import CHAT
from outlay.gateway.wires.openai_completions import COMPLETIONS
from outlay.gateway.wires.openai_embeddings import EMBEDDINGS
from outlay.gateway.wires.openai_responses import RESPONSES
from outlay.gateway.wires.spoken import Malformed, Spoken
from outlay.gateway.wires.wire import Beside, Wire

HI = [{"role": "user", "content": "hi"}]
ALL = frozenset({"audio", "image", "video"})


def chat(**fields: Any) -> Spoken:
    return CHAT.spoken({"model": "m", "messages": HI, **fields})


def responses(**fields: Any) -> Spoken:
    return RESPONSES.spoken({"model": "m", "input": "hi", **fields})


def completions(**fields: Any) -> Spoken:
    return COMPLETIONS.spoken({"model": "m", "prompt": "hi", **fields})


def messages(**fields: Any) -> Spoken:
    return MESSAGES.spoken({"model": "m", "messages": HI, "max_tokens": 10, **fields})


def embeddings(**fields: Any) -> Spoken:
    return EMBEDDINGS.spoken({"model": "m", "input": "hi", **fields})


def parts(*content: object) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def test_a_plain_call_is_text_alone_and_asks_for_no_number() -> None:
    assert chat() == Spoken("m")
    assert responses() == Spoken("m")
    assert completions() == Spoken("m")
    assert messages() == Spoken("m", max_tokens=10)
    assert embeddings() == Spoken("m", max_tokens=0, has_output=False)


def test_a_path_that_names_the_model_goes_before_the_body() -> None:
    body = {"model": "cheap", "messages": HI, "prompt": "hi", "input": "hi"}
    wires: tuple[Wire, ...] = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES)
    for wire in wires:
        assert wire.spoken(body, Beside("deployed")).model == "deployed"


def test_of_two_limits_the_larger_holds_as_a_server_may_know_only_that() -> None:
    assert chat(max_tokens=900, max_completion_tokens=10).max_tokens == 900
    assert chat(max_tokens=None, max_completion_tokens=10).max_tokens == 10


@pytest.mark.parametrize("value", [True, 1.5, "10", 0, -1, [], {}, 2**31, 10**30, float("inf")])
@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "n"])
def test_a_number_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(Malformed, match=key):
        chat(**{key: value})


@pytest.mark.parametrize("value", [1, "true", 0, [], "yes"])
def test_a_stream_is_asked_for_with_true_or_not_at_all(value: object) -> None:
    for call in (chat, responses, completions, messages):
        with pytest.raises(Malformed, match="stream"):
            call(stream=value)
        assert call(stream=True).stream
        assert not call(stream=None).stream


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": None},
        {"messages": {"role": "user"}},
        {"messages": ["hi"]},
        {"messages": [None]},
        {"model": None},
        {"model": ""},
        {"model": 5},
        {"tools": {"0": {"type": "function"}}},
        {"tools": ["web_search"]},
        {"tools": [{"type": ["function"]}]},
        {"tools": [{"type": 5}]},
    ],
)
def test_a_body_that_is_no_call_is_refused_and_never_an_error_of_ours(fields: dict[str, Any]) -> None:
    for call in (chat, messages):
        with pytest.raises(Malformed):
            call(**fields)


@pytest.mark.parametrize("value", ["text", 5, {"audio": 1}, True])
def test_modalities_are_a_list(value: object) -> None:
    with pytest.raises(Malformed, match="modalities"):
        chat(modalities=value)


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}, {"image"}),
        ({"type": "input_audio", "input_audio": {}}, {"audio"}),
        ({"type": "video_url", "video_url": {}}, {"audio", "video"}),
        ({"type": "file", "file": {"file_id": "f"}}, ALL),
        ({"type": "brand_new"}, ALL),
        ({"type": ["text"]}, ALL),
        ({"type": 5}, ALL),
        ({"image_url": "https://x.test/a.png"}, ALL),
        ({"text": "see", "image": "https://x.test/a.png"}, ALL),
        (5, ALL),
    ],
)
def test_what_is_not_known_to_be_text_is_more_than_its_bytes(part: object, media: set[str]) -> None:
    said = chat(messages=parts({"type": "text", "text": "look"}, part))
    assert said.not_inline is not None
    assert said.media == media


def test_text_in_parts_is_text() -> None:
    content = parts({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"text": "b"}, "c")
    assert chat(messages=content).not_inline is None


@pytest.mark.parametrize("content", [5, True, {"image_url": "x"}, {"type": "image_url"}])
def test_a_content_of_another_type_is_no_text(content: object) -> None:
    assert chat(messages=[{"role": "user", "content": content}]).not_inline is not None


def test_content_that_is_nested_without_end_is_neither_followed_nor_taken_for_text() -> None:
    deep: Any = {"type": "image"}
    for _ in range(3000):
        deep = {"type": "tool_result", "content": [deep]}
    assert messages(messages=parts(deep)).not_inline == "deeply nested content"
    assert chat(messages=parts(deep)).not_inline == "deeply nested content"
    assert responses(input=[deep]).not_inline == "deeply nested content"


def test_an_answer_that_is_named_by_its_id_is_more_than_its_bytes() -> None:
    assert chat(messages=[{"role": "assistant", "audio": {"id": "audio_1"}}]).media == {"audio"}


def test_choices_are_made_each() -> None:
    assert chat(n=7).choices == 7
    assert completions(n=2, best_of=5).choices == 5
    assert completions(n=2, prompt=["a", "b", "c"]).choices == 6
    assert completions(n=2, prompt=[[1, 2], [3]]).choices == 4
    assert completions(prompt=[1, 2, 3]).choices == 1
    assert completions(prompt=[1, "a", True]).rounds == 3
    assert completions(prompt=[True, False]).rounds == 2


def test_a_prompt_that_is_no_text_is_bounded_by_what_the_model_reads_each_time() -> None:
    said = completions(prompt=["a", {"image": "x"}], n=3)
    assert (said.choices, said.rounds, said.media) == (3, 2, ALL)
    assert completions(prompt_embeds=["x", "y"]).rounds == 3
    assert completions(prompt=5).not_inline is not None
    assert completions(prompt=None).not_inline is None


def test_a_prediction_that_is_rejected_is_billed_on_top() -> None:
    prediction = {"type": "content", "content": "x" * 1000}
    assert chat(prediction=prediction, max_tokens=5).more_output > 1000


def test_audio_that_is_asked_for_has_its_own_price() -> None:
    assert chat(modalities=["text", "audio"]).output_media == {"audio"}
    assert chat(modalities=["text"]).output_media == frozenset()
    assert chat(modalities=["hologram"]).output_media == ALL


def test_a_search_of_the_chat_api_is_one_and_brings_pages() -> None:
    said = chat(web_search_options={})
    assert said.tools == ("web_searches",)
    assert said.not_inline
    assert said.unbounded is None


@pytest.mark.parametrize(
    "tool", [{"type": "web_search"}, {"type": "mcp", "server_url": "x"}, {"googleSearch": {}}, {"type": "functions"}]
)
def test_tools_that_the_provider_runs_leave_a_chat_without_a_bound(tool: dict[str, Any]) -> None:
    assert chat(tools=[tool]).unbounded is not None


def test_tools_that_the_caller_runs_are_text() -> None:
    mine = [{"type": "function", "function": {"name": "f"}}, {"function": {"name": "g"}}, {"type": "custom"}]
    assert chat(tools=mine) == Spoken("m")
    assert messages(tools=[{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]).tools == ()


@pytest.mark.parametrize(
    "key",
    ["models", "fallbacks", "plugins", "preset", "search_parameters", "enable_search", "data_sources", "dataSources"],
)
def test_a_server_that_may_take_another_model_leaves_a_call_without_a_bound(key: str) -> None:
    for call in (chat, completions, responses, messages, embeddings):
        assert call(**{key: ["dear"]}).unbounded is not None


@pytest.mark.parametrize("key", ["documents", "chat_template", "chat_template_kwargs"])
def test_a_prompt_that_the_server_makes_is_more_than_its_bytes(key: str) -> None:
    assert chat(**{key: "{% for i in range(9999) %}a{% endfor %}"}).not_inline == key


def test_a_cache_that_is_named_in_geminis_extra_body_is_more_than_its_bytes() -> None:
    assert chat(extra_body={"google": {"cached_content": "cachedContents/1"}}).not_inline
    assert chat(extra_body={"google": {"thinking_config": {}}}).not_inline is None


def test_a_tier_in_a_spelling_that_the_provider_does_not_read_is_refused() -> None:
    for call in (chat, responses, completions, messages, embeddings):
        with pytest.raises(Malformed, match="service_tier"):
            call(serviceTier="default")


# Responses


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"id": "msg_1"}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]},
        {"input": [{"type": "message", "role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        {"input": 5},
        {"instructions": [{"type": "input_image"}]},
    ],
)
def test_what_stands_at_the_provider_is_more_than_its_bytes(fields: dict[str, Any]) -> None:
    assert responses(**fields).not_inline is not None


def test_items_whose_text_is_there_are_text() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "fine"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
    ]
    assert responses(input=items) == Spoken("m")


def test_rounds_are_the_calls_of_tools_and_one_more() -> None:
    said = responses(tools=[{"type": "web_search"}, {"type": "file_search"}], max_tool_calls=3)
    assert (said.rounds, said.tools, said.unbounded) == (4, ("storage_searches", "web_searches"), None)
    assert said.not_inline is not None
    assert responses(tools=[{"type": "web_search"}], max_tool_calls=0).rounds == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "image_generation"}], "max_tool_calls": 1},
        {"tools": [{"type": "mcp"}], "max_tool_calls": 1},
        {"tools": [{"type": "shell"}], "max_tool_calls": 1},
        {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}], "max_tool_calls": 1},
        {"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}], "max_tool_calls": 1},
        {"tools": [{}], "max_tool_calls": 1},
        {"context_management": [{"type": "compaction", "compact_threshold": 1000}]},
        {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]},
    ],
)
def test_what_no_field_limits_has_no_bound(fields: dict[str, Any]) -> None:
    assert responses(**fields).unbounded is not None


def test_tools_of_a_response_that_the_caller_runs() -> None:
    mine = [
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "namespace", "tools": [{"type": "function", "name": "f"}]},
    ]
    assert responses(tools=mine) == Spoken("m")
    for kind in ("computer", "computer_use_preview"):
        said = responses(tools=[{"type": kind}])
        assert (said.not_inline, said.unbounded) == ("the use of a computer", None)


def test_a_prompt_that_the_provider_keeps_may_bring_tools() -> None:
    assert responses(prompt={"id": "pmpt_1"}).unbounded is not None


def test_a_model_that_searches_whatever_it_is_asked_is_charged_a_search() -> None:
    said = chat(model="gpt-4o-search-preview")
    assert (said.tools, said.unbounded) == (("web_searches",), None)
    assert said.not_inline
    assert chat(model="sonar-deep-research").unbounded is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking_budget": 5000},
        {"extra_body": {"google": {"thinking_config": {"thinking_budget": 5000}}}},
        {"extra_body": {"thinking_budget": 5000}},
    ],
)
def test_what_is_thought_beside_the_limit_is_on_top(fields: dict[str, Any]) -> None:
    assert chat(max_tokens=10, **fields).more_output == 5000
    assert chat(thinking_budget=-1).more_output == 0
    with pytest.raises(Malformed):
        chat(thinking_budget="many")


def test_a_suffix_is_read_with_each_prompt() -> None:
    said = completions(prompt=["a", "b", "c"], suffix="x" * 1000, n=2)
    assert (said.rounds, said.choices) == (3, 2)
    assert completions(prompt="a", suffix="x" * 1000).rounds == 1


def test_tools_of_anthropics_that_the_caller_runs_bring_a_prompt() -> None:
    tools = [{"type": "computer_20250124", "name": "computer"}, {"type": "bash_20250124"}, {"name": "f"}]
    tools[2] |= {"input_schema": {}}  # type: ignore[dict-item]
    assert messages(tools=tools).more_input == 4_000
    assert messages(tools=tools[2:]).more_input == 0


def test_an_answer_in_the_background_is_refused() -> None:
    with pytest.raises(Malformed, match="background"):
        responses(background=True)


# Messages


def test_a_search_of_messages_is_limited_by_its_uses_and_what_is_refused_is_a_round_too() -> None:
    said = messages(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}])
    assert (said.rounds, said.tools, said.unbounded) == (11, ("web_searches",), None)
    two = [{"type": "web_search_20250305", "max_uses": 9}, {"type": "web_fetch_20250910", "max_uses": 3}]
    assert (messages(tools=two).rounds, messages(tools=two).tools) == (25, ("web_fetches", "web_searches"))


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search_20250305"}]},
        {"tools": [{"type": "code_execution_20250825"}]},
        {"tools": [{"type": "advisor_20260301", "max_uses": 1}]},
        {"tools": [{"type": "tool_search_tool_regex"}]},
        {"tools": [{"type": "mcp_toolset"}]},
        {"mcp_servers": [{"url": "https://x.test"}]},
        {"container": "c_1"},
        {"compaction": {"type": "summarize"}},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        {"context_management": "auto"},
        {"fallbacks": "default"},
        {"thread": {"id": "t"}},
        {"messages": parts({"type": "tool_addition", "tool": {"type": "web_search_20250305"}})},
    ],
)
def test_what_may_run_more_than_the_model_has_no_bound(fields: dict[str, Any]) -> None:
    assert messages(**fields).unbounded is not None


def test_a_change_of_the_context_that_only_takes_away_is_bounded() -> None:
    assert messages(context_management={"edits": [{"type": "clear_tool_uses_20250919"}]}) == messages()


def test_thinking_between_tools_may_come_on_top() -> None:
    assert messages(max_tokens=100, thinking={"type": "enabled", "budget_tokens": 50}).more_output == 0
    assert messages(max_tokens=100, thinking={"type": "enabled", "budget_tokens": 100}).more_output == 100
    assert messages(max_tokens=None, thinking={"type": "enabled", "budget_tokens": 50}).more_output == 50
    with pytest.raises(Malformed, match="budget_tokens"):
        messages(thinking={"budget_tokens": "many"})
    with pytest.raises(Malformed, match="thinking"):
        messages(thinking=["enabled"])


def test_a_cache_is_filled_without_an_answer() -> None:
    assert messages(max_tokens=0).max_tokens == 0


@pytest.mark.parametrize("kind", ["image", "document", "search_result", "web_search_tool_result", "container_upload"])
def test_blocks_beyond_text_are_found_in_the_system_and_in_results_of_tools(kind: str) -> None:
    assert messages(system=[{"type": kind}]).not_inline == kind
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a"}, {"type": kind}]}
    assert messages(messages=parts(result)).not_inline == kind


def test_counting_is_free_whatever_it_counts() -> None:
    said = COUNT_TOKENS.spoken({"model": "m", "messages": parts({"type": "image"}), "tools": [{"type": "mcp_toolset"}]})
    assert said == Spoken("m", max_tokens=0, has_output=False, free=True)


# Embeddings


def test_inputs_of_embeddings() -> None:
    assert embeddings(input=["a", "b"]).not_inline is None
    assert embeddings(input=[1, 2, 3]).not_inline is None
    assert embeddings(input=[[1, 2], [3]]).not_inline is None
    assert (embeddings(input=["a", {"image": "x"}]).rounds, embeddings(input=[[1, {"image": "x"}]]).rounds) == (2, 1)
    assert embeddings(input=[[1, {"image": "x"}]]).not_inline is not None
    assert embeddings(messages=HI).not_inline == "messages"
    with pytest.raises(Malformed, match="input"):
        EMBEDDINGS.spoken({"model": "m"})
