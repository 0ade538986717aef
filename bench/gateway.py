"""The gateway beside LiteLLM's proxy and a bare pass-through: CPU a request, added latency, memory, start, overshoot.

All stand in front of the same pretended provider and are loaded in a closed loop, in turns: a short window of each,
then of each again, so that what else the machine does falls on all alike. What is told is the median over the rounds.

- ``bare``: ``bench/bare_gateway.py``, the floor: nothing durable;
- ``outlay``: ``outlay gateway`` with a virtual key, tags and three quotas (money, tokens, requests) that every call
  falls under, its holds on the disk and events spooled, and the process beside it that takes them into the ledger;
- ``litellm``: its proxy, one worker, without a database, so without virtual keys and without anything durable;
- ``direct``: the provider without a gateway; what a gateway adds to a latency is its own less this.

CPU is user and system time of all processes that answer calls, over the calls that were answered in full. What the
take-up costs comes in rounds of its own, so it is told apart, over all calls of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from gateway_contenders import Contender, bare, litellm, outlay, peers, upstream
from gateway_memory import memory
from gateway_overshoot import CASES, overshoot
from gateway_tables import shown

PARTS = ("side-by-side", "starts", "memory", "overshoot")
Case = tuple[bool, int]


class Loader:
    """The process that sends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("gateway_load.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, to: Contender, connections: int, **asked: object) -> dict[str, Any]:
        """Send, and return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {"port": to.port, "key": to.key, "connections": connections, **asked}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the load generator ended")
        return dict(json.loads(line))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def window(loader: Loader, one: Contender, case: Case, seconds: float) -> dict[str, Any]:
    """One contender for so long."""
    before = one.cpu()
    found = loader.run(one, case[1], stream=case[0], seconds=seconds)
    if not found["done"]:
        raise SystemExit(f"{one.name} answered nothing of {case} in {seconds} s: {found['wrong']}")
    found["cpu_ms"] = (one.cpu() - before) * 1000 / found["done"]
    return found


Windows = dict[str, dict[Case, list[dict[str, Any]]]]


def by_turns(loader: Loader, contenders: Sequence[Contender], chosen: argparse.Namespace) -> Windows:
    """What came of every window: by contender and case, a value for each round."""
    windows: Windows = {one.name: {} for one in contenders}
    cases = [(stream, connections) for stream in (False, True) for connections in chosen.connections]
    for one in contenders:
        for stream in (False, True):
            loader.run(one, 8, stream=stream, seconds=chosen.warm_up)
    for number in range(chosen.rounds):
        for case in cases:
            for one in contenders:
                windows[one.name].setdefault(case, []).append(window(loader, one, case, chosen.seconds))
        print(f"round {number + 1} of {chosen.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    return windows


def rows(windows: Windows) -> list[dict[str, Any]]:
    """One of each case and contender; ``over`` has the ratios of its CPU to the others', medians of the rounds."""
    found = []
    for name, cases in windows.items():
        for case, values in cases.items():
            row: dict[str, Any] = {"gateway": name, "stream": case[0], "connections": case[1]}
            row["requests"] = sum(one["done"] for one in values)
            row["wrong"] = sum(sum(one["wrong"].values()) for one in values)
            row["requests_per_s"] = statistics.median(one["done"] / one["wall"] for one in values)
            row["cpu_ms_least"], row["cpu_ms_most"] = (pick(one["cpu_ms"] for one in values) for pick in (min, max))
            for key in ("cpu_ms", "p50_ms", "p99_ms"):
                row[key] = statistics.median(one[key] for one in values)
            for key in ("p50_ms", "p99_ms"):
                row[f"added_{key}"] = row[key] - statistics.median(one[key] for one in windows["direct"][case])
            row["over"] = {
                other: statistics.median(
                    one["cpu_ms"] / beside["cpu_ms"] if beside["cpu_ms"] else float("inf")
                    for one, beside in zip(values, those[case], strict=True)
                )
                for other, those in windows.items()
                if other not in ("direct", name)
            }
            found.append(row)
    return found


def side_by_side(loader: Loader, chosen: argparse.Namespace, python: Path | None) -> dict[str, Any]:
    """The windows, and memory and start beside them."""
    with ExitStack() as stack:
        provider = stack.enter_context(upstream())
        contenders = [provider]
        if python is not None and "bare" not in chosen.without:
            contenders.append(stack.enter_context(bare(python, provider)))
        ours = stack.enter_context(outlay(chosen.data / "outlay", provider))
        contenders.append(ours)
        if python is not None and "litellm" not in chosen.without:
            contenders.append(stack.enter_context(litellm(python, chosen.data / "litellm", provider)))
        idle = {one.name: one.rss_mib() for one in contenders}
        load = [os.getloadavg()]
        windows = by_turns(loader, contenders, chosen)
        load.append(os.getloadavg())
        found: dict[str, Any] = {
            "load_average": load,
            "started_s": {one.name: one.started_s for one in contenders[1:]},
            "rss_mib": {one.name: [idle[one.name], one.rss_mib()] for one in contenders[1:]},
            "rows": rows(windows),
        }
    calls = sum(row["requests"] for row in found["rows"] if row["gateway"] == "outlay")
    found["take_up"] = {"cpu_s": ours.apart_s, "calls": calls}
    return found


def starts(folder: Path, times: int) -> dict[str, Any]:
    """Seconds from the start of `outlay gateway` to its first answered call."""
    found, load = [], os.getloadavg()
    with upstream() as provider:
        for _ in range(times):
            with outlay(folder, provider) as one:
                found.append(one.started_s)
    return {"load_average": [load, os.getloadavg()], "seconds": found}


def chosen_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--seconds", type=float, default=2, help="of each window")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-up", type=float, default=1)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--without", nargs="*", default=[], choices=["bare", "litellm"])
    parser.add_argument("--requests", type=int, default=300_000, help="of the memory run")
    parser.add_argument("--starts", type=int, default=11, metavar="TIMES")
    parser.add_argument("--delay", type=float, default=1.0, help="of the provider's answers in the overshoot, seconds")
    parser.add_argument("--quick", action="store_true", help="one short round of everything: whether it works")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "outlay-bench" / "gateway")
    parser.add_argument("--peers", type=Path, help="virtual environment of the peers, made where it is missing")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    chosen.cases = tuple(CASES)
    if chosen.quick:
        chosen.seconds, chosen.rounds, chosen.warm_up, chosen.connections = 0.3, 1, 0.1, [1, 8]
        chosen.requests, chosen.starts, chosen.delay, chosen.cases = 2_000, 1, 0.1, chosen.cases[-1:]
    return chosen


def main() -> None:
    """Measure, print."""
    chosen = chosen_of()
    chosen.data.mkdir(parents=True, exist_ok=True)
    python = None
    if {"side-by-side", "overshoot"} & set(chosen.only) and set(chosen.without) != {"bare", "litellm"}:
        python = peers(chosen.peers or chosen.data / "peers", "litellm" not in chosen.without)
    found: dict[str, Any] = {}
    with closing(Loader()) as loader:
        if "side-by-side" in chosen.only:
            found["side_by_side"] = side_by_side(loader, chosen, python)
        if "starts" in chosen.only:
            found["starts"] = starts(chosen.data / "outlay", chosen.starts)
        if "memory" in chosen.only:
            found["memory"] = memory(loader.run, chosen.data / "outlay", chosen.requests)
        if "overshoot" in chosen.only:
            beside = None if "litellm" in chosen.without else python
            found["overshoot"] = overshoot(loader.run, chosen.data, beside, chosen.delay, chosen.cases)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(shown(found))


if __name__ == "__main__":
    main()
