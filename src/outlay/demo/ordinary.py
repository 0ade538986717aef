"""What the synthetic company buys beside AI: machines, storage, databases, networks, support, and the tax on it.

About two rows in five of the bill, as at any company, so that finding the AI on it is a task. One savings plan covers a large machine
and is always used to the full: the unused commitment on this bill is the GPUs' alone.
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


def _ordinary(
    service: str, code: str, meter: str, price: str, unit: str, resource_type: str, per_unit: str = "1"
) -> Sku:
    return Sku(
        service,
        code,
        f"{code}-ONDEMAND",
        meter,
        Decimal(price),
        unit,
        unit,
        Decimal(per_unit),
        Decimal(per_unit),
        resource_type,
        f"{meter} at ${price} per {unit}",
    )


_MILLI = "0.001"
ORDINARY: tuple[tuple[Sku, str, int], ...] = (
    # What every company has beside its AI: (SKU, region, units a day in the SKU's smallest count; 0 for a machine by the hour).
    (ec2("m7i.2xlarge"), "aws", 0),
    (
        _ordinary("s3", "S3STANDARD", "USE1-TimedStorage-ByteHrs", "0.023", "GB-Months", "Bucket", _MILLI),
        "aws",
        260_000,
    ),
    (_ordinary("s3", "S3GET", "USE1-Requests-Tier2", "0.0000004", "Requests", "Bucket"), "aws", 9_000_000),
    (_ordinary("rds", "RDSR7G2XL", "USE1-InstanceUsage:db.r7g.2xlarge", "0.956", "Hours", "DB Instance"), "aws", 0),
    (
        _ordinary("gcs", "GCSSTANDARD", "Standard Storage US Multi-region", "0.026", "GB-Months", "Bucket", _MILLI),
        "google",
        140_000,
    ),
    (_ordinary("azure-vm", "D4SV5", "D4s v5", "0.192", "Hours", "Virtual machine"), "azure", 0),
    (_ordinary("ec2", "EBSGP3", "USE1-EBS:VolumeUsage.gp3", "0.08", "GB-Months", "Volume", _MILLI), "aws", 66_000),
    (_ordinary("bigquery", "BQANALYSIS", "Analysis", "6.25", "TB", "Dataset", _MILLI), "google", 1_900),
    (ec2("c7i.4xlarge"), "aws", 0),
    (
        _ordinary("azure-blob", "BLOBHOTLRS", "Hot LRS Data Stored", "0.0184", "GB-Months", "Storage account", _MILLI),
        "azure",
        90_000,
    ),
    (_ordinary("ec2", "AWSDTOUT", "USE1-DataTransfer-Out-Bytes", "0.09", "GB", "Instance", _MILLI), "aws", 120_000),
    (
        _ordinary("gce", "N2CORE", "N2 Instance Core running in Americas", "0.031611", "Hours", "Compute Instance"),
        "google",
        0,
    ),
    (_ordinary("dynamodb", "DDBWRITE", "USE1-WriteRequestUnits", "0.000000625", "Requests", "Table"), "aws", 4_000_000),
    (_ordinary("azure-sql", "SQLGP2", "vCore General Purpose Gen5", "0.252", "Hours", "SQL database"), "azure", 0),
    (_ordinary("elb", "ALBLCU", "USE1-LCUUsage", "0.008", "LCU-Hours", "Load Balancer", _MILLI), "aws", 61_000),
    (_ordinary("cloudwatch", "CWLOGS", "USE1-DataProcessing-Bytes", "0.50", "GB", "Log Group", _MILLI), "aws", 7_000),
    (
        _ordinary(
            "azure-bandwidth", "AZEGRESS", "Standard Data Transfer Out", "0.087", "GB", "Virtual network", _MILLI
        ),
        "azure",
        33_000,
    ),
    (
        _ordinary(
            "gcp-network", "GCPEGRESS", "Network Internet Data Transfer Out", "0.12", "GB", "Compute Instance", _MILLI
        ),
        "google",
        25_000,
    ),
)


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
