"""NVML: what the NVIDIA driver of this host says of its cards now, sample by sample.

For hosts without DCGM exporter. :func:`sample` asks the driver once (package ``nvidia-ml-py``, the same calls that
``nvidia-smi`` makes); a collector calls it each few seconds and appends :func:`exposition` of it to a file, which
:class:`NvmlReader` reads. A card is held where a compute process runs on it: by the Slurm job that the process belongs
to, else by the process; without one it is free.

The traps: NVML's utilisation is the share of time in which any kernel ran, as ``nvidia-smi`` shows it, and says nothing
of how much of the card the kernel filled; on a card in MIG mode the driver gives none, so those hours are not seen.

Source: NVIDIA NVML API reference; package nvidia-ml-py.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from outlay.errors import MissingExtraError, UnreadableError
from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact, Window
from outlay.sources.reader import Format
from outlay.sources.telemetry.dcgm import exposition_facts
from outlay.sources.telemetry.exposition import has_series
from outlay.sources.telemetry.rollup import Rules
from outlay.sources.telemetry.samples import NOBODY, Holder, Part, Sample, micros

__all__ = ["NvmlReader", "exposition", "sample"]

_PROC = Path("/proc")


class NvmlReader:
    """Reads samples that :func:`exposition` wrote."""

    format = Format(
        "nvml",
        "NVML samples of a host",
        "Samples of the NVIDIA driver on a host, as 'outlay collect gpu' writes them.",
    )
    table: FactTable = GPU_USAGE
    restates: Literal["rows", "windows"] = "rows"

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()

    def recognises(self, file: FactFile) -> bool:
        """Lines of text that are readings of ``NVML_`` metrics, and none of DCGM's."""
        return file.kind in ("text", "csv") and has_series(file.head, "NVML_") and not has_series(file.head, "DCGM_FI_")

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """Rows by card, hour and holder."""
        return exposition_facts(file, self.rules)


def sample(now: datetime, host: str, driver: Any = None, proc: Path = _PROC) -> list[Sample]:  # noqa: ANN401
    """What the driver says of every card of ``host`` at ``now`` (naive UTC).

    ``driver`` is the module ``pynvml`` or what acts like it. Raises :class:`MissingExtraError` where it is not
    installed, :class:`UnreadableError` where there is no driver. A figure that a card does not support is None.
    """
    nvml = driver if driver is not None else _driver()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise UnreadableError(
            f"no NVIDIA driver answers ({error}).",
            where=host,
            hint="Run it on a host with NVIDIA GPUs and their driver; `nvidia-smi` shows whether it works.",
        ) from None
    try:
        found = []
        for index in range(nvml.nvmlDeviceGetCount()):
            found += _Card(nvml, index, host, proc).samples(now)
        return found
    finally:
        nvml.nvmlShutdown()


def exposition(samples: Iterable[Sample]) -> Iterator[str]:
    """Samples as lines of the Prometheus text format, each with its time in milliseconds."""
    for one in samples:
        part = one.part
        labels = {
            "UUID": part.card,
            "gpu": "" if part.index is None else str(part.index),
            "modelName": part.model or "",
            "Hostname": part.host or "",
            "GPU_I_ID": part.instance or "",
            "GPU_I_PROFILE": part.profile or "",
        }
        if one.holder is not None:  # an empty holder is nobody; none at all is not told
            labels |= {"process": one.holder.name or "", "hpc_job": one.holder.job or ""}
        told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        value = "NaN" if one.value is None else one.value
        yield f"{one.metric}{{{told}}} {value} {micros(one.at) // 1000}"


class _Card:
    """One card of a host, as the driver knows it."""

    def __init__(self, nvml: Any, index: int, host: str, proc: Path) -> None:  # noqa: ANN401 - a module without types
        self.nvml = nvml
        self.proc = proc
        self.handle = nvml.nvmlDeviceGetHandleByIndex(index)
        self.part = Part(
            card=_text(nvml.nvmlDeviceGetUUID(self.handle)),
            host=host,
            index=index,
            model=_text(self._asked(nvml.nvmlDeviceGetName, self.handle)) or None,
        )

    def samples(self, now: datetime) -> list[Sample]:
        """Samples of the card, or of its MIG instances with the card's power and energy."""
        power = self._asked(self.nvml.nvmlDeviceGetPowerUsage, self.handle)
        energy = self._asked(self.nvml.nvmlDeviceGetTotalEnergyConsumption, self.handle)
        found = []
        for part, handle in self._instances() or [(self.part, self.handle)]:
            rates = None if part.instance else self._asked(self.nvml.nvmlDeviceGetUtilizationRates, handle)
            memory = self._asked(self.nvml.nvmlDeviceGetMemoryInfo, handle)
            told = {
                "NVML_UTILIZATION_GPU": None if rates is None else rates.gpu,
                "NVML_MEMORY_USED": None if memory is None else memory.used,
                "NVML_POWER_USAGE": power,
                "NVML_TOTAL_ENERGY_CONSUMPTION": energy,
            }
            for holder in self._holders(handle):
                found += [Sample(now, part, holder, metric, value) for metric, value in told.items()]
        return found

    def _instances(self) -> list[tuple[Part, Any]]:
        modes = self._asked(self.nvml.nvmlDeviceGetMigMode, self.handle)
        if not modes or not modes[0]:
            return []
        found = []
        for number in range(self._asked(self.nvml.nvmlDeviceGetMaxMigDeviceCount, self.handle) or 0):
            handle = self._asked(self.nvml.nvmlDeviceGetMigDeviceHandleByIndex, self.handle, number)
            if handle is None:
                continue
            instance = self._asked(self.nvml.nvmlDeviceGetGpuInstanceId, handle)
            slices = getattr(self._asked(self.nvml.nvmlDeviceGetAttributes, handle), "gpuInstanceSliceCount", None)
            profile = f"{slices}g." if slices else None
            part = Part(self.part.card, str(instance), profile, self.part.host, self.part.index, self.part.model)
            found.append((part, handle))
        return found

    def _holders(self, handle: Any) -> list[Holder | None]:  # noqa: ANN401 - a module without types
        processes = self._asked(self.nvml.nvmlDeviceGetComputeRunningProcesses, handle)
        if processes is None:
            return [None]
        found = {self._holder(process.pid) for process in processes}
        return [*sorted(found, key=lambda holder: (holder.job or "", holder.name or ""))] or [NOBODY]

    def _holder(self, pid: int) -> Holder:
        job = _environment(self.proc / str(pid) / "environ").get("SLURM_JOB_ID")
        if job:
            return Holder(job=job)
        name = _text(self._asked(self.nvml.nvmlSystemGetProcessName, pid))
        return Holder(f"{Path(name).name or 'process'}:{pid}")

    def _asked(self, ask: Callable[..., Any], *of: Any) -> Any:  # noqa: ANN401 - a module without types
        """The driver's answer; None where the card does not support the question."""
        try:
            return ask(*of)
        except self.nvml.NVMLError:
            return None


def _driver() -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        raise MissingExtraError(
            "Sampling GPUs needs the package nvidia-ml-py.", hint="Install it: pip install 'outlay[gpu]'."
        ) from None


def _environment(path: Path) -> dict[str, str]:
    """A process' environment; empty where it has gone or is not ours to read."""
    try:
        content = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in content.split("\0") if "=" in entry)


def _text(value: Any) -> str:  # noqa: ANN401 - bytes in old versions of the package, text in new ones
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
