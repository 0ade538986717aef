"""Which provider's words a purchase is put in."""

from __future__ import annotations

from outlay.optimize.commitments.sealed.native.aws import aws_request
from outlay.optimize.commitments.sealed.native.azure import azure_request
from outlay.optimize.commitments.sealed.native.gcp import gcp_request
from outlay.optimize.commitments.sealed.native.request import Request, Unsold
from outlay.optimize.commitments.sealed.purchase import Purchase
from outlay.prices.gpus import provider_slug

__all__ = ["native_request"]

_WORDS = {"aws": aws_request, "azure": azure_request, "gcp": gcp_request}


def native_request(purchase: Purchase) -> Request | Unsold:
    """The request that would make ``purchase``; :class:`Unsold` where no provider takes one for it."""
    offer = purchase.offer
    if offer.kind == "flex":
        return Unsold("a flexible commitment is a contract with its vendor: no provider's interface sells it")
    if offer.provider is None:
        return Unsold("the offer does not say who sells it: give it a provider")
    words = _WORDS.get(provider_slug(offer.provider) or "")
    if words is None:
        return Unsold(f"no interface of {offer.provider} to buy by is known: it is bought by contract")
    return words(purchase)
