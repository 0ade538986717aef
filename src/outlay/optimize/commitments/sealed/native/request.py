"""A request: the provider's operation and its fields, filled from what the offer says and from nothing else.

What the offer does not say (the id of an offering, the subscription that is billed) is null and listed in ``missing``:
such a request is not ready. A field guessed right most of the time would buy the wrong thing once.

Two rules keep a request safe to prepare. It asks for a rehearsal where the provider knows one. And it names no time to
buy at: a purchase queued at the provider would happen whatever is known by then, past the re-check.

Numbers of a provider's type double are text here, as everything in a plan is exact; ``numbers`` names them, for the one
who sends it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.sealed.purchase import Purchase
from outlay.prices.gpus import gpu_instance

__all__ = ["Missing", "Request", "Unsold", "is_uuid", "machines"]

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Missing:
    """A field that stands empty, and where its value comes from."""

    field: str
    why: str


@dataclass(frozen=True, slots=True)
class Request:
    """``parameters`` go into the address, ``body`` into the request. ``token_field`` carries the purchase's token.

    ``token_why`` says what keeps a retry from buying twice where no field does.
    """

    provider: str
    api: str
    operation: str
    body: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    token_field: str | None = None
    token_why: str | None = None
    numbers: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether every field that must be there is."""
        return not self.missing

    def to_json(self) -> dict[str, Any]:
        """As the plan's document has it."""
        return {
            "provider": self.provider,
            "api": self.api,
            "operation": self.operation,
            "parameters": self.parameters,
            "body": self.body,
            "numbers": list(self.numbers),
            "token_field": self.token_field,
            "token_why": self.token_why,
            "ready": self.ready,
            "missing": [{"field": one.field, "why": one.why} for one in self.missing],
        }


@dataclass(frozen=True, slots=True)
class Unsold:
    """No request: ``why`` says what stands against it."""

    why: str


def is_uuid(text: str | None) -> bool:
    """Whether an offer's ``sku`` is an id of an offering rather than a name of a machine."""
    return text is not None and _UUID.fullmatch(text) is not None


def machines(purchase: Purchase, name: str) -> tuple[int | None, list[Missing]]:
    """How many machines ``purchase`` is: GPUs by ``unit_gpus``. None where that is no whole number or is doubtful.

    ``unit_gpus`` is 1 unless the offer says otherwise, and a wrong one buys eight times too much: where ``sku`` is a
    machine that is known, both must agree.
    """
    offer = purchase.offer
    known = gpu_instance(offer.provider, offer.sku) if offer.sku else None
    if known is not None and known.gpu_count != offer.unit_gpus:
        said = f"{offer.sku} has {known.gpu_count} GPUs, but unit_gpus of the offer says {offer.unit_gpus}"
        return None, [Missing(name, said)]
    if purchase.nanos % offer.unit:
        said = f"{gpus(purchase.nanos)} GPUs are no whole number of machines of {offer.unit_gpus}"
        return None, [Missing(name, said)]
    return purchase.nanos // offer.unit, []
