"""Loading into the ledger: the front door for bills and facts.

The files of one command may be anything that Outlay reads. Bills go into ``costs`` (:mod:`outlay.sources.bill_loading`)
and facts into their tables (:mod:`outlay.sources.fact_loading`), each table in one commit: what a table was given is in
it whole or not at all. A command that fails at one table leaves the ones before it loaded, and can be given again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from outlay.config import Settings
from outlay.errors import UsageError, nearest
from outlay.ledger.store import FACT_TABLES, Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.prices.contract import read_contract
from outlay.prices.tokens import TokenPrices
from outlay.sources.bill_loading import load_bills
from outlay.sources.fact_loading import load_facts
from outlay.sources.find import find
from outlay.sources.load_report import LoadReport, TableLoad
from outlay.sources.source_name import check_source

__all__ = ["ASSUMABLE", "load", "token_prices"]

ASSUMABLE = {"provider": "gen_ai_provider_name", "model": "gen_ai_request_model"}
"""What may be assumed of calls whose records do not tell it, and its column."""

Progress = Callable[[str], None]


def load(
    ledger: Ledger,
    paths: Sequence[Path],
    settings: Settings,
    *,
    format_id: str | None = None,
    source: str | None = None,
    assume: Mapping[str, str] | None = None,
    again: bool = False,
    progress: Progress = lambda _: None,
) -> LoadReport:
    """Load what ``paths`` hold, one commit a table.

    Content that was loaded before changes nothing; ``again`` loads it all the same. ``assume`` says what calls are
    taken to be whose records do not tell it (:data:`ASSUMABLE`); such rows are marked. Raises an
    :class:`outlay.errors.OutlayError` with nothing changed in the table at hand and those after it.
    """
    check_source(source)
    assumed = {_column(name): value for name, value in (assume or {}).items()}
    found = find(paths, format_id=format_id)
    done: list[TableLoad] = []
    if found.bills:
        done.append(load_bills(ledger, found.bills, settings, source=source, again=again, progress=progress))
    if found.facts:
        prices = token_prices(settings)
        for table in FACT_TABLES.values():
            mine = [one for one in found.facts if one.reader.table is table]
            if mine:
                filled = assumed if table is REQUESTS else None
                done.append(
                    load_facts(
                        ledger,
                        table,
                        mine,
                        settings,
                        prices,
                        source=source,
                        assumed=filled,
                        again=again,
                        progress=progress,
                    )
                )
    return LoadReport(tuple(done), tuple(found.skipped))


def _column(name: str) -> str:
    if name not in ASSUMABLE:
        raise UsageError(f"'{name}' can't be assumed.", where="--assume", hint=nearest(name, ASSUMABLE))
    return ASSUMABLE[name]


def token_prices(settings: Settings) -> TokenPrices:
    """List prices, with the price files of the settings laid over them."""
    return TokenPrices([read_contract(path) for path in settings.prices.tokens])
