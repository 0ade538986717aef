"""Servers on loopback that behave as the real providers do, for the tests and benchmarks of the gateway.

    with upstream("openai").in_thread() as openai:      # or: await openai.start(), await openai.stop()
        openai.next(reasoning=40, drop="before_usage")  # one call; see ``Script`` for what can be told
        ...                                             # calls to openai.url with openai.secret
        [entry] = openai.log.settled(1)                 # what it did, and entry.billed

``in_process("openai")`` offers the same from a process of its own. Providers: openai, compatible (as vLLM), anthropic,
azure, gemini, bedrock. Each module says which documentation its shapes follow, ``tokens`` how tokens are counted.
``fast`` is the upstream of benchmarks, and has nothing of this.
"""

from tests.gateway.upstreams.answer import Provider
from tests.gateway.upstreams.anthropic_api import Anthropic
from tests.gateway.upstreams.azure import Azure
from tests.gateway.upstreams.bedrock import Bedrock
from tests.gateway.upstreams.gemini import Gemini
from tests.gateway.upstreams.log import Entry, Log, total
from tests.gateway.upstreams.openai_api import Compatible, OpenAI
from tests.gateway.upstreams.process import Remote, in_process
from tests.gateway.upstreams.script import HEADER, ORDINARY, Script, marker
from tests.gateway.upstreams.tokens import IMAGE_TOKENS, NOTHING, Meters, input_tokens, json_tokens, tokens
from tests.gateway.upstreams.upstream import Upstream

__all__ = [
    "HEADER",
    "IMAGE_TOKENS",
    "NOTHING",
    "ORDINARY",
    "PROVIDERS",
    "Entry",
    "Log",
    "Meters",
    "Remote",
    "Script",
    "Upstream",
    "in_process",
    "input_tokens",
    "json_tokens",
    "marker",
    "tokens",
    "total",
    "upstream",
]

PROVIDERS: dict[str, type[Provider]] = {
    "anthropic": Anthropic,
    "azure": Azure,
    "bedrock": Bedrock,
    "compatible": Compatible,
    "gemini": Gemini,
    "openai": OpenAI,
}


def upstream(provider: str, default: Script = ORDINARY) -> Upstream:
    """A server that is not started yet."""
    return Upstream(PROVIDERS[provider](), default)
