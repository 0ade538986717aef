"""GenAI spans as the OpenTelemetry SDK makes them."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["CHAT", "chats", "span_ids"]

CHAT: Mapping[str, str | int] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 10,
}


def chats(count: int, *, service: str = "assistant", **attributes: str | int) -> list[ReadableSpan]:
    """Finished spans of calls of a model, each of its own trace."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": service, "team": "search"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests")
    for _ in range(count):
        tracer.start_span("chat gpt-4o", attributes={**CHAT, **attributes}).end()
    return list(memory.get_finished_spans())


def span_ids(spans: list[ReadableSpan]) -> list[str]:
    """Their ids in hex."""
    found = []
    for span in spans:
        context = span.get_span_context()
        assert context is not None
        found.append(f"{context.span_id:016x}")
    return found
