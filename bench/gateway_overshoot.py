"""Asking more of a budget than it holds: sixty calls at once on one key, each takes a second, then one after another.

Each call truly costs $0.0001152 (1,200 prompt tokens, 1,024 of them cached, 20 of output), so that 17 fit in $0.002.
``over`` is what was truly spent over the budget: above 1 the budget was overrun. ``wrongly denied`` is how many more
calls would have fitted when no more were let in. The cases: the prompt is in the body as it is billed; it is not
(the provider counts 1,200 tokens where the body has a few words); no ``max_tokens``; streams whose caller leaves
before the first byte. What a provider began it bills, whether or not somebody waited for it.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway_contenders import Contender, litellm, outlay, served, upstream

BUDGET = Decimal("0.002")
TRUE_COST = Decimal("0.0001152")
AT_ONCE, AFTERWARDS = 60, 25
_FIT = int(BUDGET // TRUE_COST)
_SHORT = "Say hello"
CASES: dict[str, dict[str, Any]] = {
    "max_tokens 64, whole prompt in the body": {},
    "max_tokens 64, prompt counted too low": {"prompt": _SHORT},
    "no max_tokens": {"max_tokens": None},
    "no max_tokens, prompt counted too low": {"max_tokens": None, "prompt": _SHORT},
    "stream, the caller leaves": {"stream": True},
}
_QUOTA = f"""
[[quotas]]
id = "each-key"
scope = {{ key = "*" }}
limit = "{BUDGET} USD/day"
"""

Run = Callable[..., dict[str, Any]]


def overshoot(
    run: Run, folder: Path, peers: Path | None, delay: float, cases: Sequence[str] = tuple(CASES)
) -> list[dict[str, Any]]:
    """The cases, each with a gateway that has spent nothing yet."""
    rows = []
    for case in cases:
        asked = CASES[case]
        for name in ("outlay", "litellm") if peers else ("outlay",):
            with ExitStack() as stack:
                provider = stack.enter_context(upstream(delay))
                if name == "outlay":
                    one = stack.enter_context(outlay(folder / "over", provider, _QUOTA))
                else:
                    assert peers is not None
                    one = stack.enter_context(litellm(peers, folder / "over-litellm", provider, str(BUDGET)))
                rows.append({"gateway": name, "case": case, **_asked(run, one, provider, asked, delay)})
    return rows


def _asked(run: Run, one: Contender, provider: Contender, asked: dict[str, Any], delay: float) -> dict[str, Any]:
    # The call that saw it started has cost its price already.
    before = served(provider.port)
    leaves = {"leave_after": delay / 2} if asked.get("stream") else {}
    said = run(one, AT_ONCE, each=1, **asked, **leaves)
    if leaves:
        time.sleep(delay * 2)  # what was begun has ended
    at_once = served(provider.port)
    run(one, 1, each=AFTERWARDS, **asked)
    calls = served(provider.port)
    return {
        "let_in": at_once - before,
        "at_once": AT_ONCE,
        "calls": calls,
        "over": float(calls * TRUE_COST / BUDGET),
        "wrongly_denied": max(0, _FIT - calls),
        "counted_itself": _counted(one),
        "answers": said["wrong"] | {"200": said["done"], "left": said["left"]},
        "load": os.getloadavg()[0],
    }


def _counted(one: Contender) -> str | None:
    """What Outlay says was spent."""
    if one.admin is None:
        return None
    with urllib.request.urlopen(f"{one.admin}/quotas") as answer:
        return json.dumps(
            [{key: quota[key] for key in ("spent", "held")} for quota in json.loads(answer.read())["quotas"]]
        )
