"""What every API of the callers' must tell the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from outlay.gateway.wires.spoken import Json, Spoken

__all__ = ["Beside", "Meter", "Said", "Wire"]

Said = tuple[Json, str | None]
"""What an answer says of its usage, as :func:`outlay.prices.usage.normalise` reads it, and the model that answered."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a call says beside its body: the model, where its path names one, and the headers, in lower case."""

    model: str | None = None
    headers: Mapping[bytes, bytes] = field(default_factory=lambda: MappingProxyType({}))


class Meter(Protocol):
    """Reads along while an answer streams through."""

    started: bool
    """Whether something of the model's answer has come, beyond the announcement that it will."""

    def feed(self, chunk: bytes) -> bytes:
        """What of a chunk goes to the caller; perhaps less than came, and the rest with the next one.

        Raises :class:`ValueError` for what is no stream.
        """

    def rest(self) -> bytes:
        """What is left at the end of the stream."""

    def said(self) -> Said | None:
        """The usage that the stream told; None where it told none."""

    @property
    def whole(self) -> bool:
        """Whether the usage is that of the whole call, and not of what had come until the stream broke."""

    @property
    def failed(self) -> str | None:
        """The error that the provider reported within the stream."""


class Wire(Protocol):
    """One API. ``name`` is its own; ``operation`` and ``provider`` are OpenTelemetry's names."""

    name: str
    operation: str
    flavor: str
    """The shape of its usage, for :func:`outlay.prices.usage.normalise`."""
    model_in_body: bool
    """Whether a body names the model; elsewhere the path does."""

    def spoken(self, body: Json, beside: Beside = ...) -> Spoken:
        """What a call says. Raises :class:`outlay.gateway.wires.spoken.Malformed`."""

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none; objects within it are the caller's, and stay."""

    def mend(self, body: Json, provider: str) -> None:
        """Say the caller's own limit by the name that a provider knows it by."""

    def ask_usage(self, body: Json) -> bool:
        """Have a stream tell its usage; True where the body was changed, so that the caller must not see it."""

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """The usage of a whole answer."""

    def meter(self, strip: bool) -> Meter:
        """A meter of one stream; ``strip`` takes the usage out that the caller did not ask for."""

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error as this API's clients expect it."""

    def broken(self, message: str) -> bytes:
        """The end of a stream that broke off, as this API's clients expect it."""
