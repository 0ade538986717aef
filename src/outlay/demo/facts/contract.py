"""The company's own token prices where they are not the list's, as the CSV that ``[prices] tokens`` takes.

With it, usage is priced as the bill is: what is left of the difference is the usage that is not billed yet.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from outlay.demo.lines import Line
from outlay.money import plain

__all__ = ["CONTRACT_NAME", "write_contract"]

CONTRACT_NAME = "synthetic-token-prices.csv"

_COLUMNS = ("provider", "model", "meter", "unit_price", "per", "when", "source")
_PER = 1_000_000
_METERS = {"uncached": "input", "read": "cache_read", "output": "output"}
_SOURCE = "synthetic contract"


def write_contract(folder: Path, lines: Sequence[Line]) -> Path:
    """Writes the batch prices of OpenAI and the negotiated ones of Azure OpenAI."""
    path = folder / CONTRACT_NAME
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(sorted(set(_rows(lines))))
    return path


def _rows(lines: Sequence[Line]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        if line.counts != "volume" or line.sku.ai != "tokens":
            continue
        batch = line.sku.details.get("x_ServiceTier") == "batch"
        negotiated = line.sku.service == "azure-openai"
        if batch or negotiated:
            price = line.effective_price * line.sku.per_unit * _PER
            yield (
                "azure" if negotiated else "openai",
                str(line.sku.details["ModelId"]),
                _METERS[line.name.rpartition("/")[2]],
                plain(price),
                str(_PER),
                "processing=batch" if batch else "",
                _SOURCE,
            )
