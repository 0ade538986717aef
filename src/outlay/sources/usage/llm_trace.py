"""Two public traces of LLM traffic, so that Outlay can be tried on real load: Azure's and Mooncake's.

Azure's LLM inference traces (2023 and 2024) are CSV files of ``TIMESTAMP,ContextTokens,GeneratedTokens``; Mooncake's
(Kimi's chat service) are JSON lines of ``timestamp``, ``input_length``, ``output_length`` and ``hash_ids``, the prefix
blocks that a cache could share.

They were made anonymous: no user, no model, no outcome. So a row has no provider and no model and stays unpriced; what
a trace would cost with some model is a question for ``outlay price``, and its answer no fact.

The trap: Mooncake counts milliseconds from a start that it does not tell. They are kept as counted: its zero stands at
1970-01-01T00:00:00, which is a zero and no date.

Source: Azure/AzurePublicDataset (CC-BY 4.0); kvcache-ai/Mooncake, FAST25-release/traces (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FactTable
from outlay.prices.usage import Usage
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact, Value, Window, epoch, moment
from outlay.sources.reader import Format
from outlay.sources.usage.call_log import call_rows, fingerprint, no_time, read_usage, whole

__all__ = ["LLMTraceReader"]

_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_MOONCAKE = ("timestamp", "input_length", "output_length")


class LLMTraceReader:
    """Reads a trace as calls without a model."""

    format = Format(
        "llm-trace",
        "Public LLM traces: Azure LLM inference, Mooncake",
        "A CSV of AzurePublicDataset, or JSON lines of Mooncake's release, as published.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Azure's three columns and no others, or Mooncake's fields with their prefix blocks."""
        if file.kind == "csv":
            return file.header == _AZURE
        one = file.sample
        return (
            isinstance(one, dict) and isinstance(one.get("hash_ids"), list) and all(name in one for name in _MOONCAKE)
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A row for each request of the trace."""
        names, source = (_AZURE, "azure-llm-trace") if file.kind == "csv" else (_MOONCAKE, "mooncake-trace")
        alike: dict[str, int] = {}
        before: datetime | None = None
        for one in file.records() if file.kind == "csv" else file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            number, record = one
            said = record.get(names[0])
            start = moment(said) if file.kind == "csv" else epoch(said, per_second=1000)
            if start is None:
                yield no_time(file, number, names[0], said)
                continue
            if start != before:
                alike, before = {}, start
            # A trace has no ids, and may have the same request at the same moment twice.
            identity = fingerprint(record)
            alike[identity] = alike.get(identity, 0) + 1
            values: dict[str, Value] = {"start_time": start, "x_Remarks": "cache-not-told;model-not-told"}
            usage = _usage(file, number, record, names[1:])
            if isinstance(usage, Problem):
                yield usage
            else:
                yield from call_rows(f"{identity}-{alike[identity]}", number, values, usage, source=source)


def _usage(file: FactFile, number: int, record: Mapping[str, Any], names: tuple[str, ...]) -> Usage | Problem:
    counts = [whole(record.get(name)) for name in names]
    if None in counts:
        name = names[counts.index(None)]
        said = str(record.get(name))[:60]
        return file.problem(number, "unparsable-amount", f"{name} is no whole number: {said!r}")
    raw = {"gen_ai.usage.input_tokens": counts[0], "gen_ai.usage.output_tokens": counts[1]}
    return read_usage(file, number, "", raw, "otel")
