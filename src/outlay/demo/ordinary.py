"""What the synthetic company buys beside AI: machines, storage, databases, networks, support, and the tax on it.

About two rows in five of the bill, as at any company, so that finding the AI on it is a task. One savings plan
covers a large machine and is always used to the full: the unused commitment on this bill is the GPUs' alone.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from outlay.demo.book import Book
from outlay.demo.catalogue import SERVICES, Sku, ec2, support
from outlay.demo.lines import Commitment, Grain, Line, count_rows

__all__ = ["TAX_RATE", "add_core", "fill"]

TAX_RATE = Decimal("0.08875")
"""Made up; of the support fee, the only thing this company pays tax on."""

CPU_SAVINGS_PLAN = Commitment(
    "arn:aws:savingsplans::900000000001:savingsplan/synthetic-cpu",
    "Compute Savings Plan, 1 year, no upfront",
    "Spend",
    "Compute Savings Plan",
    Decimal("6.967296"),  # 72 % of the on-demand 9.6768; made up
)
_CREDIT = Decimal("-250")
_TEAMS = ("search", "assistant", "vision", "research", "platform")
_ENVIRONMENTS = ("prod", "prod", "staging", "prod", "dev")
_LINES_PER_ACCOUNT = 200


_HOURS: dict[str, tuple[str, str, str, str, str]] = {
    # service, meter, price per hour, resource type, region
    "RDSR7G2XL": ("rds", "USE1-InstanceUsage:db.r7g.2xlarge", "0.956", "DB Instance", "aws"),
    "D4SV5": ("azure-vm", "D4s v5", "0.192", "Virtual machine", "azure"),
    "N2CORE": ("gce", "N2 Instance Core running in Americas", "0.031611", "Compute Instance", "google"),
    "SQLGP2": ("azure-sql", "vCore General Purpose Gen5", "0.252", "SQL database", "azure"),
}
_VOLUMES: dict[str, tuple[str, str, str, str, str, str, int]] = {
    # service, meter, price, unit, resource type, region, a day's volume in thousandths of the unit (or in requests)
    "S3STANDARD": ("s3", "USE1-TimedStorage-ByteHrs", "0.023", "GB-Months", "Bucket", "aws", 260_000),
    "S3GET": ("s3", "USE1-Requests-Tier2", "0.0000004", "Requests", "Bucket", "aws", 9_000_000),
    "GCSSTANDARD": ("gcs", "Standard Storage US Multi-region", "0.026", "GB-Months", "Bucket", "google", 140_000),
    "EBSGP3": ("ec2", "USE1-EBS:VolumeUsage.gp3", "0.08", "GB-Months", "Volume", "aws", 66_000),
    "BQANALYSIS": ("bigquery", "Analysis", "6.25", "TB", "Dataset", "google", 1_900),
    "BLOBHOTLRS": ("azure-blob", "Hot LRS Data Stored", "0.0184", "GB-Months", "Storage account", "azure", 90_000),
    "AWSDTOUT": ("ec2", "USE1-DataTransfer-Out-Bytes", "0.09", "GB", "Network Interface", "aws", 120_000),
    "DDBWRITE": ("dynamodb", "USE1-WriteRequestUnits", "0.000000625", "Requests", "Table", "aws", 4_000_000),
    "ALBLCU": ("elb", "USE1-LCUUsage", "0.008", "LCU-Hours", "Load Balancer", "aws", 61_000),
    "CWLOGS": ("cloudwatch", "USE1-DataProcessing-Bytes", "0.50", "GB", "Log Group", "aws", 7_000),
    "AZEGRESS": ("azure-bandwidth", "Standard Data Transfer Out", "0.087", "GB", "Virtual network", "azure", 33_000),
    "GCPEGRESS": ("gcp-network", "Network Internet Data Transfer Out", "0.12", "GB", "Network", "google", 25_000),
}


def _skus() -> tuple[tuple[Sku, str, int], ...]:
    """Each SKU with its region and a day's volume, 0 for what is billed by the hour; machines and volumes mixed."""
    hours = [(ec2("m7i.2xlarge"), "aws", 0), (ec2("c7i.4xlarge"), "aws", 0)]
    for code, (service, meter, price, resource_type, region) in _HOURS.items():
        sku = Sku(service, code, f"{code}-ONDEMAND", meter, Decimal(price), resource_type=resource_type)
        hours.append((replace(sku, description=f"{meter} at ${price} per hour"), region, 0))
    volumes = []
    for code, (service, meter, price, unit, resource_type, region, base) in _VOLUMES.items():
        part = Decimal(1) if unit == "Requests" else Decimal("0.001")
        sku = Sku(service, code, f"{code}-ONDEMAND", meter, Decimal(price), unit, unit, part, part, resource_type)
        volumes.append((replace(sku, description=f"{meter} at ${price} per {unit}"), region, base))
    mixed = []
    for number, machine in enumerate(hours):
        mixed += [machine, *volumes[2 * number : 2 * number + 2]]
    return tuple(mixed)


ORDINARY = _skus()


def add_core(book: Book, grain: Grain) -> None:
    """Support plans, the tax on them, a credit, and one savings plan with its machine."""
    for service, price in (("aws-support", "4200"), ("azure-support", "1000"), ("gcp-support", "2500")):
        sku = support(service, price)
        plan = replace(
            book.line(service, sku, "platform", "prod", "month", contracted=sku.price),
            counts="flat",
            charge_category="Purchase",
            resource_id=None,
            resource_name=None,
            tags=None,
        )
        book.add(plan)
        book.add(_unpriced(plan, f"{service}-tax", "Tax", sku.price * TAX_RATE, "Sales tax"))
        if service == "aws-support":
            book.add(_unpriced(plan, "credit", "Credit", _CREDIT, "Promotional credit"))
    machine = ec2("m7i.48xlarge")
    tags = {"use_case": "feature-store"}
    line = book.line("feature-store-0", machine, "platform", "prod", grain, region="aws", tags=tags)
    book.add(book.used(line, CPU_SAVINGS_PLAN))
    owner = book.line("feature-store-fee", machine, "platform", "prod", "month", region="aws")
    book.add(book.fee(owner, CPU_SAVINGS_PLAN, 1))


def _unpriced(plan: Line, name: str, category: str, amount: Decimal, description: str) -> Line:
    """An amount without SKU, price or quantity, as tax and credits are: all four costs are the amount."""
    return replace(
        plan,
        name=name,
        charge_category="Tax" if category == "Tax" else "Credit",
        pricing_category=None,
        list_price=amount,
        contracted_price=amount,
        effective_price=amount,
        billed_price=amount,
        description=description,
    )


def fill(book: Book, rows: int) -> None:
    """Adds ordinary lines until ``rows`` more rows are there, or fewer than one line's are missing.

    Half of them by the hour once that makes four lines, the others by the day, the last by the month.
    """
    calendar = book.calendar
    hourly = rows // 2 // (calendar.days * 24)
    number = 0
    for _ in range(hourly if hourly >= 4 else 0):
        rows -= count_rows(_add(book, number, "hour"), calendar)
        number += 1
    for _ in range(rows // calendar.days):
        rows -= count_rows(_add(book, number, "day"), calendar)
        number += 1
    for _ in range(rows // len(calendar.months)):
        rows -= count_rows(_add(book, number, "month"), calendar)
        number += 1


def _add(book: Book, number: int, grain: Grain) -> Line:
    sku, region, base = ORDINARY[number % len(ORDINARY)]
    turn = number // len(ORDINARY)
    team = _TEAMS[(number + turn) % len(_TEAMS)]
    environment = _ENVIRONMENTS[(number + 2 * turn) % len(_ENVIRONMENTS)]
    name = f"{team}-{sku.sku_id.lower()}-{number:05d}"
    line = book.line(name, sku, team, environment, grain, region=region)
    owner = f"{team}-{number // _LINES_PER_ACCOUNT}" if number >= _LINES_PER_ACCOUNT else team
    account = book.account(SERVICES[sku.service].provider, owner, environment)
    line = replace(line, account=account, tags=None if number % 10 in (3, 7, 9) else line.tags)
    if base == 0:
        return book.add(line)  # a machine, always on
    return book.add(replace(line, counts="volume", base=base, growth_permille=250, weekend_permille=850))
