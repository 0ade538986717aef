"""The company's services whose calls no provider's report tells of: on Azure OpenAI, and on its own GPUs.

They send OpenTelemetry: metrics all along, and spans of the last days, as traces are kept for some days only. The
tokens of the Azure services are those of the bill. What the company serves itself is on no bill by the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from outlay.demo.chance import key_of, mix
from outlay.demo.facts.callers import Caller
from outlay.demo.lines import Calendar

__all__ = ["Service", "azure_services", "chat_service", "embedding_service"]

_EMBEDDING_CALLS = 300
_CHAT_CALLS, _CHAT_INPUT, _CHAT_OUTPUT = 400_000, 1_480, 310


@dataclass(frozen=True, slots=True)
class Service:
    """A use case on one model. ``days``: day -> meter (``uncached``, ``read``, ``output``) -> tokens.

    ``tokens_a_call`` make one call. ``p95_ms``: milliseconds at the 95th percentile of its calls. ``failed_permille``:
    failed calls for a thousand that succeed, all with ``error``.
    """

    team: str
    use_case: str
    provider: str
    operation: str
    model: str
    tokens_a_call: int
    days: Mapping[int, Mapping[str, int]]
    p95_ms: int = 0
    failed_permille: int = 0
    error: str = ""

    def calls(self, day: int) -> int:
        """Calls that succeeded on ``day``."""
        return max(1, sum(self.days[day].values()) // self.tokens_a_call)

    def failed(self, day: int) -> int:
        """Calls that failed on ``day``."""
        return (self.calls(day) * self.failed_permille + 500) // 1000

    def between(self, since: int, until: int) -> Service:
        """The same on the days of ``[since, until)`` only."""
        return replace(self, days={day: used for day, used in self.days.items() if since <= day < until})

    @property
    def resource(self) -> dict[str, str]:
        """Its OpenTelemetry resource."""
        return {
            "service.name": f"{self.team}-{self.use_case}",
            "deployment.environment.name": "prod",
            "team": self.team,
            "use_case": self.use_case,
            "synthetic": "true",
        }


def azure_services(azure: Sequence[Caller]) -> list[Service]:
    """The callers of Azure OpenAI, those of one use case and model as one service."""
    days: dict[tuple[str, str, str], dict[int, dict[str, int]]] = {}
    for caller in azure:
        of = days.setdefault(((caller.line.tags or {})["team"], caller.use_case, caller.model), {})
        for day, used in caller.days.items():
            into = of.setdefault(day, {})
            for meter, tokens in used.items():
                into[meter] = into.get(meter, 0) + tokens
    found = [
        Service(team, use_case, "azure.ai.openai", "chat", model, 40_000, dict(sorted(of.items())), p95_ms=6_400)
        for (team, use_case, model), of in days.items()
    ]
    return [
        replace(one, tokens_a_call=80_000, p95_ms=14_200, failed_permille=12, error="429")
        if one.use_case == "agent-tools"
        else one
        for one in found
    ]


def embedding_service(calendar: Calendar, seed: int) -> Service:
    """The company's own embedding model, on the card that Google bills; it works on weekdays."""
    chance, tokens_a_call = key_of(seed, "index"), 60_000
    days = {
        day: {"uncached": _EMBEDDING_CALLS * tokens_a_call + mix(chance, day) % 1_000_000}
        for day in range(calendar.first_day, calendar.last_day)
        if (day + 3) % 7 < 5
    }
    return Service(
        "search",
        "index",
        "vllm",
        "embeddings",
        "e5-mistral-7b",
        tokens_a_call,
        days,
        p95_ms=3_900,
        failed_permille=4,
        error="timeout",
    )


def chat_service(calendar: Calendar, seed: int) -> Service:
    """The chat model on the company's p5 machines: far too many calls for spans."""
    chance = key_of(seed, "llm-serving")
    days = {}
    for day in range(calendar.first_day, calendar.last_day):
        grown = _CHAT_CALLS * (1000 + 400 * (day - calendar.first_day) // 365) // 1000
        calls = grown * (600 if (day + 3) % 7 >= 5 else 1000) // 1000 * (900 + mix(chance, day) % 201) // 1000
        days[day] = {"uncached": calls * _CHAT_INPUT + mix(chance, day) % 1000, "output": calls * _CHAT_OUTPUT}
    tokens_a_call = _CHAT_INPUT + _CHAT_OUTPUT
    return Service("assistant", "chat-assistant", "vllm", "chat", "llama-3.3-70b", tokens_a_call, days)
