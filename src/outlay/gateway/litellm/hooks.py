"""What LiteLLM's proxy calls before, during and after a request, and what is held and settled then.

LiteLLM retries, and falls back on other models, within one request: each attempt may be billed, so each has a hold of
its own. The first is taken before LiteLLM chooses (``async_pre_call_hook``), for the deployment that it most likely
takes, since only there a refusal ends the request; where it takes another, or tries again, a hold for that replaces it
(``async_pre_call_deployment_hook``). One call of LiteLLM's may go through another of its functions, in the same task
and to the same model: that is one attempt.

Nothing is found by the id of a request, which callers may choose: everything hangs on the context of the request's
tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from outlay.gateway.litellm.asking import Held, No, Quotas, Status
from outlay.gateway.litellm.calls import APIS, attributes_of, body_of, limited, tags_of, takes_limit_away, usage_of
from outlay.gateway.litellm.streams import StreamUsage, is_only_usage

__all__ = ["Hooks", "Look"]

_Place = tuple[str, str]


class Look(Protocol):
    """What LiteLLM knows."""

    def is_own(self, name: str) -> bool:
        """Whether an argument is for LiteLLM itself, and never sent on."""

    def place(self, said: Mapping[str, Any]) -> _Place:
        """The provider and the model that a call to a deployment goes to."""

    def planned(self, said: Mapping[str, Any]) -> _Place | None:
        """Those of the deployment that a request most likely goes to; None where that can't be told."""


@dataclass(slots=True)
class _Attempt:
    """One call of a provider, and its hold. ``taken`` once it was sent, ``done`` once it was settled."""

    place: _Place
    api: str
    body: dict[str, Any]
    held: Held
    taken: bool = False
    done: bool = False


@dataclass(slots=True)
class _Request:
    """One request of a caller, with all its attempts. ``shows`` unless the usage of its stream is only for us."""

    attributes: dict[str, str]
    tags: str | None = None
    attempts: list[_Attempt] = field(default_factory=list)
    shows: bool = True


_REQUEST: ContextVar[_Request | None] = ContextVar("outlay_request", default=None)
_WITHIN: ContextVar[_Attempt | None] = ContextVar("outlay_attempt", default=None)


class Hooks:
    """LiteLLM's ``CustomLogger``, without its base class. ``refuse`` makes the exception that LiteLLM answers with.

    ``others`` are tags for calls whose key has none. ``unmetered`` lets calls through that Outlay can't meter.
    """

    def __init__(
        self,
        quotas: Quotas,
        look: Look,
        refuse: Callable[[No], Exception],
        *,
        others: Mapping[str, str] | None = None,
        unmetered: bool = False,
    ) -> None:
        self._quotas, self._look, self._refuse = quotas, look, refuse
        self._others, self._unmetered = dict(others or {}), unmetered

    async def async_pre_call_hook(self, user_api_key_dict: object, cache: object, data: Any, call_type: str) -> None:  # noqa: ANN401
        """A request came: hold what its first attempt can use, or refuse it."""
        request = _Request(attributes_of(user_api_key_dict, self._others), tags_of(data))
        _REQUEST.set(request)
        _WITHIN.set(None)
        api = APIS.get(call_type)
        if api is None:
            if self._unmetered:
                return
            message = f"calls of the kind '{call_type}' are not metered, so they are not let through."
            raise self._refuse(No(403, message))
        place = self._look.planned(data)
        if place is not None:
            request.attempts.append(await self._hold(request, api, place, data))

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: object) -> dict[str, Any] | None:
        """An attempt begins: it goes with a hold of its own, and within it."""
        api = APIS.get(str(getattr(call_type, "value", call_type)))
        if api is None:
            return None
        place = self._look.place(kwargs)
        within = _WITHIN.get()
        if within is not None and not within.done and within.place == place:
            return None
        request = _REQUEST.get()
        if request is None:  # LiteLLM itself calls, such as to see whether a deployment is well
            request = _Request(dict(self._others))
            _REQUEST.set(request)
        attempt = await self._attempt(request, api, place, kwargs)
        attempt.taken = True
        _WITHIN.set(attempt)
        provider = place[0]
        changed = {**kwargs, **limited(api, provider, kwargs, attempt.held.max_tokens)}
        if api in ("chat", "completions") and kwargs.get("stream"):
            options = kwargs.get("stream_options") or {}
            request.shows = options.get("include_usage") is True
            changed["stream_options"] = {**options, "include_usage": True}
        return changed

    async def async_post_call_success_deployment_hook(
        self, request_data: object, response: object, call_type: object
    ) -> None:
        """An attempt was answered, whole."""
        attempt = _WITHIN.get()
        if attempt is None or attempt.done or not attempt.taken:
            return
        usage, model = usage_of(response)
        if usage is not None:
            self._done(attempt, usage, model, "done")
        elif response is None or isinstance(response, Mapping) or hasattr(response, "usage"):
            self._settle(attempt, "unknown", error="no usage")

    async def async_post_call_failure_deployment_hook(
        self, request_data: object, exception: Exception, call_type: object, fallback_depth: int | None = None
    ) -> None:
        """An attempt failed. What the provider itself refused it did not do; of anything else nobody knows."""
        attempt = _WITHIN.get()
        if attempt is not None and attempt.taken and not attempt.done:
            refused = _is_refusal(exception)
            self._settle(attempt, "failed" if refused else "unknown", error=type(exception).__name__)

    async def async_post_call_failure_hook(
        self,
        request_data: object,
        original_exception: object,
        user_api_key_dict: object,
        traceback_str: str | None = None,
    ) -> None:
        """A request failed: what was never sent is given back, of all else nobody knows."""
        request = _REQUEST.get()
        if request is not None:
            self._end(request, error=type(original_exception).__name__)

    async def async_log_success_event(
        self, kwargs: Mapping[str, Any], response_obj: object, start_time: object, end_time: object
    ) -> None:
        """A request was answered: from LiteLLM's cache, perhaps, and then no attempt was sent."""
        request = _REQUEST.get()
        if request is not None and kwargs.get("cache_hit") is True:
            for attempt in request.attempts:
                self._settle(attempt, "unsent", error="answered from a cache")

    async def async_post_call_success_hook(self, data: object, user_api_key_dict: object, response: object) -> None:
        """A request was answered, whole: a hold that no attempt took is given back."""
        request = _REQUEST.get()
        if request is not None:
            self._give_back(request)

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: object, response: AsyncIterator[Any], request_data: object
    ) -> AsyncIterator[Any]:
        """A request is answered by a stream: read along what it tells, and settle at its end."""
        request = _REQUEST.get()
        if request is None or not request.attempts:
            async for item in response:
                yield item
            return
        seen, is_over = StreamUsage(response), False
        try:
            async for item in response:
                seen.see(item)
                if request.shows or not is_only_usage(item):
                    yield item
            is_over = True
        finally:
            seen.end(is_over=is_over)
            self._give_back(request)
            sent = [one for one in request.attempts if not one.done]
            for attempt in sent[:-1]:
                self._settle(attempt, "unknown", error="broke off")
            for attempt in sent[-1:]:
                if seen.usage is None:
                    self._settle(attempt, "unknown", error="no usage" if is_over else "broke off")
                else:
                    self._done(attempt, seen.usage, seen.model, "done" if seen.whole else "broken")

    async def _attempt(self, request: _Request, api: str, place: _Place, said: Mapping[str, Any]) -> _Attempt:
        body = body_of(said, self._look.is_own)
        for one in request.attempts:
            if not one.taken and not one.done and (one.api, one.place, one.body) == (api, place, body):
                return one
        self._give_back(request)
        attempt = await self._hold(request, api, place, said)
        request.attempts.append(attempt)
        return attempt

    async def _hold(self, request: _Request, api: str, place: _Place, said: Mapping[str, Any]) -> _Attempt:
        if takes_limit_away(said):
            raise self._refuse(No(400, "additional_drop_params takes the limit of the output away; leave that in."))
        body = body_of(said, self._look.is_own)
        wanted = {
            "api": api,
            "provider": place[0],
            "model": place[1],
            "attributes": request.attributes,
            "tags": request.tags,
            "body": body,
        }
        try:
            held = await self._quotas.hold(wanted)
        except No as no:
            raise self._refuse(no) from None
        attempt = _Attempt(place, api, body, held)
        try:
            await asyncio.sleep(held.delay)
        except asyncio.CancelledError:
            self._settle(attempt, "unsent", error="the caller went away")
            raise
        return attempt

    def _give_back(self, request: _Request) -> None:
        for attempt in request.attempts:
            if not attempt.taken:
                self._settle(attempt, "unsent")

    def _end(self, request: _Request, *, error: str) -> None:
        self._give_back(request)
        for attempt in request.attempts:
            self._settle(attempt, "unknown", error=error)

    def _done(self, attempt: _Attempt, usage: dict[str, Any], model: str | None, status: Status) -> None:
        flavor = "chat" if "prompt_tokens" in usage else "messages" if attempt.api == "messages" else "responses"
        said = {"answered_model": model} if model is not None else {}
        self._settle(attempt, status, usage=usage, flavor=flavor, **said)

    def _settle(self, attempt: _Attempt, status: Status, **said: object) -> None:
        if not attempt.done:
            attempt.done = True
            self._quotas.settle(attempt.held, status, **said)


def _is_refusal(error: BaseException) -> bool:
    """Whether an error is an answer of the provider's own.

    LiteLLM keeps that one's headers, and names a broken connection by the same status.
    """
    status, before = getattr(error, "status_code", None), error.__cause__ or error.__context__
    answered = getattr(before, "status_code", status)
    if (
        not isinstance(status, int)
        or not isinstance(answered, int)
        or min(status, answered) < 400
        or 408 in (status, answered)
    ):
        return False
    if getattr(error, "llm_provider", None) == "azure" and status == 400:
        return False  # it charges for what its filter stopped after some work
    return getattr(error, "litellm_response_headers", None) is not None
