"""The demo's offers are labelled as made up, come in the units that AWS sells, and have something to commit to."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.config import CommitmentSettings
from outlay.demo.offers import write_demo_offers
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.offers.offer_file import read_offers
from outlay.optimize.commitments.plan import plan, today_of
from outlay.prices.gpus import gpu_instance
from tests.optimize.commitments.series import steady


@pytest.fixture
def offers(tmp_path: Path) -> tuple[Offer, ...]:
    return read_offers(write_demo_offers(tmp_path / "offers.csv"))


def test_every_price_says_that_it_is_made_up(offers: tuple[Offer, ...]) -> None:
    assert len(offers) == 16
    for one in offers:
        assert one.name.endswith("(synthetic)")
        assert one.source == "SYNTHETIC: made up"


def test_machines_come_whole_and_no_id_is_invented(offers: tuple[Offer, ...]) -> None:
    reserved = [one for one in offers if one.form == "reservation"]
    assert len(reserved) == 4
    for one in reserved:
        machine = gpu_instance("aws", one.sku or "")
        assert machine is not None
        assert (one.pool.split("/")[0], one.unit_gpus) == (machine.gpu_type, machine.gpu_count)
    assert {one.sku for one in offers if one.form != "reservation"} == {None}
    assert {one.provider for one in offers if not one.flex} == {"aws"}


def test_a_pool_below_a_machine_is_committed_to_in_money(offers: tuple[Offer, ...]) -> None:
    pool = steady(20, mean=2.5, pool="V100-16GB/us-east-1/inference")
    own = [one for one in offers if one.pool == pool.pool]
    (found,) = plan([pool], own, CommitmentSettings(), today=today_of([pool]), paths=50).pools
    assert found.verdict.word == "commit"
    assert found.verdict.best is not None
    assert found.verdict.best.offer.form == "savings_plan"
    assert {one.offer.form: one.nanos for one in found.options if one.offer.form == "reservation"} == {"reservation": 0}
