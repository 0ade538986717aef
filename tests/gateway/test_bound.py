"""Whatever a body says, no provider that keeps to its own rules may bill more for it than what is held.

Bodies are drawn at random, with the fields that make a call dearer; beside each stands what its provider's rules let it
bill at the worst, counted by the test itself: every byte of text a token, all it may add, the dearest kind of input, as
much output as was asked for, in every answer and every round, in any tier that was not ruled out. A call without a
bound is fine: quotas refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.config.gateway import GatewaySettings, UpstreamSettings
from outlay.gateway.metering.bound import Bounds
from outlay.gateway.routes import Upstream
from outlay.gateway.wires.anthropic_messages import MESSAGES
from outlay.gateway.wires.bedrock_converse import CONVERSE
from outlay.gateway.wires.gemini import GEMINI_VERBS
from outlay.gateway.wires.openai_chat import CHAT
from outlay.gateway.wires.openai_completions import COMPLETIONS
from outlay.gateway.wires.openai_embeddings import EMBEDDINGS
from outlay.gateway.wires.openai_responses import RESPONSES
from outlay.gateway.wires.spoken import Json, Malformed
from outlay.gateway.wires.wire import Beside, Wire
from outlay.operate.quotas.window import milliseconds
from outlay.prices.ceiling import Ceilings
from outlay.prices.genai import context_window
from outlay.prices.quick import QuickPrices
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise

AT = datetime(2026, 11, 24, 12)
PRICES = TokenPrices()
CEILINGS, QUICK = Ceilings(PRICES), QuickPrices(PRICES)
SETTINGS = GatewaySettings()
HIDDEN = 1024
"""What ``hidden_tokens`` lets a provider add."""
MODELS = {
    "openai": ["gpt-5.6-sol", "gpt-5", "gpt-4o-mini"],
    "anthropic": ["claude-sonnet-4-5", "claude-opus-4-8"],
    "gemini": ["gemini-2.5-pro", "gemini-2.5-flash"],
    "bedrock": ["anthropic.claude-sonnet-4-5-20250929-v1:0"],
}
TIERS = ["default", "priority", "flex", "fast"]
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
FEW = st.one_of(st.none(), st.integers(1, 5))
TOKENS = st.one_of(st.none(), st.integers(1, 3000))
TIER = st.sampled_from([None, "auto", *TIERS])


@dataclass
class Worst:
    """What a provider's rules let it bill: ``input`` of one reading, and how often; tokens of output, and fees."""

    input: int
    output: int
    reads: int = 1
    searches: int = 0
    seen: bool = False
    """whether it looks at more than text: then it may read as much as its model can"""
    tier: object = None
    more: dict[str, Any] = field(default_factory=dict)


def weight(*texts: object) -> int:
    """The most tokens of texts: a byte each."""
    return sum(len(one.encode()) for one in texts if isinstance(one, str)) + HIDDEN


def told(body: Json, most: int | None, granted: int) -> int:
    """The output that one answer may have: what was asked for, or what the gateway put in."""
    return granted if most is None else most


def given_fields(**fields: Any) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


@st.composite
def chats(draw: st.DrawFn) -> tuple[Wire, str, Json, Any]:
    text, said, n, guess = draw(TEXT), draw(TEXT), draw(FEW), draw(st.one_of(st.none(), TEXT))
    most, older, tier, thinks = draw(TOKENS), draw(TOKENS), draw(TIER), draw(TOKENS)
    image, searches = draw(st.booleans()), draw(st.booleans())
    content: Any = [{"type": "text", "text": text}]
    content += [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}] if image else []
    body = {
        "model": draw(st.sampled_from(MODELS["openai"])),
        "messages": [{"role": "system", "content": said}, {"role": "user", "content": content}],
        **given_fields(n=n, max_completion_tokens=most, max_tokens=older, service_tier=tier, thinking_budget=thinks),
        **({"prediction": {"type": "content", "content": guess}} if guess else {}),
        **({"web_search_options": {}} if searches else {}),
    }

    def worst(granted: int) -> Worst:
        limits = [one for one in (most, older) if one is not None]
        each = told(body, max(limits, default=None), granted) + len((guess or "").encode()) + (thinks or 0)
        return Worst(weight(text, said), each * (n or 1), searches=int(searches), seen=image or searches, tier=tier)

    return CHAT, "openai", body, worst


@st.composite
def completions(draw: st.DrawFn) -> tuple[Wire, str, Json, Any]:
    prompts, suffix = draw(st.lists(TEXT, min_size=1, max_size=5)), draw(st.one_of(st.none(), TEXT))
    n, best, most, tier = draw(FEW), draw(FEW), draw(TOKENS), draw(TIER)
    body = {
        "model": draw(st.sampled_from(MODELS["openai"])),
        "prompt": prompts if draw(st.booleans()) or len(prompts) > 1 else prompts[0],
        **given_fields(n=n, best_of=best, max_tokens=most, service_tier=tier, suffix=suffix),
    }

    def worst(granted: int) -> Worst:
        read = weight(*prompts) + len((suffix or "").encode()) * len(prompts)
        answers = max(n or 1, best or 1) * len(prompts)
        return Worst(read, told(body, most, granted) * answers, tier=tier)

    return COMPLETIONS, "openai", body, worst


@st.composite
def responses(draw: st.DrawFn) -> tuple[Wire, str, Json, Any]:
    text, rules, most, tier = draw(TEXT), draw(TEXT), draw(TOKENS), draw(TIER)
    calls, tool, before = draw(st.one_of(st.none(), st.integers(0, 4))), draw(st.booleans()), draw(st.booleans())
    body = {
        "model": draw(st.sampled_from(MODELS["openai"])),
        "input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}],
        "instructions": rules,
        **given_fields(max_output_tokens=most, max_tool_calls=calls, service_tier=tier),
        **({"tools": [{"type": "web_search"}]} if tool else {}),
        **({"previous_response_id": "resp_1"} if before else {}),
    }

    def worst(granted: int) -> Worst:
        ran = (calls or 0) if tool else 0
        out = told(body, most, granted)
        return Worst(weight(text, rules), out, reads=ran + 1, searches=ran, seen=tool or before, tier=tier)

    return RESPONSES, "openai", body, worst


@st.composite
def messages(draw: st.DrawFn) -> tuple[Wire, str, Json, Any]:
    text, rules, most, thinks = draw(TEXT), draw(TEXT), draw(st.integers(0, 3000)), draw(TOKENS)
    uses, fast, where = draw(FEW), draw(st.booleans()), draw(st.sampled_from([None, "global", "us"]))
    tools = draw(st.lists(st.sampled_from(["computer_20250124", "bash_20250124", "text_editor_20250728"]), max_size=3))
    search = [{"type": "web_search_20250305", "name": "web_search", "max_uses": uses}] if uses else []
    body = {
        "model": draw(st.sampled_from(MODELS["anthropic"])),
        "max_tokens": most,
        "system": [{"type": "text", "text": rules, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": text}],
        "tools": [*({"type": one, "name": one.partition("_")[0]} for one in tools), *search],
        **given_fields(thinking={"type": "enabled", "budget_tokens": thinks} if thinks else None, inference_geo=where),
        **({"speed": "fast"} if fast else {}),
    }

    def worst(_: int) -> Worst:
        rounds = (uses or 0) + 1
        out = max(most, most + thinks if thinks and thinks >= most else 0) * rounds
        more = {"speed": "fast"} if fast else {}
        more |= {"inference_geo": where} if where else {}
        read = weight(text, rules) + 735 * len(tools)
        return Worst(read, out, reads=rounds, searches=uses or 0, seen=bool(uses), more=more)

    return MESSAGES, "anthropic", body, worst


@st.composite
def geminis(draw: st.DrawFn) -> tuple[Wire, str, Json, Any]:
    text, most, n, thinks = draw(TEXT), draw(TOKENS), draw(FEW), draw(TOKENS)
    cached, snake = draw(st.booleans()), draw(st.booleans())
    config = given_fields(**{"max_output_tokens" if snake else "maxOutputTokens": most, "candidateCount": n})
    if thinks:
        config["thinkingConfig"] = {"thinkingBudget": thinks}
    body = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": config,
        **({"cachedContent": "cachedContents/1"} if cached else {}),
    }

    def worst(granted: int) -> Worst:
        return Worst(weight(text), (told(body, most, granted) + (thinks or 0)) * (n or 1), seen=cached)

    return GEMINI_VERBS["generateContent"], "gemini", body, worst


@st.composite
def converses(draw: st.DrawFn) -> tuple[Wire, str, Json, Any]:
    text, most, thinks, more = draw(TEXT), draw(TOKENS), draw(TOKENS), draw(TOKENS)
    body: Json = {
        "messages": [{"role": "user", "content": [{"text": text}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}],
        "inferenceConfig": given_fields(maxTokens=most),
        "additionalModelRequestFields": given_fields(
            max_tokens=more, thinking={"type": "enabled", "budget_tokens": thinks} if thinks else None
        ),
    }

    def worst(granted: int) -> Worst:
        out = max(told(body, most, granted), more or 0)
        return Worst(weight(text), out + (thinks if thinks and thinks >= out else 0))

    return CONVERSE, "bedrock", body, worst


@st.composite
def embeddings(draw: st.DrawFn) -> tuple[Wire, str, Json, Any]:
    texts, pictures = draw(st.lists(TEXT, min_size=1, max_size=6)), draw(st.integers(0, 2))
    given_input = [*texts, *({"type": "image_url", "image_url": "x"} for _ in range(pictures))]
    body = {"model": "text-embedding-3-small", "input": given_input}

    def worst(_: int) -> Worst:
        return Worst(weight(*texts), 0, reads=len(given_input) if pictures else 1, seen=bool(pictures))

    return EMBEDDINGS, "openai", body, worst


def bills(provider: str, model: str, worst: Worst) -> list[Json]:
    """The dearest usages that a provider may answer with, as it says them: all input of one kind, in each tier."""
    window = context_window(UPSTREAMS[provider].priced_as, model) or 1_048_576
    read = (window if worst.seen else min(worst.input, window)) * worst.reads
    found: list[Json] = []
    for tier in TIERS if worst.tier in (None, "auto", "fast") else {"default", str(worst.tier)}:
        if provider == "anthropic":
            for kind in ({"input_tokens": read}, {"cache_creation": {"ephemeral_1h_input_tokens": read}}):
                written = read if "cache_creation" in kind else 0
                usage: Json = {"input_tokens": 0, "cache_creation_input_tokens": written, **kind, **worst.more}
                usage |= {"output_tokens": worst.output, "server_tool_use": {"web_search_requests": worst.searches}}
                found.append({"usage": usage})
        elif provider == "bedrock":
            usage = {"inputTokens": 0, "outputTokens": worst.output, "cacheWriteInputTokens": read}
            found.append({"usage": usage | {"cacheDetails": [{"ttl": "1h", "inputTokens": read}]}})
        elif provider == "gemini":
            usage = {"promptTokenCount": read, "candidatesTokenCount": 0, "thoughtsTokenCount": worst.output}
            found.append({"usageMetadata": usage})
        else:
            for written in (0, read):
                details = {"cached_tokens": 0, "cache_write_tokens": written}
                usage = {"prompt_tokens": read, "completion_tokens": worst.output, "prompt_tokens_details": details}
                found.append({"usage": usage, "service_tier": tier})
    return found


def upstream(provider: str) -> Upstream:
    models = ("*",)
    return Upstream(UpstreamSettings(id="u", provider=provider, base_url="https://x.test", models=models), (), {})


UPSTREAMS = {provider: upstream(provider) for provider in MODELS}
FLAVORS = {"openai": "chat", "anthropic": "messages", "gemini": "gemini", "bedrock": "converse"}


@settings(max_examples=1500, deadline=None)
@given(st.one_of(chats(), completions(), responses(), messages(), geminis(), converses(), embeddings()), st.data())
def test_no_provider_may_bill_more_than_is_held(drawn: tuple[Wire, str, Json, Any], data: st.DataObject) -> None:
    wire, provider, body, worst_of = drawn
    model = body["model"] if "model" in body else data.draw(st.sampled_from(MODELS[provider]))
    raw = orjson.dumps(body)
    try:
        spoken = wire.spoken(orjson.loads(raw), Beside(None if "model" in body else model))
    except Malformed:
        return
    ask = Bounds(CEILINGS, SETTINGS).ask(
        "h",
        {},
        spoken,
        orjson.loads(raw),
        size=len(raw),
        upstream=UPSTREAMS[provider],
        model=model,
        now=milliseconds(AT),
    )
    granted = data.draw(st.integers(ask.least, ask.most)) if ask.least < ask.most else ask.most
    bound, worst = ask.bound(granted), worst_of(granted)
    for told_usage in bills(provider, model, worst):
        usage = normalise(UPSTREAMS[provider].priced_as, told_usage, flavor=FLAVORS[provider])
        if provider == "openai" and worst.searches:
            usage = normalise("openai", {**told_usage, "output": [{"type": "web_search_call"}] * worst.searches})
        if "tokens" in bound:
            assert usage.input_tokens + usage.output_tokens <= bound["tokens"], told_usage
        if "USD" in bound:
            cost = QUICK.cost(usage, UPSTREAMS[provider].priced_as, model, AT)
            assert cost.amount is not None, cost.why
            assert cost.amount <= bound["USD"], told_usage
