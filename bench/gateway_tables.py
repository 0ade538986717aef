"""What ``bench/gateway.py`` found, as the tables of ``docs/performance.md``."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

NAMES = {"direct": "none", "bare": "bare pass-through", "outlay": "Outlay", "litellm": "LiteLLM"}


def shown(found: dict[str, Any]) -> str:
    """All of it, as Markdown."""
    parts: list[str] = []
    if "side_by_side" in found:
        parts += _side_by_side(found["side_by_side"])
    if "starts" in found:
        one = found["starts"]
        seconds = sorted(one["seconds"])
        parts.append(
            f"Start to first answered call, {len(seconds)} times, load {_load(one)}: median "
            f"{statistics.median(seconds):.2f} s, least {seconds[0]:.2f} s, most {seconds[-1]:.2f} s."
        )
    if "memory" in found:
        parts += _memory(found["memory"])
    if "overshoot" in found:
        parts.append(_overshoot(found["overshoot"]))
    return "\n\n".join(parts)


def _side_by_side(found: dict[str, Any]) -> list[str]:
    rows = sorted(found["rows"], key=lambda row: (row["stream"], row["connections"]))
    head = ("answers", "connections", "gateway", "CPU-ms a call (least to most)", "calls a CPU second", "calls/s")
    table = _table(
        (*head, "p50 ms (added)", "p99 ms (added)"),
        (
            (
                *_case(row),
                NAMES[row["gateway"]],
                f"{row['cpu_ms']:.2f} ({row['cpu_ms_least']:.2f} to {row['cpu_ms_most']:.2f})",
                f"{1000 / row['cpu_ms']:,.0f}" if row["cpu_ms"] else "-",
                f"{row['requests_per_s']:,.0f}",
                *(f"{row[key]:,.2f} ({row['added_' + key]:,.2f})" for key in ("p50_ms", "p99_ms")),
            )
            for row in rows
        ),
    )
    ours = [row for row in rows if row["gateway"] == "outlay"]
    theirs = {_case(row): row for row in rows if row["gateway"] == "litellm"}
    ratios = _table(
        ("answers", "connections", "Outlay's CPU over the bare pass-through's", "LiteLLM's CPU over Outlay's"),
        (
            (
                *_case(row),
                f"{row['over']['bare']:.2f}" if "bare" in row["over"] else "-",
                f"{theirs[_case(row)]['over']['outlay']:.1f}" if _case(row) in theirs else "-",
            )
            for row in ours
        ),
    )
    wrong = {NAMES[name]: sum(row["wrong"] for row in rows if row["gateway"] == name) for name in found["started_s"]}
    take_up = found["take_up"]
    lines = [f"Load {_load(found)}. Answers that were wrong: {_listed(wrong)}."]
    if take_up["calls"]:
        lines.append(
            f"Outlay's process that takes events up into the ledger: {take_up['cpu_s']:.1f} CPU s, "
            f"{take_up['cpu_s'] * 1000 / take_up['calls']:.2f} ms for each of {take_up['calls']:,} calls."
        )
    mib = {NAMES[name]: f"{idle:.0f} to {after:.0f}" for name, (idle, after) in found["rss_mib"].items()}
    lines.append(f"Resident MiB idle and at the end: {_listed(mib)}.")
    lines.append(
        f"Seconds to the first answer: {_listed({NAMES[n]: f'{s:.2f}' for n, s in found['started_s'].items()})}."
    )
    return [table, ratios, " ".join(lines)]


def _memory(found: dict[str, Any]) -> list[str]:
    steps = found["steps"]
    shown = [steps[0], *steps[len(steps) // 8 :: len(steps) // 8]]
    return [
        _table(("calls", "resident MiB"), ((f"{step['requests']:,}", f"{step['mib']:.1f}") for step in shown)),
        f"Load {_load(found)}; {found['seconds']:.0f} s; {found['left']:,} callers left in the middle; "
        f"{found['wrong']:,} wrong answers. "
        f"Growth over the second half: {found['mib_in_100000_calls']:.1f} MiB in 100,000 calls.",
    ]


def _overshoot(rows: Sequence[dict[str, Any]]) -> str:
    head = ("case", "gateway", "let in at once", "calls in all", "spent / budget", "wrongly denied", "load")
    return _table(
        head,
        (
            (
                row["case"],
                NAMES[row["gateway"]],
                f"{row['let_in']} of {row['at_once']}",
                str(row["calls"]),
                f"{row['over']:.2f}",
                str(row["wrongly_denied"]),
                f"{row['load']:.1f}",
            )
            for row in rows
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    numbers = ["---:" if place else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(one)} |" for one in (head, numbers, *rows))


def _case(row: dict[str, Any]) -> tuple[str, str]:
    return "streamed" if row["stream"] else "whole", str(row["connections"])


def _load(found: dict[str, Any]) -> str:
    before, after = found["load_average"]
    return f"{before[0]:.1f} to {after[0]:.1f}"


def _listed(named: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())
