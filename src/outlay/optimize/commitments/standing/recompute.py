"""Computing anew what is recommended: after a load, once a day, or when someone asks.

The plan is that of ``outlay commit plan``, from the ledger and the offers of the settings. First a glance
(:mod:`~.glance`): where no file is another, nothing is read. What a plan rests on has a digest besides: demand hour by
hour, offers with their prices, what is owned, dated prices, the settings. Where nothing of it changed, nothing is
planned. Neither spares the computation that is due when the last one is a day old.

A load never fails by it: it is done by then, and what went wrong here is a note of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from outlay import __version__
from outlay.config import CommitmentSettings, Settings
from outlay.errors import OutlayError, UsageError
from outlay.ledger.store import Ledger
from outlay.ledger.tables.commitments import COMMITMENTS
from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.optimize.commitments.inputs import Inputs, NoGpuHoursError, Tables, inputs_from_ledger, plan_of
from outlay.optimize.commitments.standing.glance import glance
from outlay.optimize.commitments.standing.standing import Computation, Recommendation, Trigger, recommended
from outlay.optimize.commitments.standing.standing_table import keep, known_already, newest, read
from outlay.prices.gpu_prices import GpuPrices, read_catalogues

__all__ = ["FRESH", "AfterLoad", "after_load", "recompute"]

FRESH = timedelta(hours=24)
"""How long a computation needs no other where its inputs are the same."""
_DEMAND = frozenset({"costs", GPU_USAGE.name, COMMITMENTS.name})
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AfterLoad:
    """What a load changed of what stands, and what to know of it."""

    changes: tuple[Recommendation, ...] = ()
    notes: tuple[str, ...] = ()


def recompute(
    ledger: Ledger,
    settings: Settings,
    *,
    now: datetime,
    trigger: Trigger,
    fresh: timedelta = FRESH,
    parallel: bool = True,
    progress: Progress = lambda _: None,
) -> list[Recommendation] | None:
    """What stands as of ``now``, computed and kept; None where that of the last ``fresh`` rests on the same.

    Raises :class:`UsageError` without offers in the settings, and :class:`NoGpuHoursError` where the ledger knows no
    GPU and nothing stands that it could withdraw.
    """
    offers = settings.commitments.offers
    if offers is None:
        raise UsageError(
            "no offers are set, so nothing can be recommended.",
            where="[commitments] offers",
            hint="Name a file of offers in outlay.toml, see docs/reference/commitments.md.",
        )
    standing = newest(read(ledger))
    seen = glance(ledger, settings, offers)
    if standing and seen is not None and standing[0].computed.same_glance(seen, now, fresh):
        return None
    progress("recommendations: reading demand")
    versions = _versions(ledger)
    try:
        if not versions:
            raise NoGpuHoursError("no bill and no telemetry is loaded.", where=str(ledger.path))
        tables = Tables.of(GpuPrices(read_catalogues(settings.prices.gpus)), settings.commitments)
        given = inputs_from_ledger(ledger, settings.tags.required, offers, tables=tables)
    except NoGpuHoursError:
        if not standing:
            raise
        given = Inputs((), (), {})
    computed = Computation(now, trigger, _digest(given, settings.commitments), versions, seen)
    if standing and known_already(standing[0].computed, computed, fresh):
        return None
    found = plan_of(given, settings.commitments, parallel=parallel, progress=progress)
    return keep(ledger, recommended(found, computed), computed, fresh)


def after_load(
    ledger: Ledger, settings: Settings, changed: Iterable[str], *, now: datetime, progress: Progress = lambda _: None
) -> AfterLoad:
    """What loading into the tables ``changed`` did to what stands. Raises nothing: the load is done."""
    if settings.commitments.offers is None or _DEMAND.isdisjoint(changed):
        return AfterLoad()
    try:
        found = recompute(ledger, settings, now=now, trigger="load", progress=progress)
    except NoGpuHoursError:
        return AfterLoad()
    except OutlayError as error:
        return AfterLoad(notes=(f"GPU commitments were not computed anew, what stood before stays: {error}",))
    except Exception as error:  # the load stands whatever this does
        return AfterLoad(
            notes=(f"GPU commitments were not computed anew by an error in Outlay, please report it: {error!r}",)
        )
    return AfterLoad(tuple(one for one in found or () if one.change is not None))


def _versions(ledger: Ledger) -> dict[str, int]:
    """Of the tables that tell demand, before they are read: they are that new at least."""
    folders = (ledger.costs, ledger.facts(GPU_USAGE), ledger.facts(COMMITMENTS))
    return {one.name: one.table().version() for one in folders if one.exists()}


def _digest(given: Inputs, settings: CommitmentSettings) -> str:
    """Of all that decides a plan; the version of Outlay too, as its rules may have changed."""
    said = hashlib.sha256(__version__.encode())
    said.update(settings.model_copy(update={"offers": Path()}).model_dump_json().encode())
    for one in given.demands:
        said.update(f"{one.pool}\n{one.first}\n{len(one)}\n".encode())
        said.update(one.nanos.tobytes())
        said.update(one.known.tobytes())
    for offer in given.offers:
        said.update(repr(replace(offer, where="")).encode())
    said.update(repr({name: tuple(held) for name, held in given.owned.items()}).encode())
    said.update(repr(dict(given.histories)).encode())
    return said.hexdigest()
