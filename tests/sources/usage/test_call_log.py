"""Each log of calls is taken by exactly one reader, and a call within a call is a row of its own."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.errors import UnreadableError
from outlay.prices.usage import normalise
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import FactReader, Value
from outlay.sources.usage.azure_openai_metrics import AzureOpenAIMetricsReader
from outlay.sources.usage.bedrock_log import BedrockLogReader
from outlay.sources.usage.call_log import (
    call_rows,
    cost,
    fingerprint,
    milliseconds,
    read_usage,
    seconds,
    strings,
    text,
    whole,
)
from outlay.sources.usage.gemini_usage import GeminiUsageReader
from outlay.sources.usage.langfuse_export import LangfuseReader
from outlay.sources.usage.litellm_spend import LiteLLMSpendReader
from outlay.sources.usage.llm_trace import LLMTraceReader
from tests.sources.usage.call_logs import FIXTURES, check

READERS: dict[str, FactReader] = {
    "azure_openai_metrics": AzureOpenAIMetricsReader(),
    "bedrock_log": BedrockLogReader(),
    "gemini_usage": GeminiUsageReader(),
    "langfuse": LangfuseReader(),
    "litellm_spend": LiteLLMSpendReader(),
    "llm_trace": LLMTraceReader(),
}
FILES = sorted(path for path in FIXTURES.parent.rglob("*.*") if path.suffix != ".md")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FIXTURES.parent)))
def test_a_file_is_taken_by_its_reader_alone(path: Path) -> None:
    try:
        file = open_facts(path)
    except UnreadableError:  # a fixture of something else that is no text
        return
    wanted = [path.parent.name] if path.parent.parent == FIXTURES and path.parent.name in READERS else []
    assert [name for name, reader in READERS.items() if reader.recognises(file)] == wanted


def test_a_call_within_a_call_is_priced_apart_and_counts_as_no_request() -> None:
    usage = normalise(
        "anthropic",
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "service_tier": "priority",
            "iterations": [
                {"type": "message", "input_tokens": 10, "output_tokens": 5},
                {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2518, "output_tokens": 22},
            ],
        },
    )
    values: dict[str, Value] = {
        "gen_ai_response_model": "claude-sonnet-5",
        "x_Succeeded": 1,
        "x_DurationSeconds": Decimal(3),
        "x_ReportedCost": Decimal(1),
        "x_ReportedCurrency": "USD",
        "x_User": "ana",
    }
    outer, inner = call_rows("id", 1, values, usage, tags={"team": "a"}, source="s")
    check(outer)
    check(inner)
    assert (outer.identity, inner.identity) == ("id", "id#advisor_message-1")
    assert (outer.values["gen_ai_usage_input_tokens"], inner.values["gen_ai_usage_input_tokens"]) == (10, 2518)
    assert inner.values["gen_ai_response_model"] == "claude-opus-4-8"
    assert (outer.values["x_Requests"], inner.values["x_Requests"]) == (1, 0)
    assert (inner.values["x_User"], inner.tags, inner.source) == ("ana", {"team": "a"}, "s")
    assert inner.values["x_PriceContext"] == "service_tier=priority"
    assert not {"x_Succeeded", "x_DurationSeconds", "x_ReportedCost", "x_ReportedCurrency"} & set(inner.values)


def test_texts_that_no_table_can_hold_are_mended_or_refused() -> None:
    assert text(" a ") == "a"
    assert text("\ud800x") == "?x"
    assert text("a\0b") == "ab"
    assert text(7) == "7"
    nothing: list[object] = ["", "  ", "\0", None, True, 1.5, [], {}, 2**70]
    assert [text(one) for one in nothing] == [None] * 9
    assert strings({"a": "b", "n": 1, "t": True, "d": Decimal("1.50"), "x": {}, "y": None, "": "z"}) == {
        "a": "b",
        "n": "1",
        "t": "true",
        "d": "1.50",
    }


def test_numbers_that_are_none_are_refused() -> None:
    assert [whole(one) for one in ("12", " -3 ", 5)] == [12, -3, 5]
    assert [whole(one) for one in ("1.5", "", "x", "٣", "9" * 30, True, None, Decimal(1))] == [None] * 8
    assert seconds("1.5") == Decimal("1.5")
    assert milliseconds(Decimal("1234.5678")) == Decimal("1.234568")
    assert [seconds(one) for one in (-1, "NaN", 10**12, None, "1e999999")] == [None] * 5
    assert cost("1.152e-05") == Decimal("0.00001152")
    assert [cost(one) for one in ("1e99", "x", None, True)] == [None] * 4


def test_a_record_without_an_id_is_known_by_its_content() -> None:
    assert fingerprint({"a": 1, "b": Decimal("1.0")}) == fingerprint({"b": Decimal("1.0"), "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert fingerprint(deep).startswith("sha256-")


def test_usage_that_can_not_be_read_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({}))
    file = open_facts(path)
    nested: dict[str, object] = {"input_tokens": 1}
    for _ in range(2000):
        nested = {"input_tokens": 1, "iterations": [{"type": "x", **nested}]}
    for raw, code in (
        ({"input_tokens": -1}, "negative-quantity"),
        ({"input_tokens": "1"}, "unparsable-amount"),
        ({"input_tokens": 2**80}, "unparsable-amount"),
        ({"prompt_tokens": 1, "cost": True}, "unparsable-amount"),
        (nested, "unparsable-amount"),
    ):
        found = read_usage(file, 3, "anthropic", raw)
        assert getattr(found, "code", None) == code
        assert getattr(found, "line", None) == 3
