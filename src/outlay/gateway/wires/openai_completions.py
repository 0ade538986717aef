"""OpenAI's older completions: https://platform.openai.com/docs/api-reference/completions, still vLLM's plainest API.

Several prompts make several answers each, and ``best_of`` of them are made and billed for each that comes back.
"""

from __future__ import annotations

from outlay.gateway.wires.openai_chat import OpenAIChat, strange
from outlay.gateway.wires.parts import beyond_text, listed, media_of
from outlay.gateway.wires.spoken import Json, Spoken, count, flag, model_of
from outlay.gateway.wires.wire import Beside

__all__ = ["COMPLETIONS", "OpenAICompletions"]

_ANYWHERE = Beside()


class OpenAICompletions(OpenAIChat):
    """``POST /v1/completions``."""

    name = "completions"
    operation = "text_completion"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises `Malformed`."""
        beyond, unbounded = strange(body)
        prompt = body.get("prompt")
        prompts = 1
        if isinstance(prompt, list) and any(type(one) is not int for one in prompt):
            prompts = len(prompt)
            beyond_text([one for one in prompt if not isinstance(one, (str, list))], beyond)
        elif prompt is not None and not isinstance(prompt, (str, list)):
            beyond.add("a prompt that is no text")
        if body.get("prompt_embeds") is not None:
            embeds = body["prompt_embeds"]
            prompts += len(embeds) if isinstance(embeds, list) else 1
            beyond.add("prompt_embeds")
        choices = max(count(body, "n") or 1, count(body, "best_of") or 1)
        again = beyond or (prompts > 1 and body.get("suffix"))  # each prompt is read with the one suffix
        return Spoken(
            model_of(body, beside.model),
            flag(body, "stream"),
            count(body, "max_tokens", least=0),
            choices if again else choices * prompts,
            not_inline=listed(beyond),
            media=media_of(beyond),
            rounds=prompts if again else 1,
            unbounded=unbounded,
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none."""
        body["max_tokens"] = tokens

    def mend(self, body: Json, provider: str) -> None:
        """It has one name everywhere."""


COMPLETIONS = OpenAICompletions()
