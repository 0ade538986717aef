"""What is in the synthetic bills, to the last digit: totals by month and provider, AI by category, and the plants.

Nothing here looks at a file or runs a detector; the sums come from counting while writing. Amounts are decimal
strings, as everywhere in Outlay. All of it is as the bills stand after the restated month has replaced its first
issue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import localcontext

from outlay.demo.catalogue import SERVICES
from outlay.demo.lines import Calendar, day_text
from outlay.demo.plants import Restatement, plants
from outlay.demo.rows import Sum
from outlay.demo.tally import Tally, count_of, is_used
from outlay.ledger.tables.costs import COST_MEASURES
from outlay.money import plain

__all__ = ["tell"]

_DIGITS = 80


def tell(
    tally: Tally,
    calendar: Calendar,
    seed: int,
    absent: Mapping[str, str],
    restatement: Restatement,
) -> dict[str, object]:
    """The content of ``truth.json``. ``tally`` is of the bills as they stand after the restatement."""
    with localcontext() as context:
        context.prec = _DIGITS
        total = tally.totals(tally.sums)
        present = [plant for plant in plants(tally, restatement) if plant["id"] not in absent]
        return {
            "synthetic": True,
            "seed": seed,
            "rows": total["rows"],
            "since": day_text(calendar.first_day),
            "until": day_text(calendar.last_day - 1),
            "until_is": "the last day covered",
            "totals": {"USD": {measure: total[measure] for measure in COST_MEASURES}},
            "totals_are": "after the restatement",
            "totals_by_month_provider": _by_month_provider(tally),
            "ai": _ai(tally),
            "planted": present,
            "absent": [{"id": plant, "why": why} for plant, why in absent.items()],
        }


def _by_month_provider(tally: Tally) -> dict[str, dict[str, dict[str, str | int]]]:
    grouped: dict[str, dict[str, list[Sum]]] = defaultdict(lambda: defaultdict(list))
    for found in tally.sums:
        grouped[found.month][SERVICES[tally.lines[found.line].sku.service].provider].append(found)
    return {
        month: {provider: tally.totals(sums) for provider, sums in providers.items()}
        for month, providers in sorted(grouped.items())
    }


def _ai(tally: Tally) -> dict[str, object]:
    """AI by category. An AI commitment's unused hours and its fee are AI too: they buy nothing else."""
    sums = tally.where(lambda line: line.is_ai)
    categories: dict[str, list[Sum]] = defaultdict(list)
    for found in sums:
        categories[tally.lines[found.line].sku.ai or ""].append(found)
    parts = {
        "used": [found for found in sums if is_used(tally.lines[found.line])],
        "unused_commitment": [found for found in sums if tally.lines[found.line].commitment_status == "Unused"],
        "purchase": [found for found in sums if tally.lines[found.line].charge_category == "Purchase"],
    }
    return {
        "effective_cost": plain(tally.cost(sums)),
        "rows": count_of(sums),
        "by_category": _costs(tally, dict(sorted(categories.items()))),
        "by_part": _costs(tally, parts),
    }


def _costs(tally: Tally, groups: Mapping[str, Sequence[Sum]]) -> dict[str, dict[str, str | int]]:
    return {name: {"rows": count_of(sums), "effective_cost": plain(tally.cost(sums))} for name, sums in groups.items()}
