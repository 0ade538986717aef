"""Where the spools of a ledger are: one for telemetry, and one for each gateway that writes beside it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["gateway_spool", "gateway_spools", "telemetry_spool"]

_TELEMETRY, _GATEWAYS = "spool", "gateway-spool"


def telemetry_spool(ledger: Path) -> Path:
    """Where ``outlay serve`` puts what it receives."""
    return ledger / _TELEMETRY


def gateway_spool(ledger: Path, name: str) -> Path:
    """Where the gateway ``name`` puts its events, unless its settings name another folder."""
    return ledger / _GATEWAYS / name


def gateway_spools(ledger: Path) -> list[Path]:
    """The spools of gateways that are in the ledger's folder now, in the order of their names."""
    folder = ledger / _GATEWAYS
    return sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
