"""Whose the rows are that carry no tag: ``[[allocations]]`` of outlay.toml, laid over the tables when they are read.

A provider's usage report names an API key and a project, never a team. A reviewed entry says whose that key is. It is
applied when a question is asked, not when a file is loaded, so a change attributes everything anew at once; totals stay
what they are, since a row gets a tag and is never split. A tag that the row carries itself wins; of the entries the
first that fits, for each tag apart. Beside each tag the view has the number of the entry that gave it, so that a
receipt can tell how much rests on which entry.

The trap is speed: an entry a key, hundreds of keys, ten million calls. Entries of one key are looked up in a constant
map, which the engine does once for each value and not for each row.
"""

from __future__ import annotations

from collections.abc import Sequence

from outlay.config import AllocationSettings
from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.table import tag_column
from outlay.metrics.providers import NAMED_BY, PROVIDER, provider_sql, value_of
from outlay.metrics.relations import COSTS

__all__ = ["allocated_by", "allocation_sql"]

Allocations = Sequence[AllocationSettings]

_KEYS: dict[str, dict[str, str]] = {
    COSTS: {
        # A bill has no column for a key: OpenAI's and Anthropic's cost reports are loaded with it as a tag.
        "api_key": "map_extract_value(\"Tags\", 'api_key_id')",
        "project": '"SubAccountId"',
        "account": '"BillingAccountId"',
        "sub_account": '"SubAccountId"',
        "resource": '"ResourceId"',
        "service": '"ServiceName"',
        "model": '"x_ModelId"',
        "region": '"RegionId"',
        "source": '"x_Source"',
        PROVIDER: provider_sql(NAMED_BY[COSTS]),
    },
    "requests": {
        "api_key": '"x_ApiKey"',
        "project": '"x_Project"',
        "account": '"x_Account"',
        "service": '"x_Service"',
        "model": "coalesce(gen_ai_response_model, gen_ai_request_model)",
        "region": '"x_Region"',
        "user": '"x_User"',
        "source": '"x_Source"',
        PROVIDER: provider_sql(NAMED_BY["requests"]),
    },
    "gpu_usage": {
        "host": '"x_Host"',
        "namespace": '"x_Namespace"',
        "holder": '"x_Holder"',
        "source": '"x_Source"',
    },
    "runs": {
        "account": '"x_Account"',
        "user": '"x_User"',
        "experiment": '"x_Experiment"',
        "model": '"x_Model"',
        "region": '"x_Region"',
        "source": '"x_Source"',
    },
}
"""What each key of ``when`` is on each table. An entry with a key that a table lacks fits none of its rows."""


def allocated_by(tag: str) -> str:
    """The column of a view with the number of the entry that gave the tag; empty where the row has it itself."""
    return f"x_AllocatedBy_{tag}"


def allocation_sql(table: str, allocations: Allocations, present: frozenset[str]) -> dict[str, tuple[str, str]]:
    """For each tag that an entry may give to rows of ``table``: SQL of the tag, and of the entry that gave it.

    ``present`` are the columns that the table has: a tag that it lacks can't be given.
    """
    found: dict[str, tuple[str, str]] = {}
    for tag in dict.fromkeys(name for one in allocations for name in one.set):
        column = tag_column(tag)
        entry = _entry_sql(table, allocations, tag) if column in present else None
        if entry is not None:
            values = ", ".join(literal(one.set[tag]) if tag in one.set else "NULL" for one in allocations)
            own = identifier(column)
            found[tag] = (
                f"coalesce({own}, list_extract([{values}], {entry}))",
                f"CASE WHEN {own} IS NULL THEN {entry} END",
            )
    return found


def _entry_sql(table: str, allocations: Allocations, tag: str) -> str | None:
    """SQL of the number of the first entry that fits a row and gives ``tag``; None where none can."""
    columns = _KEYS.get(table, {})
    maps: dict[str, dict[str, int]] = {}
    others: list[str] = []
    for number, one in enumerate(allocations, 1):
        given = one.when.given
        if tag not in one.set or not given.keys() <= columns.keys():
            continue
        values = {key: [value_of(key, value) for value in listed] for key, listed in given.items()}
        if len(values) == 1:
            ((key, listed),) = values.items()
            for value in listed:
                maps.setdefault(columns[key], {}).setdefault(value, number)
        else:
            tests = (f"{columns[key]} IN ({', '.join(map(literal, listed))})" for key, listed in values.items())
            others.append(f"WHEN {' AND '.join(tests)} THEN {number}")
    found = [
        f"map_extract_value(MAP {{{', '.join(f'{literal(v)}: {n}' for v, n in numbers.items())}}}, {column})"
        for column, numbers in maps.items()
    ]
    if others:
        found.append(f"CASE {' '.join(others)} END")
    return f"least({', '.join(found)})" if found else None
