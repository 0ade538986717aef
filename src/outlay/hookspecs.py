"""The hooks through which Outlay is extended; the built-ins use the same ones.

A plugin is an installed package with an entry point in the group ``outlay`` that points at a module (or object) with
functions marked by :data:`hookimpl`. docs/plugins.md has a working example and is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from outlay.optimize.detector import Detector
    from outlay.sources.facts import FactReader
    from outlay.sources.reader import Reader

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("outlay")
hookimpl = pluggy.HookimplMarker("outlay")


@hookspec
def outlay_readers() -> Sequence[Reader]:  # type: ignore[empty-body]
    """Bill readers to add, see :class:`outlay.sources.reader.Reader`."""


@hookspec
def outlay_fact_readers() -> Sequence[FactReader]:  # type: ignore[empty-body]
    """Readers of facts to add (requests, GPU hours, runs ...), see :class:`outlay.sources.facts.FactReader`."""


@hookspec
def outlay_detectors() -> Sequence[Detector]:  # type: ignore[empty-body]
    """Overspend detectors to add, see :class:`outlay.optimize.detector.Detector`."""
