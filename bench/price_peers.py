"""One way of pricing calls one by one, in a process of its own: prints calls a second and each call's cost, as JSON.

Run by ``bench/prices.py``, for ``litellm`` with the Python of an environment that has it. Nothing of Outlay is imported
for a peer, and a peer gets each call as its own arguments want it: only the pricing is timed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

Call = dict[str, Any]
Work = Callable[[], list[object]]


def outlay(calls: list[Call]) -> Work:
    """``TokenPrices.price`` on usage that is normalised already."""
    from outlay.prices.tokens import TokenPrices
    from outlay.prices.usage import normalise

    book = TokenPrices()
    ready = [
        (normalise(c["provider"], raw(c)), c["provider"], c["model"], datetime.fromisoformat(c["at"]), c["context"])
        for c in calls
    ]
    return lambda: [book.price(*one).cost for one in ready]


def genai_prices(calls: list[Call]) -> Work:
    """``genai_prices.calc_price``."""
    from genai_prices import Usage, calc_price

    ready = [
        (
            Usage(
                input_tokens=c["input"] + c["cache_read"],
                cache_read_tokens=c["cache_read"],
                output_tokens=c["output"] + c["output_reasoning"],
            ),
            c["model"],
            c["provider"],
            datetime.fromisoformat(c["at"]),
            c["context"],
        )
        for c in calls
    ]
    return lambda: [
        calc_price(usage, model, provider_id=provider, genai_request_timestamp=at, price_context=context).total_price
        for usage, model, provider, at, context in ready
    ]


def litellm(calls: list[Call]) -> Work:
    """``litellm.cost_per_token``, which knows no dates, and batch prices only by another function."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # the map of the package, nothing fetched
    import litellm

    ready = [
        {
            "model": c["model"],
            "custom_llm_provider": {"google": "gemini"}.get(c["provider"], c["provider"]),
            "prompt_tokens": c["input"] + c["cache_read"],
            "completion_tokens": c["output"] + c["output_reasoning"],
            "cache_read_input_tokens": c["cache_read"],
        }
        for c in calls
    ]
    return lambda: [sum(litellm.cost_per_token(**one)) for one in ready]


def raw(call: Call) -> dict[str, object]:
    """The call as OpenAI's chat API would report it, for every model alike."""
    return {
        "prompt_tokens": call["input"] + call["cache_read"],
        "prompt_tokens_details": {"cached_tokens": call["cache_read"]},
        "completion_tokens": call["output"] + call["output_reasoning"],
        "completion_tokens_details": {"reasoning_tokens": call["output_reasoning"]},
    }


def rate(work: Callable[[], object], count: int, runs: int) -> dict[str, float]:
    """Calls a second of wall and of CPU time: the median run, and the spread of wall time."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {
        "per_wall_s": count / statistics.median(walls),
        "slowest": count / max(walls),
        "fastest": count / min(walls),
        "per_cpu_s": count / statistics.median(cpus),
    }


def main() -> None:
    """Arguments: the peer, the file of calls, the number of runs."""
    peer, path, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    calls = json.loads(path.read_text(encoding="utf-8"))
    work = {"outlay": outlay, "genai_prices": genai_prices, "litellm": litellm}[peer](calls)
    costs = work()  # once to fill caches
    rates = rate(work, len(calls), runs)
    print(json.dumps({"rates": rates, "costs": [None if cost is None else str(cost) for cost in costs]}))


if __name__ == "__main__":
    main()
