"""Each file of commitments, outcomes or alerts belongs to one reader, and none of them is a bill."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.errors import OutlayError
from outlay.plugins import plugin_manager
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import FactReader
from outlay.sources.opening import open_raw
from outlay.sources.reader import Reader
from outlay.sources.records.alerts_csv import AlertsReader
from outlay.sources.records.aws_commitments import AwsCommitmentsReader
from outlay.sources.records.azure_reservations import AzureReservationsReader
from outlay.sources.records.focus_commitments import FocusCommitmentsReader
from outlay.sources.records.gcp_commitments import GcpCommitmentsReader
from outlay.sources.records.outcomes_csv import OutcomesReader
from tests.shared import shared
from tests.sources.records.reading import FIXTURES

_READERS: tuple[FactReader, ...] = (
    AlertsReader(),
    AwsCommitmentsReader(),
    AzureReservationsReader(),
    FocusCommitmentsReader(),
    GcpCommitmentsReader(),
    OutcomesReader(),
)
_FILES = sorted(path for path in FIXTURES.iterdir() if path.suffix != ".md")


def _bill_readers() -> list[Reader]:
    return [reader for readers in plugin_manager().hook.outlay_readers() for reader in readers]


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_one_reader_a_file_and_no_bill(path: Path) -> None:
    assert sum(reader.recognises(open_facts(path)) for reader in _READERS) == 1
    try:
        raw = open_raw(path)
    except OutlayError:  # a JSON document over many lines is nothing that bills are written in
        return
    bills = _bill_readers()
    assert bills
    assert not any(reader.recognises(raw) for reader in bills)


@pytest.mark.parametrize(
    "folder", ["data/focus/focus_spec_v1.2", "data/focus/focus_sample_data", "data/focus/azure_finops_toolkit"]
)
def test_no_bill_is_taken(folder: str) -> None:
    for path in shared(folder).iterdir():
        file = open_facts(path)
        assert not any(reader.recognises(file) for reader in _READERS), path.name


def test_no_other_fact_is_taken() -> None:
    for path in shared("data/provider_usage").iterdir():
        file = open_facts(path)
        assert not any(reader.recognises(file) for reader in _READERS), path.name
