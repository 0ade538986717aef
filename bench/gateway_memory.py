"""The gateway's resident memory over many calls of all kinds, for what grows with them and should not.

Two calls of three are answered whole, one is a stream; five models by turns; every call has a tag value that no other
has, and counts under a quota of its own for it, ten seconds long; every twenty-fifth caller goes away in the middle of
its answer. What grows: by least squares over the second half of the steps, MiB in 100,000 calls.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway_contenders import QUOTAS, outlay, upstream

STEPS, CONNECTIONS, LEAVE_EVERY = 40, 32, 25
_EACH_FEATURE = """
[[quotas]]
id = "each-feature"
scope = { feature = "*" }
limit = "900k requests/10 seconds"
"""


def memory(run: Callable[..., dict[str, Any]], folder: Path, requests: int) -> dict[str, Any]:
    """The memory on the way."""
    load, began = os.getloadavg(), time.perf_counter()
    with upstream() as provider, outlay(folder, provider, QUOTAS + _EACH_FEATURE) as one:
        steps, wrong, sent, left = [{"requests": 0, "mib": round(one.rss_mib(), 1)}], 0, 0, 0
        for _ in range(STEPS):
            for stream, share in ((False, 2), (True, 1)):
                each = max(1, requests * share // 3 // STEPS // CONNECTIONS)
                asked = {"stream": stream, "each": each, "mix": True, "leave_every": LEAVE_EVERY}
                found = run(one, CONNECTIONS, **asked)
                sent, left = sent + found["done"] + found["left"], left + found["left"]
                wrong += sum(found["wrong"].values())
            steps.append({"requests": sent, "mib": round(one.rss_mib(), 1)})
        taken = time.perf_counter() - began
        later = steps[len(steps) // 2 :]
        slope = statistics.linear_regression(
            [step["requests"] for step in later], [step["mib"] for step in later]
        ).slope
        return {
            "load_average": [load, os.getloadavg()],
            "seconds": taken,
            "left": left,
            "wrong": wrong,
            "mib_in_100000_calls": slope * 100_000,
            "steps": steps,
        }
