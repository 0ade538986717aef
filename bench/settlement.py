"""What a gateway does with prices around each call: the ceiling before it; its usage in one meaning and its cost after.

``TokenPrices.price`` stands beside its quick form in the same run, measured by turns, and a bare loop beside all. CPU
time a call: the median of the runs. Starting is a process of its own: imports, the first ceiling, the first cost.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from outlay.prices.ceiling import Ceilings, Options, asked, ceiling
from outlay.prices.quick import QuickPrices
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise

AT = datetime(2026, 11, 1, 12)
CHAT: dict[str, Any] = {
    "prompt_tokens": 1200,
    "completion_tokens": 20,
    "total_tokens": 1220,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
MESSAGES: dict[str, Any] = {
    "input_tokens": 2095,
    "cache_creation_input_tokens": 2051,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 2051, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 503,
    "service_tier": "standard",
    "inference_geo": "not_available",
}
START = """
from datetime import datetime
from outlay.prices.ceiling import Ceilings
from outlay.prices.quick import QuickPrices
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise
at, prices = datetime(2026, 11, 1), TokenPrices()
Ceilings(prices).ceiling("openai", "gpt-5", at, 10)
QuickPrices(prices).cost(normalise("openai", {"prompt_tokens": 1}), "openai", "gpt-5", at)
"""


def main() -> None:
    """Measure and print, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=2000, help="calls a run")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    prices = TokenPrices()
    quick, ceilings = QuickPrices(prices), Ceilings(prices)
    only = Options(only=asked(CHAT))
    chat, messages = normalise("openai", CHAT), normalise("anthropic", MESSAGES)
    work: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "normalise a chat completion": lambda: normalise("openai", CHAT),
        "normalise a message": lambda: normalise("anthropic", MESSAGES),
        "TokenPrices.price gpt-5.6-sol": lambda: prices.price(chat, "openai", "gpt-5.6-sol", AT),
        "QuickPrices.cost gpt-5.6-sol": lambda: quick.cost(chat, "openai", "gpt-5.6-sol", AT),
        "TokenPrices.price claude-sonnet-4-5": lambda: prices.price(messages, "anthropic", "claude-sonnet-4-5", AT),
        "QuickPrices.cost claude-sonnet-4-5": lambda: quick.cost(messages, "anthropic", "claude-sonnet-4-5", AT),
        "Ceilings.ceiling gpt-5.6-sol": lambda: ceilings.ceiling("openai", "gpt-5.6-sol", AT, 1200, only),
    }
    anew = {"ceiling gpt-5.6-sol": lambda: ceiling(prices, "openai", "gpt-5.6-sol", AT, 300_000, options=only)}
    by_turns(work, 100, 1)  # fills caches
    print(
        json.dumps(
            {
                "load_average": os.getloadavg(),
                "cpu_microseconds_a_call": by_turns(work, options.calls, options.runs),
                "found_anew": by_turns(anew, 20, options.runs),
                "cpu_seconds_to_start": statistics.median(start() for _ in range(5)),
            },
            indent=2,
        )
    )


def by_turns(work: dict[str, Callable[[], object]], calls: int, runs: int) -> dict[str, float]:
    """CPU microseconds a call of each, the median of the runs."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, one in work.items():
            began = time.process_time()
            for _ in range(calls):
                one()
            taken[name].append((time.process_time() - began) / calls * 1e6)
    return {name: round(statistics.median(times), 2) for name, times in taken.items()}


def start() -> float:
    """CPU seconds of a process that gets as far as its first ceiling and first cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", START], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
