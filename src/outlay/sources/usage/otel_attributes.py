"""What the attributes of GenAI telemetry are called: the convention's names, the ones before, and the vendors' own.

The OpenTelemetry GenAI conventions are in development and have renamed much (``gen_ai.system`` to
``gen_ai.provider.name``, cache creation to cache write); OpenLLMetry (traceloop), OpenLIT, the Vercel AI SDK,
OpenInference, Strands, Pydantic AI and Langfuse have names beside them. Everything here is data: a new name is a line.
The names of usage counts are the dialect ``opentelemetry`` of :mod:`outlay.prices.usage_shapes`.

An attribute is read only if it is named here. So prompts, completions, tool arguments and whatever else of a
conversation an emitter records never get past :func:`route`.
"""

from __future__ import annotations

from outlay.prices.usage_shapes import SHAPES
from outlay.spool.kinds import EVENT_ATTRIBUTE

__all__ = [
    "ALIASES",
    "CACHE_BESIDE",
    "CACHE_INSIDE",
    "CALL_LOCAL",
    "EMBEDDINGS",
    "ESTIMATES_STREAMS",
    "FACT",
    "FIGURE",
    "FIGURES",
    "FIRST_TOKEN_EVENTS",
    "LONGEST_TAG",
    "MODEL_OPERATIONS",
    "OPERATIONS",
    "OUTER_OPERATIONS",
    "OWN_TAG",
    "TAG",
    "USAGE",
    "USAGE_FACTS",
    "Route",
    "resource_tag",
    "route",
]

USAGE, FACT, FIGURE, TAG, OWN_TAG = "usage", "fact", "figure", "tag", "own tag"

USAGE_FACTS: dict[str, str] = {
    path[0]: fact
    for shape in SHAPES
    if shape.name == "opentelemetry"
    for fact, paths in shape.paths.items()
    for path in paths
    if isinstance(path[0], str)
}
"""Attribute -> which count it is."""

ALIASES: dict[str, tuple[str, ...]] = {
    "operation": ("gen_ai.operation.name", "ai.operationId", "openinference.span.kind", "llm.request.type"),
    "outer": ("traceloop.span.kind",),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"),
    "request_model": (
        "gen_ai.request.model",
        "ai.model.id",
        "llm.request.model_name",
        "llm.request.model",
        "langfuse.observation.model.name",
    ),
    "response_model": (
        "gen_ai.response.model",
        "ai.response.model",
        "llm.response.model_name",
        "llm.model_name",
        "embedding.model_name",
    ),
    "error": ("error.type",),
    "first_token_seconds": (
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.server.time_to_first_token",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.response.time_to_first_token",
        "gen_ai.latency.time_to_first_token",
    ),
    "first_token_millis": ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"),
    "cost": ("gen_ai.usage.cost", "operation.cost", "llm.cost.total"),
    "service_tier": (
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "anthropic.response.service_tier",
    ),
    "service_tier_asked": ("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
    "response_id": ("gen_ai.response.id", "ai.response.id"),
    "stream": ("gen_ai.request.stream",),
    "account": ("anthropic.organization.id",),
    "project": ("anthropic.workspace.id",),
    "compaction_input": ("anthropic.usage.compaction.input_tokens",),
    "compaction_output": ("anthropic.usage.compaction.output_tokens",),
    "user": (
        "enduser.id",
        "user.id",
        "langfuse.user.id",
        "gen_ai.user",
        "gen_ai.request.user",
        "llm.user",
        "traceloop.association.properties.user_id",
        "ai.telemetry.metadata.userId",
    ),
    "gateway_event": (EVENT_ATTRIBUTE,),
}
"""What is read of a span beside usage, under which names; the first one that is there holds."""

_FIGURES = (
    "response_id",
    "first_token_seconds",
    "first_token_millis",
    "cost",
    "compaction_input",
    "compaction_output",
    "user",
    "gateway_event",
)
"""Of these, what differs from call to call; all else is the same for most calls of a program."""

FIGURES = {name: what for what in _FIGURES for name in ALIASES[what]}
"""Attribute -> which of those it is."""

OPERATIONS: dict[str, str] = {
    "completion": "text_completion",
    "embedding": "embeddings",
    "llm": "chat",
    "ai.generatetext.dogenerate": "chat",
    "ai.streamtext.dostream": "chat",
    "ai.generateobject.dogenerate": "chat",
    "ai.streamobject.dostream": "chat",
    "ai.embed.doembed": "embeddings",
    "ai.embedmany.doembed": "embeddings",
    "reranker": "rerank",
}
"""Other emitters' words, in lower case -> the convention's operation."""

EMBEDDINGS = frozenset({"embeddings", "rerank", "moderation"})
"""Operations that don't generate: a generating span around one does not repeat its usage."""

MODEL_OPERATIONS = EMBEDDINGS | {
    "chat",
    "text_completion",
    "generate_content",
    "image",
    "image_generation",
    "audio",
    "video",
    "speech_to_text",
    "text_to_speech",
    "transcription",
    "translate",
    "realtime",
    "response",
    "responses",
}
"""Calls of a model: their usage is counted."""

OUTER_OPERATIONS = frozenset(
    {
        "agent",
        "ai.embed",
        "ai.embedmany",
        "ai.generateobject",
        "ai.generatetext",
        "ai.streamobject",
        "ai.streamtext",
        "ai.toolcall",
        "chain",
        "create_agent",
        "evaluator",
        "execute_task",
        "execute_tool",
        "fetch_response",
        "guardrail",
        "invoke_agent",
        "invoke_workflow",
        "prompt",
        "retrieval",
        "retriever",
        "task",
        "tool",
        "vectordb",
        "workflow",
    }
)
"""What stands around or beside calls of models. Usage on it repeats theirs (``fetch_response``: an earlier call's)."""

CALL_LOCAL = frozenset({"execute_tool", "tool", "ai.toolcall", "invoke_agent", "agent"})
"""A call under one of these is a call of its own, and not what the call above it reports."""

FIRST_TOKEN_EVENTS = frozenset(
    {
        "gen_ai.first_token",
        "first token stream event",
        "ai.stream.firstchunk",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
    }
)
"""Events (in lower case) that mark that output began; the earliest holds."""

CACHE_INSIDE = frozenset(
    {
        "com.anthropic.sdk.python",
        "openinference.instrumentation.anthropic",
        "opentelemetry.instrumentation.anthropic",
        "opentelemetry.instrumentation.genai.anthropic",
        "pydantic-ai",
    }
)
"""Emitters (scope names) whose input holds Anthropic's cache reads and writes, as the convention wants."""

CACHE_BESIDE = frozenset({"openlit.instrumentation.anthropic", "openlit.instrumentation.bedrock"})
"""Emitters (scope names) that hand on the provider's own input count, which leaves the cache out."""

ESTIMATES_STREAMS = frozenset({"openlit.instrumentation.anthropic", "openlit.instrumentation.openai"})
"""Emitters that count tokens themselves where a stream does not report usage."""

_TAGS: dict[str, str] = {
    "deployment.environment.name": "environment",
    "deployment.environment": "environment",
    "langfuse.environment": "environment",
    "gen_ai.agent.name": "agent",
    "gen_ai.workflow.name": "workflow",
    "traceloop.workflow.name": "workflow",
    **{
        name: name
        for name in (
            "app",
            "application",
            "business_unit",
            "cost_center",
            "customer",
            "customer_id",
            "department",
            "env",
            "environment",
            "feature",
            "owner",
            "product",
            "project",
            "service.namespace",
            "team",
            "tenant",
            "tenant_id",
            "use_case",
            "workload",
        )
    },
}
_TAG_PREFIXES = (
    "outlay.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
)
_CONTENT_TAGS = frozenset(
    {"prompt", "input", "output", "messages", "completion", "question", "answer", "query", "user_id"}
)
_NO_RESOURCE_TAGS = (
    "container.",
    "host.",
    "k8s.pod.",
    "os.",
    "process.",
    "service.instance.",
    "service.name",
    "service.version",
    "telemetry.",
)
_MOST_ROUTES = 20_000

LONGEST_TAG = 256
"""A longer text is no tag, whatever it is called."""

_FACTS = frozenset(name for what, names in ALIASES.items() if what not in _FIGURES for name in names)
_UNREAD_USAGE = ("gen_ai.usage.details.", "gen_ai.usage.token_type")

Route = tuple[str, str]


class _Routes(dict[str, "Route | None"]):
    """Where an attribute goes, by its name; looked up once a name and kept, as a program has few names."""

    def __missing__(self, key: str) -> Route | None:
        if len(key) > LONGEST_TAG:
            return None
        found = _routed(key)
        if len(self) < _MOST_ROUTES:
            self[key] = found
        return found


def _routed(key: str) -> Route | None:
    if key in USAGE_FACTS:
        return USAGE, key
    if key in _FACTS:
        return FACT, key
    if key in FIGURES:
        return FIGURE, key
    if key in _TAGS:
        return TAG, _TAGS[key]
    if key.startswith("gen_ai.usage.") and key.endswith("_tokens") and not key.startswith(_UNREAD_USAGE):
        return USAGE, key  # a count that this version does not know is remarked on
    for prefix in _TAG_PREFIXES:
        if key.startswith(prefix) and (name := key.removeprefix(prefix)) and name.lower() not in _CONTENT_TAGS:
            return OWN_TAG if prefix == "outlay." else TAG, name
    return None


route = _Routes().__getitem__
"""Attribute name of a span or a metric -> what it is and its name: (USAGE or FACT or FIGURE, attribute) or (TAG, tag).

OWN_TAG is a tag that was meant for Outlay, and holds where another says otherwise. None is not read.
"""


def resource_tag(key: str) -> str | None:
    """The tag that a resource attribute becomes; None for what only tells one process from another."""
    if key in _TAGS:
        return _TAGS[key]
    if key.startswith("outlay."):
        return key.removeprefix("outlay.") or None
    return None if key.startswith(_NO_RESOURCE_TAGS) else key
