"""What was noticed of the bills behind an answer when they were loaded.

A notice keeps no row out, but a figure that rests on it should carry it. The one that matters most: where a provider
delivered effective costs that are unusable (``degenerate-effective-cost``), the answer still sums them as delivered,
while ``outlay overspend`` counts that provider by BilledCost. Two figures of one bill that differ need a reason, so the
note names the bill, its source and the basis. A notice about a column that no asked metric reads is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from outlay.ledger.store import LoadRecord
from outlay.metrics.catalogue import Metric

__all__ = ["notices"]

_EFFECTIVE = "degenerate-effective-cost"
_CONCERNS = {
    _EFFECTIVE: "EffectiveCost",
    "effective-cost-unknown": "EffectiveCost",
    "commitment-purchases-missing": "BilledCost",
    "list-cost-unknown": "ListCost",
    "unknown-gpu-instance": "x_GpuHours",
}
"""The column that a notice is about; the others are about amounts as such."""
_BASIS = (
    "The figures here sum EffectiveCost as delivered; `outlay overspend` counts this provider by BilledCost. "
    "Ask for billed_cost to compare."
)
_MAX_NAMED = 5


def notices(records: Sequence[LoadRecord], sources: Sequence[str], metrics: Sequence[Metric]) -> list[str]:
    """The notices of ``records`` that concern ``metrics``, of files that hold any of ``sources``; alike ones are one.

    In the order of ``records``.
    """
    read = set().union(*(metric.columns() for metric in metrics))
    money = any(metric.is_money for metric in metrics)
    groups: dict[tuple[str, str, str], tuple[list[str], set[str]]] = {}
    for code, message, hint, file, found in _of_files(records, set(sources)):
        if _CONCERNS[code] in read if code in _CONCERNS else money:
            files, of = groups.setdefault((code, message, hint), ([], set()))
            files.append(file)
            of.update(found)
    return [
        f"{message} ({_named('file', list(dict.fromkeys(files)))}; {_named('source', sorted(of))}). "
        f"{_BASIS if code == _EFFECTIVE else hint}"
        for (code, message, hint), (files, of) in groups.items()
    ]


def _of_files(records: Sequence[LoadRecord], sources: set[str]) -> Iterator[tuple[str, str, str, str, set[str]]]:
    """Code, message, hint, file and its sources in scope, of each notice."""
    for record in records:
        for file in record.facts["files"]:
            found = sources & set(file["sources"])
            for name, code, message, hint, _, _, rejects in file["problems"]:
                if found and not rejects:
                    yield code, message, hint, name, found


def _named(noun: str, names: Sequence[str]) -> str:
    """``source a``, ``sources a, b and 7 more``."""
    rest = len(names) - _MAX_NAMED
    more = f" and {rest:,} more" if rest > 0 else ""
    return f"{noun}{'' if len(names) == 1 else 's'} {', '.join(names[:_MAX_NAMED])}{more}"
