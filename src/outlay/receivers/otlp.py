"""What both transports of OTLP share: a request is looked at, stored, and only then answered.

A request is decoded once, to refuse what is none and to count what it holds, and stored as it came; turning it into
rows is the take-up's work (:mod:`outlay.sources.take_up`), so that a slow ledger never keeps a client waiting.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from outlay.errors import MissingExtraError, UnreadableError
from outlay.sources.fact_file import parse_json
from outlay.sources.usage import otlp_json
from outlay.spool.kinds import Kind
from outlay.spool.writer import Busy, SpoolWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SIGNALS", "Encoding", "Looked", "OtlpIntake", "Signal", "proto"]

Signal = Literal["traces", "metrics", "logs"]
Encoding = Literal["protobuf", "json"]
SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")

_KINDS: dict[tuple[Signal, Encoding], Kind] = {
    ("traces", "protobuf"): Kind.TRACES_PROTOBUF,
    ("metrics", "protobuf"): Kind.METRICS_PROTOBUF,
    ("traces", "json"): Kind.TRACES_JSON,
    ("metrics", "json"): Kind.METRICS_JSON,
}
_IN_A_THREAD = 1 << 20
"""Bytes from which decoding a request would keep the others waiting."""
_NO_LOGS = "Outlay reads spans and metrics, no logs: none of this request was kept"
_NO_IDS = "spans without a trace id or a span id can't be told from others"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a request holds: spans, data points or log records; ``rejected`` of them will be no rows, and why."""

    kind: Kind | None
    items: int
    rejected: int = 0
    why: str = ""


class OtlpIntake:
    """Takes export requests in, for any transport.

    ``most_body`` is the longest request, ``most_held`` what all that are under way may hold of memory, in bytes.
    """

    def __init__(
        self, spool: SpoolWriter, *, token: str | None = None, most_body: int = 16 << 20, most_held: int = 256 << 20
    ) -> None:
        self.spool = spool
        self.most_body = most_body
        self._most_held = most_held
        self._held = 0
        self._token = f"Bearer {token}".encode() if token else None

    def lets_in(self, authorization: bytes | str | None) -> bool:
        """Whether a client with this ``authorization`` may send."""
        if self._token is None:
            return True
        given = authorization.encode() if isinstance(authorization, str) else authorization or b""
        scheme, _, rest = given.partition(b" ")
        return hmac.compare_digest(scheme.capitalize() + b" " + rest.strip(), self._token)

    def hold(self, size: int) -> None:
        """Count ``size`` more bytes as held. Raises :class:`outlay.spool.writer.Busy` when there are too many."""
        if self._held and self._held + size > self._most_held:
            raise Busy("too many requests are under way.", where="outlay serve", hint="Send it again.")
        self._held += size

    def release(self, size: int) -> None:
        """Count ``size`` fewer bytes as held."""
        self._held -= size

    async def take(self, signal: Signal, encoding: Encoding, body: bytes) -> Looked:
        """Look at a request and store it; returns when it is on the disk.

        Raises :class:`UnreadableError` for what is no request and :class:`outlay.errors.SpoolError` for one that
        can't be stored now.
        """
        if len(body) >= _IN_A_THREAD:
            looked = await asyncio.to_thread(look, signal, encoding, body)
        else:
            looked = look(signal, encoding, body)
        if looked.kind is not None and looked.items:
            await asyncio.wrap_future(self.spool.submit(looked.kind, body))
        return looked


def look(signal: Signal, encoding: Encoding, body: bytes) -> Looked:
    """What a request holds. Raises :class:`UnreadableError` for bytes that are none."""
    kind = _KINDS.get((signal, encoding))
    if encoding == "json":
        items, rejected, why = _in_json(signal, body)
    else:
        items, rejected, why = _in_protobuf(signal, body)
    return Looked(kind, items, rejected, why)


def _in_protobuf(signal: Signal, body: bytes) -> tuple[int, int, str]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        request = proto(signal, "Request").FromString(body)
    except DecodeError:
        raise UnreadableError(
            f"is no OTLP export request of {signal} in protobuf.", where="the body", hint="Look at the exporter."
        ) from None
    if signal == "logs":
        count = sum(len(group.log_records) for one in request.resource_logs for group in one.scope_logs)
        return count, count, _NO_LOGS if count else ""
    if signal == "metrics":
        return sum(len(group.metrics) for one in request.resource_metrics for group in one.scope_metrics), 0, ""
    items = rejected = 0
    for one in request.resource_spans:
        for group in one.scope_spans:
            items += len(group.spans)
            for span in group.spans:
                if not span.trace_id.strip(b"\0") or not span.span_id.strip(b"\0"):
                    rejected += 1
    return items, rejected, _NO_IDS if rejected else ""


def _in_json(signal: Signal, body: bytes) -> tuple[int, int, str]:
    try:
        document = parse_json(body.decode("utf-8-sig"))
    except ValueError as error:
        raise UnreadableError(f"is no JSON ({error}).", where="the body", hint="Look at the exporter.") from None
    if not isinstance(document, dict):
        raise UnreadableError("is no JSON object.", where="the body", hint="Look at the exporter.")
    flaws: list[str] = []
    if signal == "logs":
        count = len(document.get("resourceLogs") or ())
        return count, count, _NO_LOGS if count else ""
    if signal == "metrics":
        points = sum(1 for _ in otlp_json.metric_points(document, None, flaws))
        return points + len(flaws), len(flaws), "; ".join(flaws[:3])
    items = rejected = 0
    for span in otlp_json.spans(document, None, flaws):
        items += 1
        rejected += not span.trace or not span.id
    reasons: Iterable[str] = [*flaws[:3], *([_NO_IDS] if rejected else [])]
    return items + len(flaws), rejected + len(flaws), "; ".join(reasons)


@cache
def proto(signal: Signal, what: Literal["Request", "Response"]) -> Any:  # noqa: ANN401 - a generated class
    """The class of OTLP's export request or response. Raises :class:`MissingExtraError`."""
    service = {"traces": "trace", "metrics": "metrics", "logs": "logs"}[signal]
    try:
        module = import_module(f"opentelemetry.proto.collector.{service}.v1.{service}_service_pb2")
    except ImportError:
        raise MissingExtraError(
            "receiving OTLP needs the package opentelemetry-proto.", hint="Run: pip install 'outlay[serve]'"
        ) from None
    return getattr(module, f"Export{service.capitalize()}Service{what}")
