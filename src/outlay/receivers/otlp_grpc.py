"""OTLP over gRPC: the collector services for traces, metrics and logs.

The methods are registered for bytes, so that a request is stored as it came; what is in it is looked at as it is for
HTTP. A client sends again what was answered with RESOURCE_EXHAUSTED and RetryInfo, or with UNAVAILABLE.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

from outlay.errors import MissingExtraError, SpoolError, UnreadableError, UsageError
from outlay.receivers.answers import RESOURCE_EXHAUSTED, UNAVAILABLE, response, status_with_retry
from outlay.receivers.otlp import SIGNALS, OtlpIntake, Signal
from outlay.spool.writer import Unusable

if TYPE_CHECKING:
    import grpc
    import grpc.aio

__all__ = ["otlp_grpc"]

_SERVICES = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}
_DETAILS = "grpc-status-details-bin"
_logger = logging.getLogger(__name__)


def otlp_grpc(intake: OtlpIntake, address: str) -> tuple[grpc.aio.Server, int]:
    """A server that is not started yet, and its port (the system's choice where ``address`` has port 0).

    Call it in the event loop that it shall run in. Raises :class:`MissingExtraError` and :class:`UsageError`.
    """
    try:
        import grpc
        import grpc.aio
    except ImportError:
        raise MissingExtraError(
            "OTLP over gRPC needs the package grpcio.", hint="Run: pip install 'outlay[serve]', or give --no-grpc."
        ) from None
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", intake.most_body),
            ("grpc.so_reuseport", 0),  # a port that is taken is an error
        ]
    )
    for signal in SIGNALS:
        method = grpc.unary_unary_rpc_method_handler(_Export(intake, signal).call)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICES[signal], {"Export": method}),))
    try:
        return server, server.add_insecure_port(address)
    except RuntimeError:
        raise UsageError(
            "can't be listened on.", where=f"--grpc {address}", hint="Is it in use? Try another."
        ) from None


class _Export:
    """The method ``Export`` of one signal's service."""

    def __init__(self, intake: OtlpIntake, signal: Signal) -> None:
        self._intake = intake
        self._signal = signal

    async def call(self, body: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        import grpc

        metadata = dict(context.invocation_metadata() or ())
        if not self._intake.lets_in(metadata.get("authorization")):
            return await _abort(
                context, grpc.StatusCode.UNAUTHENTICATED, "send the metadata: authorization: Bearer TOKEN"
            )
        held = 0
        try:
            self._intake.hold(len(body))
            held = len(body)
            looked = await self._intake.take(self._signal, "protobuf", body)
            return response(self._signal, "protobuf", looked)
        except UnreadableError as error:
            return await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except SpoolError as error:
            return await _refuse(context, error)
        except Exception:
            _logger.exception("an error in Outlay; the request was not acknowledged")
            raise
        finally:
            self._intake.release(held)


async def _refuse(context: grpc.aio.ServicerContext[Any, Any], error: SpoolError) -> NoReturn:
    import grpc

    after = int(getattr(error, "retry_after", 30))
    broken = isinstance(error, Unusable)
    code = UNAVAILABLE if broken else RESOURCE_EXHAUSTED
    details = status_with_retry(code, error.what, after)
    name = grpc.StatusCode.UNAVAILABLE if broken else grpc.StatusCode.RESOURCE_EXHAUSTED
    await _abort(context, name, error.what, (_DETAILS, details))


async def _abort(
    context: grpc.aio.ServicerContext[Any, Any], code: grpc.StatusCode, message: str, *metadata: tuple[str, bytes]
) -> NoReturn:
    await context.abort(code, message, trailing_metadata=metadata)
    raise AssertionError  # abort raises
