"""The object that LiteLLM's ``config.yaml`` names: ``callbacks: outlay.gateway.litellm.callback.quotas``.

Environment: ``OUTLAY_PEERS_URL`` and ``OUTLAY_PEERS_SECRET`` of the gateway; ``OUTLAY_TAGS`` (``team=...,
environment=...``) for keys that have none; ``OUTLAY_UNREACHABLE=open`` lets calls through while the gateway can't be
reached; ``OUTLAY_UNMETERED=allow`` lets calls through that it can't meter, such as images.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import litellm
from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

from outlay.gateway.litellm.asking import No, Quotas
from outlay.gateway.litellm.hooks import Hooks

__all__ = ["quotas"]

_ROUTES_OF_BEDROCK = ("converse/", "invoke/", "converse_like/")


class _LiteLLM:
    """What LiteLLM knows."""

    def is_own(self, name: str) -> bool:
        return bool(litellm.types.utils.is_litellm_owned_kwarg(name))

    def place(self, said: Mapping[str, Any]) -> tuple[str, str]:
        named = str(said.get("model") or "")
        base = (said.get("model_info") or {}).get("base_model")
        try:
            model, provider, _, _ = litellm.get_llm_provider(
                model=named, custom_llm_provider=said.get("custom_llm_provider"), api_base=said.get("api_base")
            )
        except litellm.exceptions.BadRequestError:
            return "unknown", named
        if provider == "bedrock":
            for route in _ROUTES_OF_BEDROCK:
                model = model.removeprefix(route)
        return str(provider), str(base or model)

    def planned(self, said: Mapping[str, Any]) -> tuple[str, str] | None:
        from litellm.proxy import proxy_server

        router = proxy_server.llm_router
        listed = router.get_model_list(model_name=said.get("model")) if router is not None else None
        if not listed:
            return None
        first = listed[0]
        return self.place({**first["litellm_params"], "model_info": first.get("model_info")})


class OutlayQuotas(Hooks, CustomLogger):  # type: ignore[misc]  # it is not here when types are checked
    """LiteLLM's callback. LiteLLM calls only what stands in the class itself, so its hooks are named here."""

    async_pre_call_hook = Hooks.async_pre_call_hook
    async_pre_call_deployment_hook = Hooks.async_pre_call_deployment_hook
    async_post_call_success_deployment_hook = Hooks.async_post_call_success_deployment_hook
    async_post_call_failure_deployment_hook = Hooks.async_post_call_failure_deployment_hook
    async_post_call_failure_hook = Hooks.async_post_call_failure_hook
    async_post_call_success_hook = Hooks.async_post_call_success_hook
    async_post_call_streaming_iterator_hook = Hooks.async_post_call_streaming_iterator_hook
    async_log_success_event = Hooks.async_log_success_event


def _refusal(no: No) -> Exception:
    detail = {"error": no.message, "outlay": dict(no.details)} if no.details else {"error": no.message}
    found: Exception = HTTPException(no.status, detail=detail, headers=dict(no.headers) or None)
    return found


def _set(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ValueError(f"{name} is not set: Outlay's quotas need it. See docs/reference/other-gateways.md.")
    return value


def _tags(said: str) -> dict[str, str]:
    pairs = (one.partition("=") for one in said.split(",") if one.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


quotas = OutlayQuotas(
    Quotas(
        _set("OUTLAY_PEERS_URL"), _set("OUTLAY_PEERS_SECRET"), is_open=os.environ.get("OUTLAY_UNREACHABLE") == "open"
    ),
    _LiteLLM(),
    _refusal,
    others=_tags(os.environ.get("OUTLAY_TAGS", "")),
    unmetered=os.environ.get("OUTLAY_UNMETERED") == "allow",
)
