"""Whose bills go by one source name: two billing accounts that share it would replace each other's months."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.errors import UsageError
from outlay.ledger.store import Ledger
from outlay.sources.recognise import SKU_COLUMNS
from outlay.sources.source_name import source_slug
from outlay.sources.survey import Survey

__all__ = ["identities", "refuse_strangers"]


def identities(surveys: Sequence[Survey]) -> dict[str, dict[str, list[str]]]:
    """Source -> the accounts and providers that the bills write: two sources must not go by one name."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    provider = SKU_COLUMNS.index("ServiceProviderName")
    for seen in surveys:
        providers = {str(sku[provider]) for sku in seen.skus if sku[provider] is not None}
        for month in seen.months:
            accounts, known = found.setdefault(source_slug(month.account), (set(), set()))
            accounts.add((month.account or "").rstrip("/").rsplit("/", 1)[-1].casefold())
            known |= providers
    return {name: {"accounts": sorted(a), "providers": sorted(p)} for name, (a, p) in sorted(found.items())}


def refuse_strangers(ledger: Ledger, told: dict[str, dict[str, list[str]]]) -> None:
    """Raise where a source of this load has the name of another one: its months would replace the other's."""
    seen: dict[str, dict[str, list[str]]] = {}
    for record in ledger.history():
        for name, identity in record.facts.get("identities", {}).items():
            seen.setdefault(name, identity)
    for name, mine in told.items():
        theirs = seen.get(name, mine)
        ours, others = (f"{' and '.join(i['providers']) or 'no provider'}" for i in (mine, theirs))
        strange = not set(mine["accounts"]) & set(theirs["accounts"]) or (
            mine["providers"] and theirs["providers"] and not set(mine["providers"]) & set(theirs["providers"])
        )
        if strange or len(mine["accounts"]) > 1:
            accounts = " and ".join(repr(a) for a in sorted({*mine["accounts"], *theirs["accounts"]}))
            raise UsageError(
                f"two billing accounts would go by the name '{name}' (account {accounts}; {ours} here, {others} "
                "there), and one's months would replace the other's.",
                where="source",
                hint="Load this bill under a name of its own, e.g. --source " + f"{name}-2.",
            )
