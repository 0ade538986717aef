"""No content makes a reader of telemetry raise, or say what can't be."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.sources.facts import FactReader
from outlay.sources.telemetry.cloudwatch_agent import CloudWatchGpuReader
from outlay.sources.telemetry.dcgm import DcgmReader
from outlay.sources.telemetry.nvml import NvmlReader
from outlay.sources.telemetry.prometheus import PrometheusReader
from tests.sources.telemetry.reading import FIXTURES, read

ODD: list[Any] = [None, True, 0, -1, 10**30, 1e300, "", "NaN", "-Inf", "1e999999999", "1_0", [], {}, [[]], "\x00", "²"]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON_READERS = [
    (PrometheusReader(), "prometheus.jsonl"),
    (PrometheusReader(), "kube_requests.json"),
    (CloudWatchGpuReader(), "cloudwatch_gpu.json"),
]


@pytest.mark.parametrize(("reader", "name"), JSON_READERS)
@QUICK
@given(data=st.data())
def test_documents_with_an_odd_value_anywhere(
    reader: FactReader, name: str, tmp_path: Path, data: st.DataObject
) -> None:
    text = (FIXTURES / name).read_text(encoding="utf-8")
    documents = [json.loads(line) for line in text.splitlines()] if name.endswith("jsonl") else [json.loads(text)]
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(data.draw(st.sampled_from(documents)), data)
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(one) for one in documents), encoding="utf-8")
    read(reader, path)


def mutate(node: Any, data: st.DataObject) -> None:
    """Put an odd value somewhere below ``node``, or take something away."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    if not keys:
        return
    key = data.draw(st.sampled_from(keys))
    if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.integers(0, 3)):
        mutate(node[key], data)
    elif data.draw(st.booleans()):
        node[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))  # it may be changed in its turn
    else:
        del node[key]


SAMPLE_LINES = (FIXTURES / "dcgm.prom").read_text(encoding="utf-8").splitlines()[:60]
PIECES = st.sampled_from(["{", "}", '"', "=", ",", "\\", " ", "NaN", "-1", "1e999999999", "UUID", "# ", "\t", "²", "_"])


@pytest.mark.parametrize("reader", [DcgmReader(), NvmlReader()])
@QUICK
@given(data=st.data())
def test_lines_cut_and_spliced_anywhere(reader: FactReader, tmp_path: Path, data: st.DataObject) -> None:
    lines = list(SAMPLE_LINES)
    if isinstance(reader, NvmlReader):
        lines = [line.replace("DCGM_FI_DEV_GPU_UTIL", "NVML_UTILIZATION_GPU") for line in lines]
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[at])))
        until = data.draw(st.integers(cut, len(lines[at])))
        lines[at] = lines[at][:cut] + data.draw(PIECES) + lines[at][until:]
    path = tmp_path / "scrapes.prom"
    path.write_text("\n".join(lines) + "\n# 2026-10-01T10:30:00Z\n" + "\n".join(lines[1:]), encoding="utf-8")
    read(reader, path)
