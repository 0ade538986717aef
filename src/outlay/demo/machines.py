"""The company's GPUs: reservations, provisioned throughput, inference pools, notebooks and training runs.

Planted: a reservation that stands empty at night; a pool on demand beside a team that pays the committed rate for
the same machine; training that may be interrupted, on demand beside the same machine on spot; V100s beside newer
cards that cost less; notebooks that nobody turns off; provisioned throughput without traffic. Pools that carry no
plant scale to zero at night, so that their base, which a commitment could cover, is nothing.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from outlay.demo.book import PROGRAMS, Book
from outlay.demo.catalogue import (
    PROVIDERS,
    SPOT_SHARE,
    Sku,
    azure_h100,
    ec2,
    google_gpu,
    provisioned_throughput,
    sagemaker,
)
from outlay.demo.chance import key_of, mix
from outlay.demo.lines import ALWAYS, Commitment, Grain, Line, Schedule

__all__ = [
    "GPU_RESERVATION",
    "INFERENCE_RESERVATION",
    "RUN_KINDS",
    "add_commitments",
    "add_notebooks",
    "add_pools",
    "add_provisioned",
    "add_run",
    "add_steady",
]

GPU_RESERVATION = Commitment(
    "arn:aws:ec2:us-east-1:900000000001:reserved-instances/synthetic-p5",
    "p5.48xlarge x2, 1 year",
    "Usage",
    "Reserved Instance",
    Decimal("34.6752"),  # 63 % of the on-demand 55.04; made up
)
INFERENCE_RESERVATION = Commitment(
    "arn:aws:ec2:us-east-1:900000000001:reserved-instances/synthetic-g5",
    "g5.12xlarge x1, 1 year",
    "Usage",
    "Reserved Instance",
    Decimal("3.57336"),  # 63 % of the on-demand 5.672; made up
)

RUN_KINDS = ("interruptible", "spot", "platform", "google")
"""Kinds of training run; only ``interruptible`` is on demand though it need not be."""

_RUN_STATES = ("succeeded", "failed", "cancelled", "succeeded", "succeeded")


def _inference(use_case: str, model: str) -> dict[str, str]:
    return {"use_case": use_case, "model": model, "workload": "inference"}


def _data(use_case: str) -> dict[str, str]:
    return {"use_case": use_case, "workload": "data"}


def _label(name: str) -> frozenset[str]:
    return frozenset({name} if name else ())


def add_commitments(book: Book, grain: Grain) -> None:
    """Two reservations: p5 for two machines of which the second is used by day only, g5 for one that always runs."""
    big, small = ec2("p5.48xlarge"), ec2("g5.12xlarge")
    partly = Schedule((6, 23), (9, 18), wobble=3)
    serving = _inference("chat-assistant", "llama-3.3-70b")
    ranking = _inference("answer-ranking", "bge-reranker-large")
    for number, schedule in enumerate((ALWAYS, partly)):
        name = f"llm-serving-{number}"
        line = book.line(name, big, "assistant", "prod", grain, region="aws", tags=serving, chance="llm-serving")
        book.add(replace(book.used(line, GPU_RESERVATION), schedule=schedule))
    owner = book.line("llm-serving-reservation", big, "platform", "prod", grain, region="aws", chance="llm-serving")
    book.add(
        replace(
            book.unused(owner, GPU_RESERVATION),
            schedule=replace(partly, inverse=True),
            labels=_label("unused-commitment"),
        )
    )
    book.add(book.fee(replace(owner, name="llm-serving-fee"), GPU_RESERVATION, 2))
    line = book.line("answer-ranking-0", small, "assistant", "prod", grain, region="aws", tags=ranking)
    book.add(replace(book.used(line, INFERENCE_RESERVATION), labels=_label("committed-peer")))
    owner = book.line("answer-ranking-fee", small, "platform", "prod", "month", region="aws")
    book.add(book.fee(owner, INFERENCE_RESERVATION, 1))


def add_provisioned(book: Book, grain: Grain) -> None:
    """100 provisioned throughput units: 60 always at work, 40 by day; at night those are paid for and idle."""
    busy = Schedule((7, 21), (10, 16), wobble=2)
    for name, units, schedule, status in (
        ("provisioned-0", 60, ALWAYS, "Used"),
        ("provisioned-1", 40, busy, "Used"),
        ("provisioned-1", 40, replace(busy, inverse=True), "Unused"),
    ):
        line = book.line(
            name,
            provisioned_throughput(),
            "assistant",
            "prod",
            grain,
            region="azure",
            tags=_inference("chat-assistant", "gpt-4o"),
        )
        book.add(
            replace(
                line,
                name=f"{name}/{status.lower()}",
                units=units,
                schedule=schedule,
                capacity_id=f"{PROVIDERS['Microsoft'].account_id}/deployments/{name}",
                capacity_status="Used" if status == "Used" else "Unused",
                labels=_label("idle-provisioned" if status == "Unused" else ""),
            )
        )


def add_steady(book: Book, grain: Grain, instances: int) -> None:
    """``instances`` of one type, on demand, every hour of the period."""
    tags = _inference("query-understanding", "bge-reranker-large")
    for number in range(instances):
        line = book.line(
            f"query-understanding-{number}",
            ec2("g5.12xlarge"),
            "search",
            "prod",
            grain,
            region="aws",
            tags=tags,
        )
        book.add(replace(line, eligible=PROGRAMS, labels=_label("steady-on-demand")))


def add_notebooks(book: Book, grain: Grain, instances: int) -> None:
    """Development machines, started in the middle of the period and on ever since, nights and weekends too."""
    calendar = book.calendar
    since = calendar.month_start(len(calendar.months) // 2)
    for number in range(instances):
        line = book.line(
            f"notebook-{number}",
            ec2("g5.8xlarge"),
            ("research", "vision")[number % 2],
            "dev",
            grain,
            region="aws",
            tags=_data("notebooks"),
            window=(since, calendar.last_hour),
        )
        book.add(replace(line, eligible=PROGRAMS, labels=_label("non-production-hours")))


_SPELLING = sagemaker("ml.g5.2xlarge", "Host", "1.515", 1)
_LABELLING = sagemaker("ml.m5.xlarge", "Processing", "0.23", 0)
_POOLS: tuple[tuple[str, Sku, str, str, str, Schedule, str], ...] = (
    ("image-tagging-0", ec2("p3.8xlarge"), "vision", "aws", "clip-vit-l", Schedule((6, 22), (8, 20)), "older"),
    ("image-search-0", ec2("g6e.xlarge"), "vision", "aws", "siglip", Schedule((5, 23), (7, 22), 2), "newer"),
    ("image-search-1", ec2("g6e.xlarge"), "vision", "aws", "siglip", Schedule((8, 20), (0, 0), 2), "newer"),
    ("voice-0", azure_h100(), "assistant", "azure", "whisper-large-v3", Schedule((6, 22), (8, 20), 2), ""),
    ("index-0", google_gpu("A100"), "search", "google", "e5-mistral-7b", Schedule((7, 21), (0, 0), 1), ""),
    ("spelling-0", _SPELLING, "search", "aws", "byt5", Schedule((6, 24), (6, 24)), ""),
    ("labelling-0", _LABELLING, "research", "aws", "", Schedule((8, 18), (0, 0)), ""),
    ("forgotten-0", ec2("g6.xlarge"), "platform", "aws", "", Schedule((6, 22), (6, 22)), "untagged"),
)  # fmt: skip


def add_pools(book: Book, grain: Grain) -> None:
    """Inference pools that follow the day and the week. A third of the time in, image-search gets a second machine."""
    calendar = book.calendar
    later = (calendar.month_start(len(calendar.months) // 3), calendar.last_hour)
    labels = {"older": "older-generation", "newer": "newer-peer"}
    for name, sku, team, region, model, schedule, role in _POOLS:
        pool = name.rpartition("-")[0]
        line = book.line(
            name,
            sku,
            team,
            "prod",
            grain,
            region=region,
            tags=_inference(pool, model) if model else _data(pool),
            window=later if name == "image-search-1" else None,
        )
        book.add(
            replace(
                line,
                tags=None if role == "untagged" else line.tags,
                schedule=schedule,
                eligible=PROGRAMS if sku.service == "ec2" else (),
                labels=_label(labels.get(role, "")),
            )
        )


def add_run(book: Book, kind: str, number: int, hours: int) -> Line:
    """One training run: hourly rows of one machine somewhere in the period, tagged with how it ended.

    Cancelled runs are long and failed ones short, as in published cluster traces (Acme: cancelled jobs took 5 to
    8 times the GPU time of failed ones). Interruptible runs all succeed, so that what they cost is in one plant
    only.
    """
    status = "succeeded" if kind == "interruptible" else _RUN_STATES[number % len(_RUN_STATES)]
    hours = {"failed": max(1, hours // 2), "cancelled": hours * 2}.get(status, hours)
    sku, team, region, model, spot = {
        "interruptible": (ec2("p4d.24xlarge", west=True), "research", "aws-west", "outlay-7b", False),
        "spot": (ec2("p4d.24xlarge", spot=True, west=True), "research", "aws-west", "outlay-7b", True),
        "platform": (sagemaker("ml.p4d.24xlarge", "Train", "25.25", 8), "assistant", "aws", "chat-tuned", False),
        "google": (google_gpu("H100", spot=True), "vision", "google", "detector-x", True),
    }[kind]  # fmt: skip
    name = f"train-{kind}-{number:05d}"
    first, last = book.calendar.first_hour, book.calendar.last_hour
    hours = min(hours, last - first)
    start = first + mix(key_of(book.seed, name), 0) % (last - first - hours + 1)
    tags = {
        "use_case": "pretraining",
        "model": model,
        "workload": "training",
        "run_id": name,
        "run_status": status,
    }
    if kind in ("interruptible", "spot"):
        tags["interruptible"] = "true"
    labels = {"interruptible": {"interruptible-training"}, "spot": {"spot-peer"}}.get(kind, set())
    if status != "succeeded":
        labels = labels | {f"run-{status}"}
    line = book.line(
        name,
        sku,
        team,
        "prod",
        "hour",
        region=region,
        tags=tags,
        window=(start, start + hours),
        contracted=sku.price * SPOT_SHARE if spot else None,
    )
    return book.add(
        replace(
            line,
            pricing_category="Dynamic" if spot else "Standard",
            units=8 if kind == "google" else 1,
            eligible=PROGRAMS if sku.service == "ec2" and not spot else (),
            labels=frozenset(labels),
        )
    )
