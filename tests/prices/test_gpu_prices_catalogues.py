"""Public catalogues are read exactly, what they do not price is left out and said, and no content makes them fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UnreadableError, UsageError
from outlay.prices.aws_price_list import read_aws
from outlay.prices.gpu_prices import GpuPrices
from outlay.prices.gpu_table import COLUMNS, Catalogue, read_table, write_table
from outlay.prices.skypilot_catalog import read_skypilot
from tests.shared import shared

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/prices/gpus"
DAY = date(2026, 11, 20)


def text(relative: str) -> str:
    return (FIXTURES / relative).read_text(encoding="utf-8")


def aws(content: str, as_of: date | None = None) -> Catalogue:
    return read_aws(content.splitlines(keepends=True), source="index.csv", as_of=as_of)


def skypilot(content: str, provider: str = "aws") -> Catalogue:
    return read_skypilot(content.splitlines(keepends=True), provider=provider, as_of=DAY, source="vms.csv")


def table(content: str) -> Catalogue:
    return read_table(content.splitlines(keepends=True), "table.csv")


def told(catalogue: Catalogue) -> dict[tuple[str, str], Decimal]:
    return {(one.instance_type, one.purchase): one.unit_price for one in catalogue.prices}


def messages(catalogue: Catalogue) -> list[tuple[int | None, str]]:
    return sorted((one.line, one.message) for one in catalogue.problems if one.line is not None)


def test_the_price_list_of_aws() -> None:
    """An upfront fee is spread over 8,760 hours a year: 6.4 + 56064/8760 = 12.8, 210240/26280 = 8, 10000/8760."""
    read = aws(text("aws_index.csv"))
    assert told(read) == {
        ("p5.48xlarge", "on_demand"): Decimal("55.04"),
        ("p4d.24xlarge", "on_demand"): Decimal("21.957642"),
        ("p4d.24xlarge", "reserved_1yr_no_upfront"): Decimal("13.5"),
        ("p4d.24xlarge", "reserved_1yr_partial_upfront"): Decimal("12.8"),
        ("p4d.24xlarge", "reserved_3yr_all_upfront"): Decimal(8),
        ("p4d.24xlarge", "reserved_1yr_all_upfront_convertible"): Decimal("1.141552511415525114"),
        ("g6f.large", "on_demand"): Decimal("0.2"),
        ("trn1.2xlarge", "on_demand"): Decimal("1.34375"),
        ("p9.48xlarge", "on_demand"): Decimal(400),
    }
    assert {(one.provider, one.region, one.currency) for one in read.prices} == {("aws", "us-east-1", "USD")}
    assert {(one.valid_from, one.as_of) for one in read.prices} == {(date(2026, 6, 1), date(2026, 11, 1))}


def test_what_the_price_list_of_aws_does_not_price_is_said() -> None:
    assert messages(aws(text("aws_index.csv"))) == [
        (25, "g6.xlarge: the offer (reserved_1yr_partial_upfront) has no upfront fee"),
        (26, "g6.xlarge: unknown reservation '5yr, No Upfront, standard'"),
        (27, "g5.xlarge: a price of 0 (on_demand) is not taken for free"),
        (28, "g5.2xlarge: '1,212' is not a price"),
        (30, "g4dn.xlarge us-east-1 on_demand has two prices, 0.526 and 0.626: neither is used"),
        (31, "the line has more or fewer fields than the header"),
    ]


def test_prices_of_aws_hold_from_their_effective_day() -> None:
    book = GpuPrices([aws(text("aws_index.csv"))])
    assert book.price("AWS", "p5.48xlarge", "us-east-1", "on_demand", date(2026, 5, 31)) is None
    price = book.price("AWS", "p4d.24xlarge", "us-east-1", "reserved_1yr_partial_upfront", date(2026, 11, 11))
    assert price is not None
    assert (price.per_gpu_hour, price.days_old) == (Decimal("1.6"), 10)


def test_a_price_list_without_its_day_needs_one() -> None:
    without = text("aws_index.csv").replace('"Publication Date","2026-11-01T00:00:00Z"\n', "")
    with pytest.raises(UnreadableError, match="no Publication Date"):
        aws(without)
    assert {one.as_of for one in aws(without, as_of=DAY).prices} == {DAY}


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is not a price list"), ("a,b\n" * 30, "is not a price list"), ('"SKU","TermType"\n', "has no column")],
)
def test_what_is_no_price_list_is_unreadable(content: str, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        aws(content)


def test_the_dearest_zone_stands_for_a_region() -> None:
    read = skypilot(text("skypilot/aws/vms.csv"))
    assert told(read) == {
        ("g6e.xlarge", "on_demand"): Decimal("1.75"),
        ("g6e.xlarge", "spot"): Decimal("0.9"),
        ("g6f.xlarge", "on_demand"): Decimal("0.25"),
        ("g6f.xlarge", "spot"): Decimal("0.1"),
        ("p9.48xlarge", "on_demand"): Decimal(400),
        ("p5.48xlarge", "spot"): Decimal(30),
    }
    assert [one.source for one in read.prices if one.purchase == "spot"] == [
        "vms.csv, dearest of 2 zones",
        "vms.csv",
        "vms.csv",
    ]
    assert messages(read) == [
        (10, "'about 1' is not a price"),
        (11, "a price of 0.0 is not taken for free"),
        (12, "the line has more or fewer fields than the header"),
    ]


def test_googles_machines_and_their_gpus_are_added_up() -> None:
    """0.75 for the machine and 2.925 for its A100. A machine alone, and an on-demand price below spot, are none."""
    read = skypilot(text("skypilot/gcp/vms.csv"), "Google Cloud")
    assert told(read) == {
        ("a2-highgpu-1g", "on_demand"): Decimal("3.675"),
        ("a2-highgpu-1g", "spot"): Decimal("1.8"),
        ("a2-highgpu-8g", "on_demand"): Decimal("29.4"),
        ("a2-highgpu-8g", "spot"): Decimal("14.4"),
    }
    assert {(one.provider, one.region) for one in read.prices} == {("gcp", "us-central1")}
    assert messages(read) == [
        (3, "a2-highgpu-1g is priced without its GPUs, which us-west4-b has no price of"),
        (5, "a2-ultragpu-1g: spot at 3.5 is above on demand at 2.8"),
    ]


def test_a_published_catalogue() -> None:
    """The six rows of Nebius: 23.60 for eight H100 is 2.95 a GPU-hour, 10.00 on spot 1.25."""
    content = shared("data/gpu_prices/skypilot_v8_nebius_gpu_sample.csv").read_text(encoding="utf-8")
    read = skypilot(content, "nebius")
    assert (len(read.prices), read.problems) == (10, ())
    book = GpuPrices([read])
    for purchase, expected in (("on_demand", "2.95"), ("spot", "1.25")):
        price = book.price("Nebius", "gpu-h100-sxm_8gpu-128vcpu-1600gb", "eu-north1", purchase, DAY)
        assert price is not None
        assert price.per_gpu_hour == Decimal(expected)


def test_a_catalogue_needs_its_columns() -> None:
    with pytest.raises(UnreadableError, match="has no column 'InstanceType'"):
        skypilot("")
    with pytest.raises(UnreadableError, match="has no column 'Region'"):
        skypilot("InstanceType,AcceleratorName,AcceleratorCount,Price\n")


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    read = aws(text("aws_index.csv"))
    path = tmp_path / "gpus.csv"
    write_table(read.prices, path)
    write_table(read.prices, path)
    with path.open(newline="", encoding="utf-8") as file:
        again = read_table(file, "gpus.csv")
    assert (again.prices, again.problems) == (read.prices, ())
    assert [one.name for one in tmp_path.iterdir()] == ["gpus.csv"]


def test_another_file_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "thesis.csv"
    path.write_text("important", encoding="utf-8")
    with pytest.raises(UsageError, match="is not a table of GPU prices"):
        write_table(aws(text("aws_index.csv")).prices, path)
    assert path.read_text(encoding="utf-8") == "important"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("aws,p5.48xlarge,us-east-1,on-demand,1,USD,,,2026-11-01,", "unknown purchase 'on-demand'"),
        ("aws,p5.48xlarge,us-east-1,on_demand,0,USD,,,2026-11-01,", "a price of 0 is not taken for free"),
        ("aws,p5.48xlarge,us-east-1,on_demand,-1,USD,,,2026-11-01,", "'-1' is not a price"),
        ("aws,p5.48xlarge,us-east-1,on_demand,NaN,USD,,,2026-11-01,", "'NaN' is not a price"),
        ("aws,p5.48xlarge,us-east-1,on_demand,1e99,USD,,,2026-11-01,", "too much to be a price"),
        ("aws,p5.48xlarge,us-east-1,on_demand,1e-30,USD,,,2026-11-01,", "not taken for free"),
        ("aws,p5.48xlarge,us-east-1,on_demand,1,dollars,,,2026-11-01,", "currency 'dollars' is not an ISO 4217 code"),
        ("aws,p5.48xlarge,us-east-1,on_demand,1,USD,,,,", "'' is not a date"),
        ("aws,p5.48xlarge,us-east-1,on_demand,1,USD,2026-11-01,2026-11-01,2026-11-01,", "valid_to is not after"),
        (",p5.48xlarge,us-east-1,on_demand,1,USD,,,2026-11-01,", "no provider"),
        ("aws,p5.48xlarge", "more or fewer fields"),
    ],
)
def test_a_bad_line_of_a_table_is_a_problem_and_the_others_hold(cells: str, message: str) -> None:
    good = "aws,p5.48xlarge,us-east-1,on_demand,1,USD,,,2026-11-01,"
    read = table("\n".join((",".join(COLUMNS), cells, good)))
    assert [one.unit_price for one in read.prices] == [1]
    assert [one.valid_from for one in read.prices] == [date(2026, 11, 1)]
    ((line, said),) = messages(read)
    assert line == 2
    assert message in said


def test_a_table_has_known_columns_only() -> None:
    with pytest.raises(UnreadableError, match=r"unknown column 'price'.*unit_price"):
        table("provider,price\n")
    with pytest.raises(UnreadableError, match="has no column 'instance_type'"):
        table("provider\n")


READERS: dict[str, tuple[Callable[[str], Catalogue], str]] = {
    "aws": (lambda content: aws(content, as_of=DAY), "aws_index.csv"),
    "skypilot": (skypilot, "skypilot/aws/vms.csv"),
    "google": (lambda content: skypilot(content, "gcp"), "skypilot/gcp/vms.csv"),
}
SCRAPS = ("", '"', ",", "\n", "\r", "\0", "NaN", "-1", "1e999999999", "Infinity", "٣", "\ufeff", "0", "x" * 200_000)


@pytest.mark.parametrize("name", READERS)
@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(SCRAPS)), min_size=1, max_size=6),
    scrap=st.text(max_size=20),
)
def test_no_content_makes_a_reader_fail(name: str, edits: list[tuple[float, int, str]], scrap: str) -> None:
    """Fixtures with pieces cut out and put in: prices and problems, or one error that says it is no such file."""
    read, fixture = READERS[name]
    content = text(fixture)
    for place, cut, put in (*edits, (0.9, 3, scrap)):
        at = int(place * len(content))
        content = content[:at] + put + content[at + cut :]
    try:
        found = read(content)
    except UnreadableError:
        return
    assert all(0 < one.unit_price <= 2_000_000 for one in found.prices)
    GpuPrices([found]).at(DAY)


@pytest.mark.parametrize("name", READERS)
def test_every_cell_may_be_anything(name: str) -> None:
    """Line by line below the header, which a file needs to be told for what it is."""
    read, fixture = READERS[name]
    lines = text(fixture).splitlines()
    below = next(number for number, line in enumerate(lines) if "PricePerUnit" in line or "SpotPrice" in line) + 1
    dice = random.Random(7)
    for scrap in ("", "NaN", "-5", "1e400", "[]", "٣", "0", "null"):
        for line in range(below, len(lines)):
            cells = lines[line].split(",")
            cells[dice.randrange(len(cells))] = scrap
            read("\n".join((*lines[:line], ",".join(cells), *lines[line + 1 :])))


@given(st.text(max_size=300))
def test_any_text_is_a_table_or_unreadable(content: str) -> None:
    for lines in (content, ",".join(COLUMNS) + "\n" + content):
        try:
            table(lines)
        except UnreadableError:
            assert lines == content
