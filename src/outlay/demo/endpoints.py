"""The company's token endpoints: who calls which model, how much, and the waste planted among them.

Planted: a team that sends every prompt uncached on a model that another team reads from cache; a nightly job that
pays for answers within seconds on a model whose batch price is on the bill; a model whose list price falls; a day
of retries; embeddings that no team has tagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from outlay.demo.book import Book
from outlay.demo.lines import Grain
from outlay.demo.models import tokens

__all__ = ["ANOMALY_BOOST", "PRICE_FALL", "Endpoint", "add_endpoint", "add_endpoints"]

ANOMALY_BOOST = 4
"""How many times its usual tokens the anomalous endpoint uses on its day."""

PRICE_FALL = Decimal("0.75")
"""New list price / old list price."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A use case on one model: tokens a day by meter, at the start. ``tier`` goes before each meter's name."""

    use_case: str
    model: str
    volumes: Mapping[str, int]
    team: str
    environment: str = "prod"
    region: str | None = None
    label: str = ""
    tier: str = ""
    weekend_permille: int = 600
    tags: Mapping[str, str] | None = None


_ENDPOINTS = (
    Endpoint(
        "chat-assistant",
        "claude-sonnet-4-5",
        {"uncached": 40_000_000, "read": 210_000_000, "write": 20_000_000, "output": 12_000_000},
        "assistant",
        label="cached-peer",
    ),
    Endpoint(
        "document-extraction",
        "claude-sonnet-4-5",
        {"uncached": 60_000_000, "output": 5_000_000},
        "vision",
        label="uncached-input",
    ),
    Endpoint(
        "query-rewriting",
        "gpt-4o-mini",
        {"uncached": 300_000_000, "read": 500_000_000, "output": 90_000_000},
        "search",
    ),
    Endpoint(
        "offline-evaluation",
        "gpt-5",
        {"uncached": 120_000_000, "output": 10_000_000},
        "research",
        "staging",
        label="batch-peer",
        tier="batch-",
        weekend_permille=1000,
    ),
    Endpoint(
        "nightly-summaries",
        "gpt-5",
        {"uncached": 80_000_000, "output": 9_000_000},
        "platform",
        label="batch-tier",
        weekend_permille=1000,
        tags={"latency": "batch"},
    ),
    Endpoint(
        "image-captioning",
        "gemini-2.5-flash",
        {"uncached": 200_000_000, "read": 260_000_000, "output": 30_000_000},
        "vision",
        region="google",
    ),
)
_UNTAGGED = Endpoint("embeddings", "text-embedding-3-large", {"uncached": 400_000_000}, "platform")
_CHEAPER = Endpoint(
    "reranking",
    "nova-pro",
    {"uncached": 90_000_000, "read": 150_000_000, "output": 12_000_000},
    "search",
    region="aws",
)
_ANOMALOUS = Endpoint(
    "agent-tools",
    "gpt-4o",
    {"uncached": 30_000_000, "read": 45_000_000, "output": 8_000_000},
    "assistant",
    region="azure",
)


def add_endpoint(
    book: Book,
    endpoint: Endpoint,
    grain: Grain,
    *,
    name: str | None = None,
    window: tuple[int, int] | None = None,
    boost: int = 1,
    price_factor: Decimal = Decimal(1),
) -> None:
    """A line a meter. The meters are used through one key and rise and fall together; ``name`` tells two keys apart."""
    name = name or endpoint.use_case
    for meter, base in endpoint.volumes.items():
        quoted = tokens(endpoint.model, endpoint.tier + meter)
        sku = replace(quoted, price=quoted.price * price_factor)
        tags = {
            "use_case": endpoint.use_case,
            "model": endpoint.model,
            "workload": "inference",
            **(endpoint.tags or {}),
        }
        line = book.line(
            name,
            sku,
            endpoint.team,
            endpoint.environment,
            grain,
            region=endpoint.region,
            tags=tags,
            window=window,
        )
        book.add(
            replace(
                line,
                name=f"{name}/{meter}",
                counts="volume",
                base=base,
                growth_permille=400,
                weekend_permille=endpoint.weekend_permille,
                boost=boost,
                labels=frozenset({endpoint.label} if endpoint.label else ()),
            )
        )


def add_endpoints(book: Book, grain: Grain, anomaly: Grain) -> None:
    """All of the core's endpoints at ``grain``; the one with the anomaly at its own, since it shows on a day."""
    for endpoint in _ENDPOINTS:
        add_endpoint(book, endpoint, grain)
    already = len(book.lines)
    add_endpoint(book, _UNTAGGED, grain)
    book.lines[already:] = [replace(line, tags={"environment": "prod"}) for line in book.lines[already:]]
    _add_price_change(book, grain)
    _add_anomaly(book, anomaly)


def _add_price_change(book: Book, grain: Grain) -> None:
    """The list price falls with the first month of the second half; a single month has no fall."""
    calendar = book.calendar
    change = calendar.month_start(len(calendar.months) // 2)
    if len(calendar.months) == 1:
        add_endpoint(book, _CHEAPER, grain)
        return
    add_endpoint(book, replace(_CHEAPER, label="price-before"), grain, window=(calendar.first_hour, change))
    add_endpoint(
        book,
        replace(_CHEAPER, label="price-after"),
        grain,
        window=(change, calendar.last_hour),
        price_factor=PRICE_FALL,
    )


def _add_anomaly(book: Book, grain: Grain) -> None:
    """One day of retries, on every meter alike; its price and its neighbours stay as they were."""
    calendar = book.calendar
    if grain != "day":
        add_endpoint(book, _ANOMALOUS, grain)
        return
    day = calendar.first_day + calendar.days * 3 // 5
    wednesday = day - (day + 3) % 7 + 2  # a day whose neighbours are weekdays too
    start = min(max(wednesday, calendar.first_day), calendar.last_day - 1) * 24
    if start > calendar.first_hour:
        add_endpoint(book, _ANOMALOUS, grain, window=(calendar.first_hour, start))
    retried = replace(_ANOMALOUS, label="anomaly")
    add_endpoint(book, retried, grain, window=(start, start + 24), boost=ANOMALY_BOOST)
    if start + 24 < calendar.last_hour:
        add_endpoint(book, _ANOMALOUS, grain, window=(start + 24, calendar.last_hour))
