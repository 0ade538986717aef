"""Streams of every API as their providers send them, and what comes of them however they are cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from outlay.gateway.wires.wire import Meter, Said

__all__ = ["Heard", "cut", "event", "hear"]


@dataclass(frozen=True)
class Heard:
    """What a caller got of a stream, and what its meter said."""

    out: bytes
    said: Said | None
    whole: bool
    failed: str | None
    started: bool


def hear(meter: Meter, chunks: Iterable[bytes]) -> Heard:
    """A stream in these chunks."""
    out = b"".join([meter.feed(chunk) for chunk in chunks]) + meter.rest()
    return Heard(out, meter.said(), meter.whole, meter.failed, meter.started)


def cut(stream: bytes, at: Sequence[int]) -> list[bytes]:
    """A stream in chunks that end at these places."""
    places = [0, *sorted({place % (len(stream) + 1) for place in at}), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


def event(data: Any, name: str | None = None, end: str = "\n") -> bytes:
    """A server-sent event."""
    told = data if isinstance(data, str) else orjson.dumps(data).decode()
    return ((f"event: {name}{end}" if name else "") + f"data: {told}{end}{end}").encode()
