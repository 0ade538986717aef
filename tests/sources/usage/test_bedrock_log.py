"""A Bedrock invocation log is read from S3 and from CloudWatch alike, with the cache beside the input."""

from __future__ import annotations

import contextlib
import gzip
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from outlay.errors import UnreadableError
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise
from outlay.sources.fact_file import open_facts
from outlay.sources.usage.bedrock_log import BedrockLogReader
from tests.shared import shared
from tests.sources.usage.call_logs import FIXTURES, check, read, spoilt

READER = BedrockLogReader()
FOLDER = FIXTURES / "bedrock_log"
S3 = FOLDER / "20261005T090500000Z_8d3c5a5e.json.gz"
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in gzip.decompress(S3.read_bytes()).splitlines()]


def test_input_gains_the_cache_that_the_log_counts_beside_it() -> None:
    facts, problems = read(READER, S3)
    assert problems == []
    cached = facts[0].values
    assert cached["gen_ai_usage_input_tokens"] == 1200 + 9000 + 800
    assert cached["gen_ai_usage_cache_read_input_tokens"] == 9000
    assert cached["gen_ai_usage_cache_write_input_tokens"] == 800
    assert cached["gen_ai_usage_output_tokens"] == 350
    assert (cached["x_Meter_input"], cached["x_Meter_cache_write_5m"], cached["x_Meter_cache_write_1h"]) == (
        1200,
        300,
        500,
    )
    assert "x_Remarks" not in cached


def test_a_record_tells_who_called_what_where_and_how_long_it_took() -> None:
    facts, _ = read(READER, S3)
    first = facts[0]
    assert first.identity == "8d3c5a5e-0001-4a6e-9d3b-000000000001"
    assert (first.source, first.line) == ("aws-123456789012", 1)
    assert first.tags == {"team": "support", "use_case": "answer-tickets"}
    assert {
        "start_time": datetime(2026, 10, 5, 9, 0, 1),
        "x_Kind": "call",
        "x_Requests": 1,
        "x_Succeeded": 1,
        "x_Account": "123456789012",
        "x_User": "arn:aws:sts::123456789012:assumed-role/support-bot/session-1",
        "x_Region": "us-west-2",
        "x_DurationSeconds": Decimal("2.345"),
        "x_PriceContext": "service_tier=priority",
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "aws.bedrock",
    }.items() <= first.values.items()


def test_the_model_is_one_that_the_price_list_knows_or_none() -> None:
    facts, _ = read(READER, S3)
    assert [fact.values.get("gen_ai_response_model") for fact in facts] == [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon.titan-embed-text-v2:0",
        "claude-haiku-4-5-20251001",  # an application inference profile: only the response names its model
        "amazon.nova-lite-v1:0",
        None,  # provisioned throughput is not sold by the token
        "amazon.nova-canvas-v1:0",
    ]
    assert facts[2].values["x_Project"] == "qk2v7x1m3n5p"
    assert facts[4].values["x_Project"] == "t0p9s8q7r6u5"
    assert facts[1].values["gen_ai_request_model"] == (
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0"
    )


def test_a_profile_keeps_the_prefix_that_decides_its_price(tmp_path: Path) -> None:
    # Claude Sonnet 4.5: $3 a million tokens of input in a global profile, 10 % more in a regional one.
    usage = normalise("aws.bedrock", {"inputTokens": 1_000_000, "outputTokens": 0})
    prices = TokenPrices()
    path = tmp_path / "log.json"
    for prefix, wanted in (("global.", "3"), ("us.", "3.3")):
        model = f"arn:aws:bedrock:us-east-1:1:inference-profile/{prefix}anthropic.claude-sonnet-4-5-20250929-v1:0"
        path.write_text(json.dumps(dict(RECORDS[0], modelId=model)))
        found = read(READER, path)[0][0].values["gen_ai_response_model"]
        assert isinstance(found, str)
        assert prices.price(usage, "aws.bedrock", found, datetime(2026, 10, 5)).cost == Decimal(wanted), prefix


def test_a_failed_call_is_a_request_without_usage() -> None:
    facts, _ = read(READER, S3)
    failed = facts[3].values
    assert (failed["x_Requests"], failed["x_Succeeded"], failed["error_type"]) == (1, 0, "ThrottlingException")
    assert not [name for name in failed if name.startswith(("gen_ai_usage", "x_Meter"))]


def test_a_call_that_is_not_counted_in_tokens_says_so() -> None:
    facts, _ = read(READER, S3)
    image = facts[5].values
    assert (image["x_Succeeded"], image["x_Remarks"]) == (1, "usage-not-told")
    assert not [name for name in image if name.startswith(("gen_ai_usage", "x_Meter"))]


def test_an_embedding_has_input_only() -> None:
    facts, _ = read(READER, S3)
    embedding = facts[1].values
    assert (embedding["gen_ai_usage_input_tokens"], embedding["gen_ai_usage_output_tokens"]) == (64, 0)
    assert (embedding["gen_ai_operation_name"], embedding["start_time"]) == (
        "embeddings",
        datetime(2026, 10, 5, 9, 0, 7, 250000),
    )


def test_cloudwatch_gives_the_same_rows_as_s3() -> None:
    facts, _ = read(READER, S3)
    events, problems = read(READER, FOLDER / "filter_log_events.json")
    assert [(one.identity, one.values) for one in events] == [(one.identity, one.values) for one in facts[:2]]
    assert [(problem.code, problem.line) for problem in problems] == [("not-json", 3)]  # a message that is no record
    insights, _ = read(READER, FOLDER / "insights_results.json")
    assert [one.values for one in insights] == [facts[0].values]
    exported, problems = read(READER, FOLDER / "cloudwatch_export.log")
    assert [one.values for one in exported] == [one.values for one in facts[:3]]
    assert problems == []


def test_the_published_record_is_read() -> None:
    facts, problems = read(READER, shared("data/provider_usage/bedrock_invocation_log_converse_stream.json"))
    assert problems == []
    (fact,) = facts
    assert fact.values["gen_ai_usage_input_tokens"] == 4
    assert fact.values["gen_ai_usage_output_tokens"] == 38
    assert fact.values["x_DurationSeconds"] == Decimal("0.302")
    assert fact.values["start_time"] == datetime(2025, 3, 11, 0, 38, 2)


def test_a_bad_record_is_a_problem_and_the_rest_is_read(tmp_path: Path) -> None:
    bad = [dict(RECORDS[0], timestamp="yesterday"), dict(RECORDS[0], input={"inputTokenCount": -3}), RECORDS[1]]
    path = tmp_path / "log.json"
    path.write_text("\n".join([*map(json.dumps, bad), '{"schemaType": "ModelInvocationLog"', ""]))
    facts, problems = read(READER, path)
    assert len(facts) == 1
    assert [(problem.code, problem.line) for problem in problems] == [
        ("unparsable-time", 1),
        ("negative-quantity", 2),
        ("not-json", 4),
    ]


def test_other_files_are_not_taken_for_a_log(tmp_path: Path) -> None:
    for number, content in enumerate(
        ('{"schemaType": "Other"}', '{"a": "ModelInvocationLog"}', "a,b\nModelInvocationLog,1\n", "[]", "[1]")
    ):
        path = tmp_path / f"{number}.x"
        path.write_text(content)
        assert not READER.recognises(open_facts(path))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=spoilt(RECORDS))
def test_no_content_breaks_the_reader(tmp_path: Path, record: Any) -> None:
    path = tmp_path / "log.json"
    path.write_text("\n".join(json.dumps(one) for one in record) + "\n{}\n")
    file = open_facts(path)
    READER.recognises(file)
    with contextlib.suppress(UnreadableError):  # a first line that is a list makes a broken JSON document of it
        for one in READER.facts(file):
            check(one)
