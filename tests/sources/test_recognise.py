"""A row is AI when the bill says so, for a reason that is named; what the bill does not say stays None."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.sources.recognise import SKU_COLUMNS, Recognised, Sku, recognise
from tests.shared import shared

DRAFT = "data/focus/focus_spec_ai_draft"


def rows_of(path: Path) -> Iterator[tuple[dict[str, str], Sku]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            known = {name: value for name, value in row.items() if value not in (None, "", "NULL", "null")}
            known.setdefault("ServiceProviderName", known.get("ProviderName", ""))
            yield row, Sku(*(known.get(name) or None for name in SKU_COLUMNS))


def meter(
    text: str, unit: str | None = "1K tokens", *, provider: str = "AWS", service: str = "Amazon Bedrock"
) -> Recognised:
    return recognise(Sku(ServiceProviderName=provider, ServiceName=service, SkuMeter=text, PricingUnit=unit))


def azure(text: str, unit: str = "1K") -> Recognised:
    return meter(text, unit, provider="Microsoft", service="Azure OpenAI")


def google(text: str, unit: str = "count", service: str = "Vertex AI") -> Recognised:
    return recognise(
        Sku(ServiceProviderName="Google Cloud", ServiceName=service, ChargeDescription=text, PricingUnit=unit)
    )


def ec2(text: str, unit: str = "Hours", service: str = "Amazon Elastic Compute Cloud") -> Recognised:
    return meter(text, unit, service=service)


# The worked examples of the FOCUS draft


def tokens_by(file: str) -> dict[tuple[str | None, str | None, str | None], Decimal]:
    """Tokens by model, direction and cache action, counted from both quantities, which must agree."""
    found: Counter[tuple[str | None, str | None, str | None]] = Counter()
    totals: dict[tuple[str | None, str | None, str | None], Decimal] = {}
    for row, sku in rows_of(shared(f"{DRAFT}/{file}")):
        said = recognise(sku)
        if said.tokens_per_pricing_unit is None:
            continue
        assert said.tokens_per_consumed_unit is not None
        assert said.consumed_is_tokens
        tokens = Decimal(row["PricingQuantity"]) * said.tokens_per_pricing_unit
        assert tokens == Decimal(row["ConsumedQuantity"]) * said.tokens_per_consumed_unit
        key = (said.model_id, said.token_direction, said.token_cache_action)
        found[key] += 1
        totals[key] = totals.get(key, Decimal(0)) + tokens
    return totals


def test_multi_model_usage_has_its_direction_from_the_meter() -> None:
    assert tokens_by("multi_model_usage.csv") == {
        ("solora-atlas-5.5", "Input", "Uncached"): 10_000_000,
        ("solora-atlas-5.5", "Output", None): 2_000_000,
        ("solora-atlas-5.4-mini", "Input", "Uncached"): 3_000_000,
        ("solora-atlas-5.4-mini", "Output", None): 500_000,
    }


def test_prompt_caching_counts_no_token_hours() -> None:
    """76.2 % of the input came from the cache; the 6,000,000 Token-Hours of keeping it are no tokens."""
    model = "latticescale.solora-reasoning-pro"
    found = tokens_by("ai_prompt_caching_b.csv")
    assert found == {
        (model, "Input", "Uncached"): 2_500_000,
        (model, "Input", "Read"): 8_000_000,
        (model, "Output", None): 1_500_000,
    }
    storage = [recognise(sku) for row, sku in rows_of(shared(f"{DRAFT}/ai_prompt_caching_b.csv"))][3]
    assert (storage.ai_category, storage.token_direction) == ("tokens", None)
    assert storage.tokens_per_pricing_unit is storage.tokens_per_consumed_unit is None
    assert storage.model_id == model


def test_marketplace_tokens_keep_their_maker() -> None:
    """The seller is Aura Web, the maker Solora AI."""
    assert tokens_by("cached_tokens_via_csp_marketplace.csv") == {
        ("solora-neptune-5.0", "Input", "Read"): 50_000_000,
        ("solora-neptune-5.0", "Input", "Write"): 15_000_000,
    }
    for _, sku in rows_of(shared(f"{DRAFT}/cached_tokens_via_csp_marketplace.csv")):
        said = recognise(sku)
        assert (said.model_developer, said.model_family, said.model_version) == ("Solora AI", "Solora Neptune", "5.0")
        assert said.reason == "SkuPriceDetails.ModelId"


def test_a_prepaid_commitment_is_ai_but_no_tokens() -> None:
    file = "drawdown_via_prepayment_foundation_model_api.csv"
    assert tokens_by(file) == {
        ("solora-saturn-5.0", "Input", "Uncached"): 5_000_000,
        ("solora-saturn-5.0", "Output", None): 1_500_000,
    }
    purchase = recognise(next(rows_of(shared(f"{DRAFT}/{file}")))[1])
    assert (purchase.is_ai, purchase.ai_category, purchase.workload_kind) == (True, "ai_other", "other")


def test_eligibility_example_is_not_ai() -> None:
    assert not any(
        recognise(sku).is_ai for _, sku in rows_of(shared(f"{DRAFT}/coverage_rate_eligibility_adjusted.csv"))
    )


# Real and synthetic bills


def test_the_real_sample_has_seventeen_ai_rows() -> None:
    """8 rows g5.4xlarge, filed under Compute, and 9 of Azure Machine Learning; the other 983 are not AI.

    Two of those are g3.4xlarge: NVIDIA M60 cards, without matrix units, sold for drawing.
    """
    path = shared("data/focus/focus_sample_data/focus_sample_1000_v1.0.csv")
    found = [(row, recognise(sku)) for row, sku in rows_of(path)]
    ai = [(row, said) for row, said in found if said.is_ai]
    assert Counter((said.ai_category, said.reason) for _, said in ai) == {
        ("gpu_compute", "instance type g5.4xlarge"): 8,
        ("ml_platform", "service Azure Machine Learning"): 9,
    }
    gpu_rows = [(row, said) for row, said in ai if said.ai_category == "gpu_compute"]
    for row, said in gpu_rows:
        assert row["ServiceCategory"] == "Compute"
        assert (said.instance_type, said.gpu_type, said.gpu_count) == ("g5.4xlarge", "A10G", Decimal(1))
        assert said.workload_kind == "other"
    hours = sum(Decimal(row["PricingQuantity"]) * (said.gpu_hours_per_pricing_unit or 0) for row, said in gpu_rows)
    assert hours == Decimal("6.283056")
    assert sum("g3.4xlarge" in row["ChargeDescription"] for row, _ in found) == 2


@pytest.mark.parametrize("version", ["1_2", "1_3"])
@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_bills_without_ai_have_none(version: str, cloud: str) -> None:
    path = shared(f"data/focus/focus_data_toolkit_generated/focus_{version}_cost_and_usage_{cloud}.csv")
    assert [recognise(sku).reason for _, sku in rows_of(path) if recognise(sku).is_ai] == []


def test_a_virtual_currency_called_token_is_no_token() -> None:
    """FOCUS 1.2's examples sell a coin by the ``Token`` and describe its use as Token Consumption."""
    folder = shared("data/focus/focus_spec_v1.2")
    files = sorted(folder.glob("virtual_currency_*.csv"))
    assert files
    for file in files:
        assert not any(recognise(sku).is_ai for _, sku in rows_of(file)), file.name


# Keys of SkuPriceDetails


@pytest.mark.parametrize(
    ("details", "direction", "cache_action"),
    [
        ('{"TokenDirection": "Input"}', "Input", "Uncached"),
        ('{"TokenDirection": "Input", "TokenCacheAction": "Uncached"}', "Input", "Uncached"),
        ('{"TokenDirection": "Input", "TokenCacheAction": "Read"}', "Input", "Read"),
        ('{"TokenDirection": "Output"}', "Output", None),
        ('{"TokenDirection": "Output", "TokenCacheAction": "Read"}', "Output", None),
        ('{"x_TokenDirection": "input", "x_TokenCacheAction": "WRITE"}', "Input", "Write"),
        ('{"TOKENDIRECTION": "OUTPUT"}', "Output", None),
        ('{"TokenType": "Input"}', "Input", "Uncached"),
        ('{"TokenType": "CacheRead"}', "Input", "Read"),
        ('{"x_token_type": "Cache Write"}', "Input", "Write"),
        ('{"TokenType": "Output"}', "Output", None),
        ('{"TokenDirection": "Sideways"}', None, None),
        ('{"TokenDirection": ["Input"]}', None, None),
    ],
)
def test_draft_keys_in_all_spellings(details: str, direction: str | None, cache_action: str | None) -> None:
    said = recognise(Sku(ServiceName="Tokens Inc", PricingUnit="1M tokens", SkuPriceDetails=details))
    assert said.ai_category == "tokens"
    assert (said.token_direction, said.token_cache_action) == (direction, cache_action)


def test_keys_win_over_the_meters_name() -> None:
    said = recognise(
        Sku(
            SkuMeter="gpt-4o-2024-08-06, output",
            PricingUnit="1M tokens",
            SkuPriceDetails='{"x_ModelId": "own", "x_ModelDeveloper": "Us", "TokenDirection": "Input",'
            ' "x_ServiceTier": "Batch"}',
        )
    )
    assert (said.model_id, said.model_developer, said.model_version) == ("own", "Us", None)
    assert (said.token_direction, said.service_tier) == ("Input", "batch")


@pytest.mark.parametrize(
    "details", ["{broken", "[]", "3", '"{}"', "{" * 100_000, '{"GpuCount": NaN}', '{"GpuCount": "-8"}']
)
def test_broken_details_are_no_evidence(details: str) -> None:
    assert recognise(Sku(SkuPriceDetails=details)) == recognise(Sku())


# AWS tokens


@pytest.mark.parametrize(
    ("text", "model", "direction", "cache_action", "tier"),
    [
        ("USE1-Claude3Sonnet-input-tokens", "Claude3Sonnet", "Input", "Uncached", "standard"),
        ("USE1-NovaPro-cache-read-input-token-count", "NovaPro", "Input", "Read", "standard"),
        ("USE1-NovaPro-cache-write-input-token-count", "NovaPro", "Input", "Write", "standard"),
        ("EUW2-Mixtral8x7B-output-tokens", "Mixtral8x7B", "Output", None, "standard"),
        ("USE1-Llama4-Maverick-17B-input-tokens-batch", "Llama4-Maverick-17B", "Input", "Uncached", "batch"),
        ("EU-Qwen3-32B-output-tokens-batch", "Qwen3-32B", "Output", None, "batch"),
        ("GPT-OSS-Safeguard-20B-input-tokens-priority", "GPT-OSS-Safeguard-20B", "Input", "Uncached", "priority"),
        ("USE1-Gemma-3-4B-IT-input-tokens-flex", "Gemma-3-4B-IT", "Input", "Uncached", "flex"),
        ("USE1-Nova2.0Pro-text-input-tokens-cross-region-global", "Nova2.0Pro", "Input", "Uncached", "standard"),
        (
            "USE1-openai.gpt-oss-120b-mantle-input-tokens-standard",
            "openai.gpt-oss-120b",
            "Input",
            "Uncached",
            "standard",
        ),
        ("USE1-TitanEmbeddingV2-Text-input-tokens", "TitanEmbeddingV2", "Input", "Uncached", "standard"),
    ],
)
def test_bedrock_usage_types(text: str, model: str, direction: str, cache_action: str | None, tier: str) -> None:
    said = meter(text)
    assert (said.ai_category, said.workload_kind, said.reason) == ("tokens", "inference", "service Amazon Bedrock")
    assert (said.model_id, said.token_direction, said.token_cache_action) == (model, direction, cache_action)
    assert (said.service_tier, said.tokens_per_pricing_unit) == (tier, Decimal(1000))


@pytest.mark.parametrize(
    ("usage", "direction", "cache_action", "tier"),
    [
        ("USW2-MP:USW2_InputTokenCount-Units", "Input", "Uncached", "standard"),
        ("USE1-MP:USE1_OutputTokenCount_Global_Batch-Units", "Output", None, "batch"),
        ("USE1-MP:USE1_CacheReadInputTokenCount_Global-Units", "Input", "Read", "standard"),
        ("USE1-MP:USE1_CacheWrite1hInputTokenCount-Units", "Input", "Write", "standard"),
        ("USE1-MP:USE1_input_tokens_global_standard-Units", "Input", "Uncached", "standard"),
        ("USE1-MP:USE1_cache_write_tokens_1h_global_standard-Units", "Input", "Write", "standard"),
        ("USE1-MP:USE1_output_tokens_priority-Units", "Output", None, "priority"),
    ],
)
def test_bedrock_marketplace_usage_types(usage: str, direction: str, cache_action: str | None, tier: str) -> None:
    said = meter(usage, "1M tokens", service="Claude Sonnet 4.6 (Amazon Bedrock Edition)")
    assert (said.model_developer, said.model_family, said.model_id) == ("Anthropic", "Claude", "Claude Sonnet 4.6")
    assert (said.token_direction, said.token_cache_action, said.service_tier) == (direction, cache_action, tier)


@pytest.mark.parametrize(
    ("description", "tokens"),
    [
        ("AWS Marketplace software usage|us-east-1|Million Response Tokens Regional CRIS", 1_000_000),
        ("AWS Marketplace software usage|us-east-1|Price per 1 million output tokens", 1_000_000),
        ("AWS Marketplace software usage|us-east-1|thousand Cache Read Input Tokens Regional", 1000),
        ("AWS Marketplace software usage|us-east-1|Output Tokens - Standard, Global", None),
        (None, None),
    ],
)
def test_marketplace_units_are_what_the_description_says(description: str | None, tokens: int | None) -> None:
    """``Units`` are millions on some rows and thousands on others; without a word for it nobody knows."""
    said = recognise(
        Sku(
            ServiceProviderName="AWS",
            ServiceName="Claude Haiku 4.5 (Amazon Bedrock Edition)",
            SkuMeter="USE1-MP:USE1_OutputTokenCount-Units",
            PricingUnit="Units",
            ConsumedUnit="Units",
            ChargeDescription=description,
        )
    )
    assert said.ai_category == "tokens"
    assert said.tokens_per_pricing_unit == said.tokens_per_consumed_unit == tokens


def test_bedrock_in_a_description_alone() -> None:
    said = recognise(
        Sku(
            ServiceProviderName="AWS",
            ServiceName="Amazon Bedrock",
            SkuId="3G679R3Y8YSQSJTA",
            PricingUnit="1K tokens",
            ChargeDescription="$0.00800 per 1K tokens for Claude2.0-input-tokens inUS East (N. Virginia)",
        )
    )
    assert (said.model_id, said.token_direction, said.tokens_per_pricing_unit) == ("Claude2.0", "Input", Decimal(1000))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("USE1-Nova2.0Lite-ProvisionedThroughput-NoCommit-ModelUnits", "Hours"),
        ("USE1-qwen.qwen3-coder-next-reserved-input-tpm", "Units"),
        ("USE1-MP:USE1_Reserved_1Month_InputTPM_Geo-Units", "1M TPM Hour"),
    ],
)
def test_bedrock_provisioned_throughput(text: str, unit: str) -> None:
    said = meter(text, unit)
    assert (said.ai_category, said.service_tier) == ("provisioned_throughput", "provisioned")
    assert said.tokens_per_pricing_unit is None
    assert said.token_direction is None


def test_bedrock_training_tokens_are_training() -> None:
    said = meter("USE1-Nova2.0Lite-Customization-Training")
    assert (said.ai_category, said.workload_kind, said.token_direction) == ("tokens", "training", None)


# Azure tokens


@pytest.mark.parametrize(
    ("text", "model", "version", "kind"),
    [
        ("gpt 4o 0513 Input global Tokens", "gpt-4o", "0513", ("Input", "Uncached", "standard")),
        ("gpt-4o-2024-08-06 input tokens", "gpt-4o-2024-08-06", "2024-08-06", ("Input", "Uncached", "standard")),
        ("gpt-4o-mini-0718-Inp-glbl Tokens", "gpt-4o-mini", "0718", ("Input", "Uncached", "standard")),
        ("gpt-4o-mini-0718-Outp-regnl Tokens", "gpt-4o-mini", "0718", ("Output", None, "standard")),
        ("gpt 4o 0806 cached Inp regnl Tokens", "gpt-4o", "0806", ("Input", "Read", "standard")),
        ("gpt-4o-0806-Batch-Outp-glbl Tokens", "gpt-4o", "0806", ("Output", None, "batch")),
        ("gpt 4o mini0718 BatchOutp DataZone Tokens", "gpt-4o-mini", "0718", ("Output", None, "batch")),
        ("GPT 5 Chat outpt Glbl 1M Tokens", "gpt-5-chat", None, ("Output", None, "standard")),
        ("gpt-5-codex-ccchd-inp-glbl Tokens", "gpt-5-codex", None, ("Input", "Read", "standard")),
        ("5.4 mini cd Inp Gl 1M Tokens", "5.4-mini", None, ("Input", "Read", "standard")),
        ("5.6 sol ShortCo Cd Wr Std Gl 1M Tokens", "5.6-sol", None, ("Input", "Write", "standard")),
        ("5.4 pp opt Gl 1M Tokens", "5.4", None, ("Output", None, "priority")),
        ("GPT 5.1 in Rg 1M Tokens", "gpt-5.1", None, ("Input", "Uncached", "standard")),
        ("gpt-4-32K-Inp-glbl Tokens", "gpt-4-32k", None, ("Input", "Uncached", "standard")),
        ("V4 Flash cached glbl Tokens", "v4-flash", None, ("Input", "Read", "standard")),
        ("text-embedding-3-large-glbl Tokens", "text-embedding-3-large", None, (None, None, "standard")),
    ],
)
def test_azure_openai_meters(
    text: str, model: str, version: str | None, kind: tuple[str | None, str | None, str]
) -> None:
    """``kind`` is direction, cache action and tier."""
    said = azure(text, "1M" if "1M" in text else "1K")
    assert (said.ai_category, said.model_id, said.model_version) == ("tokens", model, version)
    assert (said.token_direction, said.token_cache_action, said.service_tier) == kind
    assert said.tokens_per_pricing_unit == (1_000_000 if "1M" in text else 1000)


def test_azure_units_without_a_block_are_not_counted() -> None:
    """FOCUS exports of Azure write ``Units`` for a block of 1K; the block is elsewhere on the row, not in the SKU."""
    said = azure("gpt 4.1 Inp regnl Tokens", "Units")
    assert (said.ai_category, said.token_direction) == ("tokens", "Input")
    assert said.tokens_per_pricing_unit is None


def test_azure_meters_that_sell_no_tokens() -> None:
    unit = azure("Provisioned Managed Global Unit", "1/Hour")
    assert (unit.ai_category, unit.service_tier) == ("provisioned_throughput", "provisioned")
    for text, measure in (
        ("Speech-Text to Speech-global Characters", "1M"),
        ("Image-Dall-E-3 Std LowRes-regnl EP Images", "100"),
    ):
        said = azure(text, measure)
        assert (said.ai_category, said.workload_kind, said.tokens_per_pricing_unit) == ("ai_other", "inference", None)
    assert azure("Assistants-File Search-glbl GB", "1 GB/Day").workload_kind == "other"
    training = azure("gpt-4o-0806-FT-Trng-glbl tkn Tokens")
    assert (training.workload_kind, training.token_direction) == ("training", None)


# Google tokens


@pytest.mark.parametrize(
    ("text", "model", "direction", "cache_action", "tier"),
    [
        ("Gemini 2.0 Flash Text Input - Predictions", "gemini-2.0-flash", "Input", "Uncached", "standard"),
        ("Gemini 2.5 Flash GA Thinking Text Output - Predictions", "gemini-2.5-flash", "Output", None, "standard"),
        ("Gemini 2.5 Flash Text Output (Thinking On) - Batch Predictions", "gemini-2.5-flash", "Output", None, "batch"),
        ("Gemini 3.7 Flash Text Input Priority - Predictions", "gemini-3.7-flash", "Input", "Uncached", "priority"),
        ("Gemini 3 Flash Text Input Caching", "gemini-3-flash", "Input", "Read", "standard"),
        ("Gemini 2.5 Pro Input Text Caching (Long)", "gemini-2.5-pro", "Input", "Read", "standard"),
        (
            "Generate content output token count gemini 2.5 flash short input text",
            "gemini-2.5-flash",
            "Output",
            None,
            "standard",
        ),
        (
            "Generate content cached input token count gemini 2.5 flash lite input short text",
            "gemini-2.5-flash-lite",
            "Input",
            "Read",
            "standard",
        ),
        (
            "GenerateContent text output token count for Gemini 2.0 Flash",
            "gemini-2.0-flash",
            "Output",
            None,
            "standard",
        ),
    ],
)
def test_gemini_skus(text: str, model: str, direction: str, cache_action: str | None, tier: str) -> None:
    said = google(text)
    assert (said.ai_category, said.model_developer, said.model_id) == ("tokens", "Google", model)
    assert (said.token_direction, said.token_cache_action, said.service_tier) == (direction, cache_action, tier)
    assert said.tokens_per_pricing_unit == 1


@pytest.mark.parametrize(
    ("text", "unit", "category", "workload"),
    [
        ("Gemini 1.5 Flash Text Input - Predictions", "count", "ai_other", "inference"),
        ("Gemini 3 Flash Text Input Caching Storage", "h", "tokens", "inference"),
        ("Cached content storage token hours", "hour", "tokens", "inference"),
        ("Vertex AI: Provisioned Throughput 1 month", "mo", "provisioned_throughput", "inference"),
        ("Vertex AI: Training/Pipelines on N1 Predefined Instance Core running in X", "h", "ml_platform", "training"),
    ],
)
def test_google_charges_that_are_no_tokens(text: str, unit: str, category: str, workload: str) -> None:
    """Gemini 1.5 was billed by the character, and keeping a cache by the hour."""
    said = google(text, unit)
    assert (said.ai_category, said.workload_kind, said.tokens_per_pricing_unit) == (category, workload, None)
    assert said.token_direction is None


# Vendors


@pytest.mark.parametrize(
    ("text", "unit", "direction", "cache_action", "tokens"),
    [
        ("gpt-4o-2024-08-06, input", "tokens", "Input", "Uncached", 1),
        ("gpt-4o-2024-08-06, cached input", "1000_tokens", "Input", "Read", 1000),
        ("gpt-4o-2024-08-06, output", None, "Output", None, None),
    ],
)
def test_openai_line_items(
    text: str, unit: str | None, direction: str, cache_action: str | None, tokens: int | None
) -> None:
    said = meter(text, unit, provider="OpenAI", service="OpenAI API")
    assert (said.ai_category, said.model_id, said.model_version) == ("tokens", "gpt-4o-2024-08-06", "2024-08-06")
    assert (said.token_direction, said.token_cache_action) == (direction, cache_action)
    assert said.tokens_per_pricing_unit == tokens


def test_a_vendors_other_charges_are_ai() -> None:
    said = meter("assistants api | file search", "gibibyte_hours", provider="OpenAI", service="OpenAI API")
    assert (said.ai_category, said.workload_kind, said.reason) == ("ai_other", "other", "provider OpenAI")
    write = meter("Claude Sonnet 4.5 Cache Write 5m", "1M Tokens", provider="Anthropic", service="Claude API")
    assert (write.model_id, write.token_direction, write.token_cache_action) == ("claude-sonnet-4.5", "Input", "Write")


PLAN = "msft-sonnet-4-6-flat-100"


@pytest.mark.parametrize(
    ("text", "model", "direction", "cache_action"),
    [
        (f"Claude Sonnet 4.6 - {PLAN} - paygo-inference-input-tokens", "Claude Sonnet 4.6", "Input", "Uncached"),
        (f"Claude Sonnet 4.6 - {PLAN} - paygo-inference-cache-hit-tokens", "Claude Sonnet 4.6", "Input", "Read"),
        (f"Claude Sonnet 4.6 - {PLAN} - paygo-inference-output-tokens", "Claude Sonnet 4.6", "Output", None),
        ("Cohere Command R+ - cohere-plan - paygo-inf-output-tokens", "Cohere Command R+", "Output", None),
        ("paygo-inference-output-tokens", None, "Output", None),  # the offer stands elsewhere, in no fixed form
    ],
)
def test_a_model_of_azures_marketplace_is_the_offer_of_its_meter(
    text: str, model: str | None, direction: str, cache_action: str | None
) -> None:
    said = meter(text, "1K", provider="Microsoft", service="Azure Marketplace")
    assert (said.ai_category, said.workload_kind, said.model_id) == ("tokens", "inference", model)
    assert (said.token_direction, said.token_cache_action) == (direction, cache_action)
    assert (said.tokens_per_pricing_unit, said.reason) == (Decimal(1000), f"meter {text}")


@pytest.mark.parametrize("hosting", ["Azure", "Anthropic"])
def test_consumption_units_are_claude_and_tell_no_model(hosting: str) -> None:
    text = f"Claude in Microsoft Foundry ({hosting} hosted) - claude-ccu-plan - claude-consumption-units"
    said = meter(text, "per 1 ccu", provider="Microsoft", service="Azure Marketplace")
    assert (said.ai_category, said.workload_kind) == ("ai_other", "inference")
    assert (said.model_developer, said.model_family, said.model_id) == ("Anthropic", "Claude", None)
    assert (said.token_direction, said.tokens_per_pricing_unit) == (None, None)


def test_a_marketplace_is_not_ai_as_a_whole() -> None:
    for text in ("Firewall - annual - per seat", "paygo-hours", "Backup - paygo - gb"):
        assert not meter(text, "1 Hour", provider="Microsoft", service="Azure Marketplace").is_ai


def test_tokens_of_an_unknown_seller_are_found_by_their_meter() -> None:
    said = meter("gpt-4o-mini-0718-Outp-glbl Tokens", "1K", provider="A reseller", service="AI")
    assert (said.ai_category, said.token_direction) == ("tokens", "Output")
    assert said.reason == "token meter gpt-4o-mini-0718-Outp-glbl Tokens"


@pytest.mark.parametrize(
    "sku",
    [
        Sku(ServiceName="Auth0", SkuMeter="M2M Tokens", PricingUnit="1000 Tokens"),
        Sku(ServiceName="Sign-in", ServiceCategory="Identity", PricingUnit="1000 Tokens"),
        Sku(ServiceName="Coins", PricingUnit="Token", SkuMeter="Token"),
        Sku(ServiceName="AWS Security Token Service", PricingUnit="Requests", SkuMeter="Security token requests"),
        Sku(ServiceName="Amazon DynamoDB", SkuMeter="USE1-ProvisionedThroughput", PricingUnit="Hours"),
        Sku(
            ServiceName="Amazon Elastic File System", ChargeDescription="Provisioned Throughput", PricingUnit="MBps-Mo"
        ),
    ],
)
def test_other_tokens_and_other_throughput(sku: Sku) -> None:
    assert not recognise(sku).is_ai


# Accelerators


@pytest.mark.parametrize(
    ("usage", "hours"),
    [
        ("USE1-BoxUsage:p5.48xlarge", 8),
        ("BoxUsage:p5.48xlarge", 8),
        ("USE1-SpotUsage:p5.48xlarge", 8),
        ("USE1-DedicatedUsage:p5.48xlarge", 8),
        ("USE1-UnusedBox:p5.48xlarge", None),
        ("USE1-Reservation:p5.48xlarge", None),
        ("USE1-HeavyUsage:p5.48xlarge", None),
        ("USE1-EBSOptimized:p5.48xlarge", None),
    ],
)
def test_ec2_usage_types_give_hours_in_use_once(usage: str, hours: int | None) -> None:
    said = ec2(usage)
    assert (said.is_ai, said.ai_category, said.workload_kind) == (True, "gpu_compute", "other")
    assert (said.instance_type, said.gpu_type, said.gpu_count) == ("p5.48xlarge", "H100", Decimal(8))
    assert said.gpu_hours_per_pricing_unit == hours
    assert said.reason == "instance type p5.48xlarge"


@pytest.mark.parametrize(
    "description",
    [
        "USD 0.0 per 2000 Mbps per p5.48xlarge instance-hour (or partial hour)",
        "USD 23.1 hourly fee per Linux/UNIX (Amazon VPC), p5.48xlarge instance",
        "$98.32 per Unused Reservation Linux p5.48xlarge Instance Hour",
        "AWS Marketplace hourly software usage|us-east-1|p5.48xlarge",
    ],
)
def test_descriptions_of_fees_give_no_hours(description: str) -> None:
    said = recognise(Sku(ServiceProviderName="AWS", PricingUnit="Hours", ChargeDescription=description))
    assert (said.gpu_type, said.gpu_hours_per_pricing_unit) == ("H100", None)


def test_a_service_on_top_of_an_instance_does_not_count_it_again() -> None:
    assert ec2("USE1-BoxUsage:p3.2xlarge", service="Amazon Elastic MapReduce").gpu_hours_per_pricing_unit is None


@pytest.mark.parametrize(
    ("unit", "hours"),
    [("Hrs", 8), ("1 Hour", 8), ("100 Hours", 800), ("1 Month", None), ("Quantity", None), (None, None)],
)
def test_gpu_hours_follow_the_unit(unit: str | None, hours: int | None) -> None:
    assert ec2("USE1-BoxUsage:p5.48xlarge", unit or "").gpu_hours_per_pricing_unit == hours


def test_a_type_that_the_table_lacks_is_reported() -> None:
    said = ec2("USE1-BoxUsage:p7.48xlarge")
    assert (said.is_ai, said.instance_type, said.gpu_type, said.gpu_count) == (True, "p7.48xlarge", None, None)
    assert said.gpu_hours_per_pricing_unit is None
    assert "not in the GPU table" in said.reason


def test_the_bills_own_gpu_count_wins_unless_it_is_zero() -> None:
    def counted(details: str) -> tuple[Decimal | None, Decimal | None]:
        said = recognise(Sku(ServiceProviderName="AWS", PricingUnit="Hours", SkuPriceDetails=details))
        return said.gpu_count, said.gpu_hours_per_pricing_unit

    assert counted('{"InstanceType": "p5.48xlarge", "GpuCount": "4"}') == (Decimal(4), Decimal(4))
    assert counted('{"InstanceType": "g6f.large", "GpuCount": 0}') == (Decimal("0.125"), Decimal("0.125"))
    assert counted('{"instancetype": "hgx-h200", "x_GpuCount": 8}') == (Decimal(8), Decimal(8))
    assert counted('{"InstanceType": "m6i.large", "CoreCount": 2}') == (None, None)


@pytest.mark.parametrize(
    ("usage", "category", "workload", "gpu_type"),
    [
        ("USE1-Train:ml.p4d.24xlarge", "gpu_compute", "training", "A100-40GB"),
        ("USE1-SpotTraining:ml.p3.2xlarge", "gpu_compute", "training", "V100-16GB"),
        ("USE1-Host:ml.g5.xlarge", "gpu_compute", "inference", "A10G"),
        ("APN1-AsyncInf:ml.g6.xlarge", "gpu_compute", "inference", "L4"),
        ("USE1-Cluster:ml.p5.48xlarge", "gpu_compute", "other", "H100"),
        ("EU-Studio:JupyterLab-ml.g4dn.xlarge", "gpu_compute", "data", "T4"),
        ("USE1-Notebk:ml.t3.medium", "ml_platform", "data", None),
        ("EU-Processing:ml.m5.large", "ml_platform", "data", None),
        ("USE1-ServerlessInf:Mem-2GB", "ml_platform", "inference", None),
        ("USE1-Train:ml.m5.large", "ml_platform", "training", None),
    ],
)
def test_sagemaker_components(usage: str, category: str, workload: str, gpu_type: str | None) -> None:
    said = ec2(usage, "Hrs", service="Amazon SageMaker")
    assert (said.ai_category, said.workload_kind, said.gpu_type) == (category, workload, gpu_type)


@pytest.mark.parametrize(
    ("text", "instance_type", "gpu_type", "hours"),
    [
        ("ND96isr H100 v5", "Standard_ND96isr_H100_v5", "H100", "8"),
        ("ND96isrH100v5 Spot", "Standard_ND96isr_H100_v5", "H100", "8"),
        (
            "Virtual Machines NVadsA10 v5 Series - NV6ads A10 v5 - US East",
            "Standard_NV6ads_A10_v5",
            "A10",
            "0.166666666667",
        ),
        ("Virtual Machines ND Series - ND999isr H100 v9", "ND999isr H100 v9", None, None),
    ],
)
def test_azure_virtual_machines(text: str, instance_type: str, gpu_type: str | None, hours: str | None) -> None:
    said = meter(text, "1 Hour", provider="Microsoft", service="Virtual Machines")
    assert (said.ai_category, said.instance_type, said.gpu_type) == ("gpu_compute", instance_type, gpu_type)
    assert said.gpu_hours_per_pricing_unit == (Decimal(hours) if hours else None)


@pytest.mark.parametrize("text", ["NV12s v3", "NV8as v4", "Standard_NP20s", "D11 v2/DS11 v2", "NV32 v9"])
def test_azure_machines_for_drawing_are_not_ai(text: str) -> None:
    assert not meter(text, "1 Hour", provider="Microsoft", service="Virtual Machines").is_ai


def test_azure_machine_learning_is_a_platform() -> None:
    said = meter("P6 LRS", "Units/Month", provider="Microsoft", service="Azure Machine Learning")
    assert (said.ai_category, said.workload_kind) == ("ml_platform", "other")


@pytest.mark.parametrize(
    ("text", "gpu_type", "hours"),
    [
        ("Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Americas", "H100", 1),
        ("Nvidia H100 Mega 80GB GPU attached to DWS Defined Duration VMs running in Americas", "H100", 1),
        ("Nvidia Tesla A100 GPU running in Americas", "A100-40GB", 1),
        ("Nvidia Tesla A100 80GB GPU running in EMEA", "A100-80GB", 1),
        ("A4 Nvidia B200 (1 gpu slice) running in Americas", "B200", 1),
        ("Commitment v1: Nvidia H100 80GB GPU in Americas for 1 Year", "H100", None),
        ("A2 Instance Core running in Americas", None, None),
        ("A3Plus Instance Ram running in Americas", None, None),
        ("Tpu-v5e in Americas", "TPU-v5e", None),
    ],
)
def test_google_bills_gpus_apart_from_the_machine(text: str, gpu_type: str | None, hours: int | None) -> None:
    said = google(text, "hour", "Compute Engine")
    assert (said.ai_category, said.gpu_type, said.gpu_hours_per_pricing_unit) == ("gpu_compute", gpu_type, hours)
    assert not google("E2 Instance Core running in Americas", "hour", "Compute Engine").is_ai


def test_vertex_gpus_know_their_workload() -> None:
    said = google("Vertex AI: Online/Batch Prediction Nvidia H100 80gb GPU running in Iowa", "h")
    assert (said.ai_category, said.workload_kind, said.gpu_hours_per_pricing_unit) == (
        "gpu_compute",
        "inference",
        Decimal(1),
    )


def test_a_core_of_a_gpu_machine_has_no_gpu_hours() -> None:
    said = recognise(
        Sku(
            ServiceProviderName="Google Cloud",
            ChargeDescription="A2 Instance Core running in Americas",
            SkuPriceDetails='{"InstanceType": "a2-highgpu-8g"}',
            PricingUnit="hour",
        )
    )
    assert (said.gpu_type, said.gpu_count, said.gpu_hours_per_pricing_unit) == ("A100-40GB", Decimal(8), None)


def test_oracle_prices_by_the_gpu_hour() -> None:
    def hours(unit: str, details: str) -> Decimal | None:
        sku = Sku(ServiceProviderName="Oracle", ServiceName="COMPUTE", PricingUnit=unit, SkuPriceDetails=details)
        return recognise(sku).gpu_hours_per_pricing_unit

    assert hours("GPU Per Hour", '{"InstanceType": "BM.GPU.H100.8"}') == 1
    assert hours("Hours", '{"InstanceType": "BM.GPU.H100.8"}') is None
    assert hours("Hours", '{"InstanceType": "BM.GPU.H100.8", "GpuCount": 8}') == 8


def test_gpus_of_other_clouds_are_found_by_their_unit() -> None:
    said = meter("NVIDIA HGX H100 80GB on demand", "GPU-Hours", provider="A GPU cloud", service="Compute")
    assert (said.gpu_type, said.gpu_hours_per_pricing_unit, said.reason) == ("H100", Decimal(1), "unit GPU-Hours")


@pytest.mark.parametrize(
    "text",
    ["InstanceUsage:db.r6g.large", "USE1-stream.graphics.g4dn.xlarge", "BoxUsage:g3.4xlarge", "BoxUsage:m5.large"],
)
def test_instances_that_are_not_ai(text: str) -> None:
    assert not ec2(text).is_ai


# Properties


FRAGMENTS = st.sampled_from(
    [
        "AWS", "Microsoft", "Google Cloud", "OpenAI", "Amazon Bedrock", "Vertex AI",
        "p5.48xlarge", "NV6ads A10 v5", "Nvidia H100 GPU", "gemini 2.5 flash", "Input Tokens", "cached",
        "1K", "1M tokens", "0.5 tokens", "Units", "Hours", "seconds", "1000000000000000000 Hours", "9" * 400,
        '{"GpuCount": 9999, "ModelId": "x"}',
    ]
)  # fmt: skip


@given(st.lists(st.none() | st.text() | FRAGMENTS, min_size=11, max_size=11))
def test_never_raises_and_always_fits_the_ledger(values: list[str | None]) -> None:
    said = recognise(Sku(*values))
    assert said.reason
    assert said.is_ai == (said.ai_category is not None) == (said.workload_kind is not None)
    if said.ai_category != "tokens":
        assert said.tokens_per_pricing_unit is None
    if said.token_direction != "Input":
        assert said.token_cache_action is None
    for tokens in (said.tokens_per_pricing_unit, said.tokens_per_consumed_unit):
        assert tokens is None or (tokens == tokens.to_integral_value() and 0 < tokens <= 10**15)
    for value, places, most in ((said.gpu_count, 4, 10**5), (said.gpu_hours_per_pricing_unit, 6, 10**6)):
        assert value is None or (0 <= value < most and value == round(value, places))


@pytest.mark.parametrize(
    "fragment", ["a-", "nvidia h100 ", "-input-tokens", "tokens for A", "ml.p5-", "1 million ", "g" * 9]
)
def test_a_hostile_text_costs_little(fragment: str) -> None:
    text = fragment * (1_000_000 // len(fragment))
    start = time.process_time()
    recognise(Sku(ServiceProviderName="AWS", ServiceName="Amazon Bedrock", SkuMeter=text, SkuId=text, PricingUnit=text))
    recognise(Sku(ServiceProviderName="Google Cloud", SkuMeter=text, ChargeDescription=text))
    assert time.process_time() - start < 1


def test_the_examples_of_the_reference_page() -> None:
    """Each row of the page's table, said again from what is recognised."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "recognition.md"
    table = page.read_text(encoding="utf-8").split("## Examples")[1].split("## Tokens")[0]
    rows = [[cell.strip().strip("`") for cell in line.strip("| \n").split(" | ")] for line in table.splitlines()]
    examples = [row for row in rows if len(row) >= 6 and row[0] not in ("provider", "---")]
    assert len(examples) == 20
    for provider, service, text, unit, *expected in examples:
        said = recognise(
            Sku(ServiceProviderName=provider, ServiceName=service, ChargeDescription=text, PricingUnit=unit)
            if text.startswith("$")
            else Sku(ServiceProviderName=provider, ServiceName=service, SkuMeter=text, PricingUnit=unit)
        )
        bought = " ".join(filter(None, (said.token_direction, said.token_cache_action, said.service_tier)))
        if said.tokens_per_pricing_unit is not None:
            bought += f", {said.tokens_per_pricing_unit} a unit"
        if said.gpu_type:
            hours = said.gpu_hours_per_pricing_unit
            bought = said.gpu_type if hours is None else f"{hours:.0f} {said.gpu_type} hours a unit"
        assert [said.ai_category, said.workload_kind, bought] == [*expected, ""][:3], text
