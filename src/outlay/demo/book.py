"""The book in which lines of the bill are written: what follows from the SKU and the team is filled in here.

Accounts and resource ids are made up in the form that each provider uses, and depend on the seed and the name
only, so that a line keeps its identity whatever else is on the bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from outlay.demo.catalogue import PROVIDERS, REGIONS, SERVICES, Sku
from outlay.demo.chance import identity, key_of
from outlay.demo.lines import Calendar, Commitment, Grain, Line, SubAccount

__all__ = ["PROGRAMS", "Book"]

PROGRAMS = ("Compute Savings Plan", "Reserved Instance")
"""Commitment programs that an EC2 instance-hour is eligible for."""

_NEGOTIATED = {"Microsoft": Decimal("0.95")}
"""Contracted price / list price. The other providers sell at list."""


class Book:
    """Collects the lines of one company."""

    def __init__(self, calendar: Calendar, seed: int) -> None:
        self.calendar = calendar
        self.seed = seed
        self.lines: list[Line] = []

    def add(self, line: Line) -> Line:
        """Writes ``line``."""
        self.lines.append(line)
        return line

    def line(
        self,
        name: str,
        sku: Sku,
        team: str,
        environment: str,
        grain: Grain,
        *,
        region: str | None = None,
        tags: Mapping[str, str] | None = None,
        chance: str | None = None,
        window: tuple[int, int] | None = None,
        contracted: Decimal | None = None,
    ) -> Line:
        """A line of usage at the contracted price, on demand, the whole time (or ``window``, in hours since 1970).

        ``tags`` stand beside the team's and the environment's. ``chance`` names the key that lines with one
        season share.
        """
        provider = SERVICES[sku.service].provider
        account = self.account(provider, team, environment)
        paid = sku.price * _NEGOTIATED.get(provider, Decimal(1)) if contracted is None else contracted
        first, last = window or (self.calendar.first_hour, self.calendar.last_hour)
        return Line(
            name=name,
            sku=sku,
            account=account,
            region=region,
            resource_id=self.resource(sku, account, region, name),
            resource_name=name,
            tags={"team": team, "environment": environment, **(tags or {})},
            grain=grain,
            first_hour=first,
            last_hour=last,
            list_price=sku.price,
            contracted_price=paid,
            effective_price=paid,
            billed_price=paid,
            chance=key_of(self.seed, chance or name),
        )

    def used(self, line: Line, commitment: Commitment) -> Line:
        """``line`` as usage that ``commitment`` covers: billed nothing, effective cost at the committed rate."""
        return replace(
            line,
            pricing_category="Committed",
            commitment=commitment,
            commitment_status="Used",
            effective_price=commitment.rate,
            billed_price=Decimal(0),
            eligible=PROGRAMS,
        )

    def unused(self, line: Line, commitment: Commitment) -> Line:
        """The part of ``commitment`` that nobody used: a usage row on the commitment itself, without a team's tags."""
        return replace(
            _on_commitment(line, commitment),
            pricing_category="Committed",
            commitment_status="Unused",
            billed_price=Decimal(0),
            description=f"{commitment.name}: unused",
        )

    def fee(self, line: Line, commitment: Commitment, units: int) -> Line:
        """The recurring fee of ``units`` of ``commitment``: billed, without effective cost, which its hours carry."""
        return replace(
            _on_commitment(line, commitment),
            charge_category="Purchase",
            units=units,
            grain="month",
            effective_price=Decimal(0),
            description=f"{commitment.name}: recurring fee",
        )

    def account(self, provider: str, team: str, environment: str) -> SubAccount:
        """The sub account of a team: one for production, one for everything else."""
        label = f"{team}-{'prod' if environment == 'prod' else 'nonprod'}"
        mark = identity(self.seed, provider, label, digits=12)
        forms = {
            "AWS": f"9{int(mark, 16) % 10**11:011d}",
            "Microsoft": f"5e000000-0000-4000-8000-{mark}",
            "Google Cloud": f"synthetic-{label}",
            "OpenAI": f"proj_synthetic{mark}",
            "Anthropic": f"wrkspc_synthetic{mark}",
        }
        return SubAccount(forms[provider], label)

    def resource(self, sku: Sku, account: SubAccount, region: str | None, name: str) -> str:
        """A resource id in the provider's form."""
        provider = SERVICES[sku.service].provider
        mark = identity(self.seed, "resource", name)
        kind = sku.resource_type.lower().replace(" ", "-")
        if provider == "AWS":
            if sku.service == "ec2" and sku.resource_type == "Instance":
                return f"i-{mark}"
            where = REGIONS[region].region_id if region else ""
            return f"arn:aws:{sku.service}:{where}:{account.account_id}:{kind}/{mark}"
        if provider == "Microsoft":
            group = f"/subscriptions/{account.account_id}/resourcegroups/{account.name}"
            return f"{group}/providers/synthetic/{kind}/{mark}"
        if provider == "Google Cloud":
            return f"//{sku.service}.googleapis.com/projects/{account.account_id}/{kind}/{mark}"
        return f"{PROVIDERS[provider].slug}-key-synthetic-{mark}"


def _on_commitment(line: Line, commitment: Commitment) -> Line:
    price_id = f"{line.sku.sku_id}.{commitment.kind.upper().replace(' ', '')}"
    return replace(
        line,
        sku=replace(line.sku, price_id=price_id),
        commitment=commitment,
        resource_id=commitment.commitment_id,
        resource_name=commitment.name,
        resource_type=commitment.kind,
        list_price=commitment.rate,
        contracted_price=commitment.rate,
        effective_price=commitment.rate,
        billed_price=commitment.rate,
        tags=None,
        eligible=(),
    )
