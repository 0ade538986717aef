"""What the driver says becomes samples, and samples a file that is read back.

The driver is the one thing that is faked: :class:`FakeNvml` answers as ``pynvml`` does, where there is no GPU.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from outlay.errors import MissingExtraError, UnreadableError
from outlay.sources.fact_file import open_facts
from outlay.sources.telemetry.dcgm import DcgmReader
from outlay.sources.telemetry.nvml import NvmlReader, exposition, sample
from outlay.sources.telemetry.samples import NOBODY, Holder
from tests.sources.telemetry.reading import by, read

TEN = datetime(2026, 10, 1, 10)


class NVMLError(Exception):
    """As pynvml raises it."""


class FakeNvml:
    """Three cards: one with processes, one free, one in MIG mode with one instance."""

    NVMLError = NVMLError

    def __init__(self) -> None:
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> Any:
        return f"GPU-{handle}".encode() if handle == 1 else f"GPU-{handle}"  # old versions of the package give bytes

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "NVIDIA A100-SXM4-40GB" if handle == 2 else 'NVIDIA "L4"' if handle == 1 else "NVIDIA L4"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=80 if handle == 0 else 0, memory=10)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=24 << 30, used=2 << 30, free=22 << 30)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 60_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        raise NVMLError

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:
        if handle == 2:
            return [1, 1]
        raise NVMLError

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, number: int) -> str:
        if number:
            raise NVMLError
        return "mig"

    def nvmlDeviceGetGpuInstanceId(self, handle: str) -> int:
        return 5

    def nvmlDeviceGetAttributes(self, handle: str) -> Any:
        return SimpleNamespace(gpuInstanceSliceCount=2)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[Any]:
        return {0: [SimpleNamespace(pid=11), SimpleNamespace(pid=12)], "mig": [SimpleNamespace(pid=13)]}.get(handle, [])

    def nvmlSystemGetProcessName(self, pid: int) -> bytes:
        return b"/usr/bin/python3.11"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pid, environment in {11: b"A=1\0SLURM_JOB_ID=4711\0", 12: b"SLURM_JOB_ID=4711", 13: b""}.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "environ").write_bytes(environment)
    return tmp_path


def test_the_driver_is_asked_for_every_card(proc: Path) -> None:
    driver = FakeNvml()
    found = sample(TEN, "box", driver, proc)
    assert driver.open == 0
    busy = {(one.part.card, one.part.instance, one.holder): one.value for one in found if "UTIL" in one.metric}
    assert busy == {
        ("GPU-0", None, Holder(job="4711")): 80,
        ("GPU-1", None, NOBODY): 0,
        ("GPU-2", "5", Holder("python3.11:13")): None,
    }
    assert {one.value for one in found if one.metric == "NVML_TOTAL_ENERGY_CONSUMPTION"} == {None}


def test_a_file_of_samples_is_read_back(proc: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpus.prom"
    moments = [TEN + timedelta(seconds=30 * tick) for tick in range(121)]
    lines = [line for now in moments for line in exposition(sample(now, "box", FakeNvml(), proc))]
    path.write_text("\n".join(lines), encoding="utf-8")
    file = open_facts(path)
    assert NvmlReader().recognises(file)
    assert not DcgmReader().recognises(file)
    facts, problems = read(NvmlReader(), path)
    assert problems == []
    rows = by(facts, "x_GpuId")
    assert (rows["GPU-0"]["x_BusyHours"], rows["GPU-0"]["x_ActiveHours"]) == (1, Decimal("0.8"))
    assert (rows["GPU-0"]["x_Run"], rows["GPU-0"]["x_EnergyKwh"]) == ("4711", Decimal("0.06"))
    assert (rows["GPU-1"]["x_UnallocatedHours"], rows["GPU-1"]["x_GpuName"]) == (1, 'NVIDIA "L4"')
    assert rows["MIG-GPU-2/5"]["x_NoTelemetryHours"] == Decimal("0.285714286")
    assert rows["MIG-GPU-2/5"]["x_Holder"] == "python3.11:13"
    assert rows["GPU-2"]["x_UnallocatedHours"] == Decimal("0.714285714")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(MissingExtraError, match="nvidia-ml-py"):
        sample(TEN, "box")


def test_without_a_driver_it_says_so() -> None:
    """The real package, where no driver is; where one is, it answers."""
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        with pytest.raises(UnreadableError, match="no NVIDIA driver answers"):
            sample(TEN, "box")
    else:
        assert sample(TEN, "box")
