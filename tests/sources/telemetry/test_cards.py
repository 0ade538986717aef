"""A driver's model name is the card that the price book knows by another name, or none."""

from __future__ import annotations

import pytest

from outlay.sources.telemetry.cards import gpu_type


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA GB200", "GB200"),
        ("NVIDIA B300 SXM6 AC", "B300"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100 80GB PCIe", "A100-80GB"),
        ("A100-PCIE-40GB", "A100-40GB"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "A100-40GB"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("Tesla T4", "T4"),
        ("NVIDIA T4G", "T4g"),
        ("Tesla V100-SXM2-16GB", "V100-16GB"),
        ("Tesla V100-SXM2-32GB-LS", "V100-32GB"),
        ("Tesla P100-PCIE-16GB", "P100"),
        ("Tesla K80", "K80"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("NVIDIA A100", None),  # sold with two sizes of memory
        ("NVIDIA H20", None),
        ("NVIDIA GeForce RTX 4090", None),
        ("NVIDIA RTX A5000", None),
        ("Quadro RTX 6000", None),
        ("", None),
        (None, None),
    ],
)
def test_a_model_name_is_one_card_or_none(model: str | None, name: str | None) -> None:
    assert gpu_type(model) == name
