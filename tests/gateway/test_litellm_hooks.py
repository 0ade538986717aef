"""LiteLLM's callback without LiteLLM: its hooks, called in the order and with the shapes that LiteLLM 1.106.2 showed.

The real proxy is in test_litellm_proxy. Here is what it does too seldom to be waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from outlay.gateway.litellm.asking import Held, No, Quotas
from outlay.gateway.litellm.calls import attributes_of, body_of, limited, tags_of, takes_limit_away
from outlay.gateway.litellm.hooks import Hooks
from outlay.gateway.litellm.streams import StreamUsage
from tests.gateway.harness import PEER_SECRET, Harness, gateway

QUOTAS: list[dict[str, Any]] = [{"id": "usd", "scope": {"team": "search"}, "limit": "0.05 USD/day"}]
USER = SimpleNamespace(
    key_alias="search-prod",
    token="88dc28d0f030c55e",
    team_alias="search",
    team_id="t1",
    user_id="u1",
    metadata={"outlay_tags": {"use_case": "chat"}},
    team_metadata={"outlay_tags": {"use_case": "x", "environment": "prod"}},
)
USAGE = {
    "completion_tokens": 20,
    "prompt_tokens": 9,
    "total_tokens": 29,
    "cost": 3e-06,
    "completion_tokens_details": {"reasoning_tokens": 0, "text_tokens": None},
    "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
}


class _Usage:
    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = said

    def model_dump(self) -> dict[str, Any]:
        return dict(self._said)


class _Refused(Exception):
    def __init__(self, no: No) -> None:
        super().__init__(no.message)
        self.no = no


class _Look:
    """LiteLLM's knowledge: the model is written PROVIDER/NAME, and ``small`` is planned for OpenAI's."""

    def is_own(self, name: str) -> bool:
        return name in ("metadata", "litellm_call_id", "proxy_server_request", "litellm_logging_obj", "model_info")

    def place(self, said: Mapping[str, Any]) -> tuple[str, str]:
        provider, _, model = str(said["model"]).partition("/")
        return provider, model

    def planned(self, said: Mapping[str, Any]) -> tuple[str, str] | None:
        return ("openai", "gpt-4o-mini") if said["model"] == "small" else None


class _Proxy:
    """LiteLLM's side: the hooks of one request, in the order and the tasks in which it calls them."""

    def __init__(self, hooks: Hooks, **more: Any) -> None:
        self.hooks = hooks
        self.data = {
            "model": "small",
            "messages": [{"role": "user", "content": "hi"}],
            "litellm_call_id": "from-the-caller",
            "metadata": {},
            "proxy_server_request": {"headers": {"X-Outlay-Tags": "feature=f"}},
            **more,
        }

    async def begin(self, call_type: str = "acompletion") -> None:
        await self.hooks.async_pre_call_hook(USER, None, self.data, call_type)

    async def attempt(
        self, model: str = "openai/gpt-4o-mini", call_type: str = "acompletion", **more: Any
    ) -> dict[str, Any]:
        kwargs = {
            **self.data,
            "litellm_logging_obj": object(),
            "stream": self.data.get("stream", False),
            **more,
            "model": model,
        }
        found = await self.hooks.async_pre_call_deployment_hook(kwargs, SimpleNamespace(value=call_type))
        return kwargs if found is None else found

    async def answered(self, usage: Mapping[str, Any] | None = USAGE) -> None:
        response = SimpleNamespace(model="gpt-4o-mini", usage=None if usage is None else _Usage(usage))
        await self.hooks.async_post_call_success_deployment_hook({}, response, None)

    async def failed(self, error: Exception) -> None:
        await self.hooks.async_post_call_failure_deployment_hook({}, error, None)

    async def stream(
        self, items: list[Any], chunks: list[Any], *, leave: bool = False, breaks: bool = False
    ) -> list[Any]:
        class Stream:
            def __init__(self) -> None:
                self.chunks = chunks

            async def __aiter__(self) -> AsyncIterator[Any]:
                for item in items:
                    yield item
                if breaks:
                    raise ConnectionError

        found = []
        hooked = self.hooks.async_post_call_streaming_iterator_hook(USER, Stream(), {})  # type: ignore[arg-type]
        async with contextlib.aclosing(hooked) as shown:  # type: ignore[type-var]
            async for item in shown:
                found.append(item)
                if leave:
                    break
        return found


def chunk(text: str | None = None, usage: Mapping[str, Any] | None = None) -> Any:
    delta = SimpleNamespace(content=text)
    return SimpleNamespace(
        choices=[SimpleNamespace(delta=delta, finish_reason=None)], usage=None if usage is None else _Usage(usage)
    )


def run(
    folder: Path, course: Callable[[Hooks, Harness], Awaitable[None]], quotas: Any = QUOTAS, **options: Any
) -> list[Any]:
    """What the ledger is told of a course, as (model, settled, error)."""
    told: list[Any] = []

    async def main() -> None:
        async with gateway(folder, quotas=quotas, required_tags=("team",), peers_listen="127.0.0.1:0") as gate:
            asking = Quotas(f"http://{gate.running.at.peers}", PEER_SECRET, waits=(0.0,))
            await asyncio.create_task(course(Hooks(asking, _Look(), _Refused, **options), gate))  # type: ignore[arg-type]
            await asking.close()
            _, held = await gate.standing("usd")
            assert held == 0, "every hold is settled"
            await asyncio.sleep(0.15)
            told.extend(gate.events())

    asyncio.run(main())
    return [(one["sent_model"], one["settled"], one["error"]) for one in told]


def test_the_hold_of_the_request_is_the_first_attempts(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks)
        await proxy.begin()
        sent = await proxy.attempt()
        assert 0 < sent["max_completion_tokens"] <= 16_384
        await proxy.answered()

    assert run(tmp_path, course) == [("gpt-4o-mini", "usage", None)]


def test_a_retry_and_a_fallback_have_holds_of_their_own(tmp_path: Path) -> None:
    refused = RuntimeError("500")
    refused.status_code, refused.litellm_response_headers = 500, {"x-request-id": "1"}  # type: ignore[attr-defined]
    broken = RuntimeError("Server disconnected")
    broken.status_code, broken.litellm_response_headers = 500, None  # type: ignore[attr-defined]

    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks)
        await proxy.begin()
        await proxy.attempt()
        await proxy.failed(refused)
        await proxy.attempt()
        await proxy.failed(broken)
        await proxy.attempt("anthropic/claude-sonnet-5")
        await proxy.answered()

    assert run(tmp_path, course) == [
        ("gpt-4o-mini", "none", "RuntimeError"),
        ("gpt-4o-mini", "bound", "RuntimeError"),
        ("claude-sonnet-5", "usage", None),
    ]


def test_an_answer_of_200_that_litellm_can_not_read_is_no_refusal(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks)
        await proxy.begin()
        await proxy.attempt()
        before = RuntimeError("no JSON")
        before.status_code = 200  # type: ignore[attr-defined]
        error = RuntimeError("no JSON")
        error.status_code, error.litellm_response_headers, error.__context__ = 500, {"a": "b"}, before  # type: ignore[attr-defined]
        await proxy.failed(error)

    assert run(tmp_path, course) == [("gpt-4o-mini", "bound", "RuntimeError")]


def test_one_function_of_litellms_through_another_is_one_attempt(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks)
        await proxy.begin("aresponses")
        await proxy.attempt("openai/gpt-4o-mini", "aresponses", input="hi", messages=None)
        await proxy.attempt()
        await proxy.answered()
        await proxy.answered({"input_tokens": 1, "output_tokens": 1})

    told = run(tmp_path, course)
    assert [one for one in told if one[1] == "usage"] == [("gpt-4o-mini", "usage", None)]
    assert all(settled == "none" for _, settled, _ in told[:-1])


def test_attempts_at_a_time_have_a_hold_each_though_they_say_the_same(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks, max_tokens=50)

        async def one() -> None:
            await proxy.attempt()
            await asyncio.sleep(0.05)
            await proxy.answered()

        await proxy.begin()
        await asyncio.gather(one(), one(), one())

    assert run(tmp_path, course) == [("gpt-4o-mini", "usage", None)] * 3


def test_what_grew_after_it_was_held_is_held_anew(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks, max_tokens=50)
        await proxy.begin()
        before = (await gate.standing("usd"))[1]
        await proxy.attempt(messages=[{"role": "user", "content": "hi" * 5000}])
        for _ in range(100):
            if (after := (await gate.standing("usd"))[1]) > before and len(gate.events()) == 1:
                break
            await asyncio.sleep(0.02)
        assert after > before
        await proxy.answered()

    assert run(tmp_path, course) == [("gpt-4o-mini", "none", None), ("gpt-4o-mini", "usage", None)]


def test_a_hold_that_no_attempt_took_is_given_back(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        for end in ("failure", "success", "cache"):
            proxy = _Proxy(hooks)
            await proxy.begin()
            if end == "failure":
                await hooks.async_post_call_failure_hook({}, RuntimeError(), USER)
            elif end == "success":
                await hooks.async_post_call_success_hook({}, USER, None)
            else:
                await proxy.attempt()
                await hooks.async_log_success_event({"cache_hit": True}, None, None, None)

    assert [one[1] for one in run(tmp_path, course)] == ["none"] * 3


def test_a_stream_counts_by_what_the_provider_told_and_not_by_what_is_shown(tmp_path: Path) -> None:
    guess = chunk(usage={"prompt_tokens": 1, "completion_tokens": 1})

    async def course(hooks: Hooks, gate: Harness) -> None:
        for told in (USAGE, None):
            proxy = _Proxy(hooks, stream=True)
            await proxy.begin()
            sent = await proxy.attempt()
            assert sent["stream_options"] == {"include_usage": True}
            chunks = [chunk("a"), chunk(usage=told)]
            assert len(await proxy.stream([chunk("a"), guess], chunks)) == 1
        proxy = _Proxy(hooks, stream=True, stream_options={"include_usage": True})
        await proxy.begin()
        await proxy.attempt()
        assert (await proxy.stream([chunk("a"), guess], [chunk(usage=USAGE)]))[-1] is guess

    assert run(tmp_path, course) == [
        ("gpt-4o-mini", "usage", None),
        ("gpt-4o-mini", "bound", "no usage"),
        ("gpt-4o-mini", "usage", None),
    ]


@pytest.mark.parametrize("how", ["leave", "breaks"])
def test_a_stream_that_ends_early_counts_at_its_bound(tmp_path: Path, how: str) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks, stream=True)
        await proxy.begin()
        await proxy.attempt()
        with contextlib.suppress(ConnectionError):
            await proxy.stream([chunk("a"), chunk("b")], [chunk("a")], leave=how == "leave", breaks=how == "breaks")

    assert run(tmp_path, course) == [("gpt-4o-mini", "bound", "broke off")]


def test_a_fallback_in_the_middle_of_a_stream_leaves_the_first_attempt_at_its_bound(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        proxy = _Proxy(hooks, stream=True, max_tokens=50)
        await proxy.begin()
        await asyncio.create_task(proxy.attempt())
        await asyncio.create_task(proxy.attempt("anthropic/claude-sonnet-5"))
        await proxy.stream([chunk("a")], [chunk(usage=USAGE)])

    assert run(tmp_path, course) == [("gpt-4o-mini", "bound", "broke off"), ("claude-sonnet-5", "usage", None)]


def test_a_caller_that_leaves_while_it_is_held_gives_the_hold_back(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        async def request() -> None:
            await _Proxy(hooks).begin()
            await hooks.async_post_call_failure_hook({}, RuntimeError(), USER)

        for pause in (0, 0.0005, 0.001, 0.002, 0.004, 0.05):
            begun = asyncio.create_task(request())
            await asyncio.sleep(pause)
            begun.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await begun

    assert {one[1] for one in run(tmp_path, course)} <= {"none"}


def test_a_refusal_carries_the_budgets_words(tmp_path: Path) -> None:
    async def course(hooks: Hooks, gate: Harness) -> None:
        with pytest.raises(_Refused) as refused:
            await _Proxy(hooks, max_tokens=90_000).begin()
        no = refused.value.no
        assert (no.status, no.details["budget"]) == (429, "usd")
        with pytest.raises(_Refused, match="images"):
            await _Proxy(hooks).begin("images")
        with pytest.raises(_Refused, match="leave that in"):
            await _Proxy(hooks, additional_drop_params=["max_tokens"]).begin()

    assert run(tmp_path, course) == []


@pytest.mark.parametrize("is_open", [True, False])
def test_while_the_gateway_is_away_calls_are_refused_or_let_through(is_open: bool) -> None:
    async def main() -> None:
        asking = Quotas("http://127.0.0.1:1", PEER_SECRET, is_open=is_open, waits=(0.0, 0.01))
        proxy = _Proxy(Hooks(asking, _Look(), _Refused, unmetered=True))
        if is_open:
            await proxy.begin()
            assert "max_completion_tokens" not in await proxy.attempt()
            await proxy.answered()
        else:
            with pytest.raises(_Refused, match="can't be asked"):
                await proxy.begin()
        await proxy.begin("images")
        asking.settle(Held("text", None, 0), "done")
        await asking.close()

    asyncio.run(main())


def test_a_wrong_secret_is_nothing_that_a_caller_learns_of(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, quotas=QUOTAS, peers_listen="127.0.0.1:0") as gate:
            asking = Quotas(f"http://{gate.running.at.peers}", "another")
            with pytest.raises(_Refused) as refused:
                await _Proxy(Hooks(asking, _Look(), _Refused)).begin()
            assert refused.value.no.status == 503
            assert "secret" not in refused.value.no.message
            await asking.close()

    asyncio.run(main())


def test_a_call_is_told_without_what_is_litellms_own() -> None:
    said = {
        "model": "small",
        "messages": [1],
        "api_key": "sk-secret",
        "api_base": "http://x",
        "metadata": {"a": 1},
        "stream": False,
        "fallbacks": ["claude"],
        "tools": None,
        "temperature": 0,
        "extra_body": {"n": 50},
        "n": 1,
    }
    assert body_of(said, _Look().is_own) == {"messages": [1], "temperature": 0, "n": 50}
    assert "documents" in body_of({"prompt_id": "p"}, _Look().is_own)
    assert takes_limit_away({"additional_drop_params": ["max_completion_tokens"]})
    assert not takes_limit_away({"additional_drop_params": ["user"]})


def test_who_calls_is_the_keys_alias_its_team_and_their_tags() -> None:
    found = attributes_of(USER, {"environment": "dev", "cost_center": "7"})
    assert found == {
        "key": "search-prod",
        "team": "search",
        "user": "u1",
        "use_case": "chat",
        "environment": "prod",
        "cost_center": "7",
    }
    assert attributes_of(None, {}) == {}
    assert tags_of({"proxy_server_request": {"headers": {"x-outlay-tags": "a=b"}}}) == "a=b"
    assert tags_of({}) is None


@pytest.mark.parametrize(
    ("api", "provider", "said", "found"),
    [
        ("chat", "openai", {}, {"max_completion_tokens": 9}),
        ("chat", "anthropic", {}, {"max_tokens": 9}),
        ("chat", "openai", {"max_tokens": 5}, {}),
        ("chat", "anthropic", {"max_completion_tokens": 5}, {}),
        ("responses", "openai", {}, {"max_output_tokens": 9}),
        ("embeddings", "openai", {}, {}),
    ],
)
def test_a_limit_is_put_in_where_there_is_none(
    api: str, provider: str, said: dict[str, Any], found: dict[str, int]
) -> None:
    assert limited(api, provider, said, 9) == found
    assert limited(api, provider, said, None) == {}


def test_an_anthropic_stream_is_read_however_it_is_cut() -> None:
    sent = (
        b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-sonnet-5","usage":'
        b'{"input_tokens":9,"cache_read_input_tokens":3,"output_tokens":1}}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"\\"usage\\""}}\n\n'
        b'data: {broken "usage"\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":20}}\n\n'
    )
    for size in (1, 7, 10_000):
        seen = StreamUsage(None)
        for start in range(0, len(sent), size):
            seen.see(sent[start : start + size])
        seen.end(is_over=True)
        assert seen.usage == {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 20}
        assert (seen.model, seen.whole) == ("claude-sonnet-5", True)
