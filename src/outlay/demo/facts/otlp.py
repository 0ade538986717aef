"""OTLP/JSON as the OpenTelemetry Collector's file exporter writes it: an export request a line.

Spans and points are many and alike, so their text is put together here rather than by an encoder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from outlay.demo.facts.services import Service

__all__ = ["DAY_NANOSECONDS", "attributes", "called", "request"]

DAY_NANOSECONDS = 86_400 * 10**9
_SCOPE = json.dumps({"name": "outlay.demo", "version": "synthetic"})


def attributes(values: Mapping[str, str]) -> str:
    """Attributes, without the brackets around them."""
    told = [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
    return json.dumps(told, separators=(",", ":"))[1:-1]


def called(service: Service) -> dict[str, str]:
    """What calls and points of a service have in common."""
    return {
        "gen_ai.operation.name": service.operation,
        "gen_ai.provider.name": service.provider,
        "gen_ai.request.model": service.model,
        "gen_ai.response.model": service.model,
    }


def request(top: str, inner: str, service: Service, what: str, content: Iterable[str]) -> str:
    """A line with one resource: ``content`` is what its only scope holds under ``what``."""
    resource = f'"resource":{{"attributes":[{attributes(service.resource)}]}}'
    return f'{{"{top}":[{{{resource},"{inner}":[{{"scope":{_SCOPE},"{what}":[{",".join(content)}]}}]}}]}}\n'
