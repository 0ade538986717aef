"""The spools that a ledger has, each with the reader of what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.sources.live import LiveSpool
from outlay.sources.usage.gateway_events import GATEWAY
from outlay.sources.usage.gateway_live import LiveGateway
from outlay.sources.usage.otlp_live import LiveOtlp
from outlay.spool.folders import gateway_spools, telemetry_spool

__all__ = ["all_spools", "of_gateway", "of_telemetry"]


def of_telemetry(ledger: Ledger) -> LiveSpool:
    """What ``outlay serve`` received."""
    return LiveSpool(telemetry_spool(ledger.path), lambda state: LiveOtlp(state, partial(_known, ledger)))


def of_gateway(ledger: Ledger, folder: Path) -> LiveSpool:
    """What the gateway that writes into ``folder`` tells; it is called as its folder is."""
    return LiveSpool(folder, lambda _: LiveGateway(folder.name, partial(_known, ledger)))


def all_spools(ledger: Ledger) -> list[LiveSpool]:
    """Telemetry, and every gateway that has a spool in the ledger's folder now."""
    return [of_telemetry(ledger), *(of_gateway(ledger, folder) for folder in gateway_spools(ledger.path))]


def _known(ledger: Ledger, told: Mapping[str, datetime]) -> set[str]:
    """Which of the calls of gateways, by identity and start, the ledger has."""
    folder = ledger.facts(REQUESTS)
    if not folder.exists():
        return set()
    months = {f"{start:%Y-%m}" for start in told.values()}
    paths = [
        str(folder.path / file.path)
        for file in folder.live()
        if file.scope.source == GATEWAY.id and file.scope.month in months
    ]
    if not paths:
        return set()
    with session() as connection:
        found = connection.execute(
            f'SELECT "x_RowId" FROM {folder.scan(paths)} WHERE "x_RowId" IN (SELECT unnest($1))', [list(told)]
        ).fetchall()
    return {row[0] for row in found}
