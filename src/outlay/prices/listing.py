"""The flat price table as of a moment: every row that may price a call then, whatever its size and context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from outlay.errors import UsageError
from outlay.prices import genai
from outlay.prices.contract import Contract
from outlay.prices.price_row import PriceRow

__all__ = ["prices_at"]


def prices_at(
    at: datetime, *, provider: str | None = None, model: str | None = None, contracts: Sequence[Contract] = ()
) -> list[PriceRow]:
    """The rows that hold at ``at``, naive UTC: those of ``contracts`` first, then the list's.

    ``model`` is a model of ``provider`` as calls name it; where it is none, a part of names. Raises
    :class:`UsageError` where nothing is found.
    """
    rows = [*_agreed(contracts, provider, model), *_listed(provider, model)]
    found = [row for row in rows if (row.valid_from or at) <= at and (row.valid_to is None or at < row.valid_to)]
    if not found:
        sought = " of ".join(filter(None, (model and f"'{model}'", provider and f"'{provider}'")))
        hint = genai.unknown(provider, model or "") if provider else "`outlay prices list --json` has every model."
        raise UsageError(f"no price for {sought or 'anything'} at {at.isoformat()}Z.", hint=hint)
    return found


def _agreed(contracts: Sequence[Contract], provider: str | None, model: str | None) -> Iterator[PriceRow]:
    owners = {one.lower() for one in (provider, provider and genai.provider_id(provider)) if one}
    for contract in contracts:
        for row in contract.rows:
            of_model = model is None or row.model == "*" or model.strip().lower() in row.model
            if (not owners or row.provider in owners) and of_model:
                yield row


def _listed(provider: str | None, model: str | None) -> Iterator[PriceRow]:
    found = genai.resolve(provider, model) if provider and model else None
    if found is not None:
        yield from genai.model_rows(found.owner, found.model)
        return
    owner = provider and (genai.provider_id(provider) or provider.strip().lower())
    for one, name in genai.models():
        if (owner is None or one == owner) and (model is None or model.strip().lower() in name.lower()):
            yield from genai.model_rows(one, name)
