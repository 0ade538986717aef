"""Each file of runs is recognised by one reader of runs, and no other file, bills included, by any."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.errors import UnreadableError
from outlay.sources.fact_file import FactFile, open_facts
from outlay.sources.facts import FactReader
from outlay.sources.runs.acme_summary import AcmeSummaryReader
from outlay.sources.runs.kubernetes_jobs import KubernetesJobsReader
from outlay.sources.runs.mlflow_runs import MlflowReader
from outlay.sources.runs.openb_pods import OpenbPodsReader
from outlay.sources.runs.ray_jobs import RayJobsReader
from outlay.sources.runs.run_record import RunRecordReader
from outlay.sources.runs.sagemaker import SageMakerReader
from outlay.sources.runs.slurm import SlurmReader
from outlay.sources.runs.wandb_runs import WandbReader
from tests.shared import shared
from tests.sources.runs.reading import FIXTURES

READERS: tuple[FactReader, ...] = (
    AcmeSummaryReader(),
    KubernetesJobsReader(),
    MlflowReader(),
    OpenbPodsReader(),
    RayJobsReader(),
    RunRecordReader(),
    SageMakerReader(),
    SlurmReader(),
    WandbReader(),
)
FILES = sorted(path for path in FIXTURES.rglob("*") if path.is_file() and path.suffix != ".md")
OTHERS = sorted(
    path
    for path in FIXTURES.parent.rglob("*")
    if path.is_file() and path.suffix in (".csv", ".json", ".jsonl", ".txt") and FIXTURES not in path.parents
)


def opened(path: Path) -> FactFile | None:
    try:
        return open_facts(path)
    except (UnreadableError, IndexError):
        return None


def takers(path: Path) -> list[str]:
    file = opened(path)
    return [] if file is None else [reader.format.id for reader in READERS if reader.recognises(file)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_of_runs_has_one_reader(path: Path) -> None:
    assert takers(path) == [path.parent.name.replace("_", "-")]


def test_the_fixtures_of_other_sources_have_none() -> None:
    assert {str(path): found for path in OTHERS if (found := takers(path))} == {}


def test_published_samples_of_other_sources_have_none() -> None:
    folder = shared("data/provider_usage")
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 2_000_000]
    assert {str(path): found for path in files if (found := takers(path))} == {}


def test_formats_are_named_apart() -> None:
    assert len({reader.format.id for reader in READERS}) == len(READERS)
    assert all(isinstance(reader, FactReader) for reader in READERS)
