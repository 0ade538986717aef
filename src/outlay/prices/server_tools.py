"""Searches that a provider ran within a call, where only the response tells them and not its usage.

OpenAI's Responses API lists them as items of ``output``: a ``web_search_call`` whose action is a search is charged,
opening a page or finding in it is not. Gemini puts the queries into a candidate's ``groundingMetadata``; up to Gemini 2
a grounded prompt is charged, whatever the number of its queries, from Gemini 3 on each query is.

Anthropic's usage object counts its own (``server_tool_use``), and that count is the one that is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["server_tools"]

_BY_PROMPT = re.compile(r"gemini-[12](\D|$)")


def server_tools(response: Mapping[str, Any]) -> dict[str, int]:
    """The fee meters of a response, nonzero ones only; empty for a bare usage object."""
    if "output" not in response and "candidates" not in response:
        return {}
    items = list(_mappings(response.get("output")))
    found = {
        "web_searches": sum(map(_is_search, items)) + _grounded(response),
        "storage_searches": sum(item.get("type") == "file_search_call" and _ran(item) for item in items),
    }
    return {meter: count for meter, count in found.items() if count}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _ran(item: Mapping[str, Any]) -> bool:
    return item.get("status") != "failed"


def _is_search(item: Mapping[str, Any]) -> bool:
    action = item.get("action")
    kind = action.get("type", "search") if isinstance(action, Mapping) else "search"
    return item.get("type") == "web_search_call" and kind == "search" and _ran(item)


def _grounded(response: Mapping[str, Any]) -> int:
    queries = sum(map(_queries, _mappings(response.get("candidates"))))
    version = response.get("modelVersion", response.get("model_version"))
    if isinstance(version, str) and _BY_PROMPT.search(version):
        return min(queries, 1)
    return queries


def _queries(candidate: Mapping[str, Any]) -> int:
    grounding = candidate.get("groundingMetadata", candidate.get("grounding_metadata"))
    if not isinstance(grounding, Mapping):
        return 0
    listed = grounding.get("webSearchQueries", grounding.get("web_search_queries"))
    return sum(isinstance(query, str) and bool(query) for query in listed) if isinstance(listed, list) else 0
