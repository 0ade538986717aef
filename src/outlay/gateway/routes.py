"""Which upstream a call goes to, and where that one has the API that it is in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from yarl import URL

from outlay.config.gateway import UpstreamSettings
from outlay.config.routing import named
from outlay.errors import ConfigError, nearest
from outlay.gateway.paths import is_model
from outlay.gateway.refusal import Refusal
from outlay.gateway.wires.gemini import GEMINI_VERBS
from outlay.operate.quotas.quota import Scope

__all__ = ["Route", "Routes", "Upstream"]

_OPENAI = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "completions": "/completions",
    "embeddings": "/embeddings",
}
_ANTHROPIC = {"messages": "/messages", "count_tokens": "/messages/count_tokens", "chat": "/chat/completions"}
_GEMINI = tuple(GEMINI_VERBS)
_BEDROCK = ("converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens")
_AZURE_VERSION = "2024-10-21"
_ACCESS_KEY = re.compile(r"A[KS]IA[A-Z0-9]{12,}\b")
_PRICED_AS = {"gemini": "google", "bedrock": "aws", "azure": "azure", "openai-compatible": "openai"}
_OTEL = {
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "openai": "openai",
    "openai-compatible": "openai",
}


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider as the gateway calls it. Its secret is in ``headers``, and leaves by no other way than to it."""

    settings: UpstreamSettings
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    urls: Mapping[str, URL]

    @property
    def id(self) -> str:
        """Its name in the settings."""
        return self.settings.id

    @property
    def provider(self) -> str:
        """OpenTelemetry's name of the provider."""
        return self.settings.priced_as or _OTEL[self.settings.provider]

    @property
    def priced_as(self) -> str:
        """Its name in the price list."""
        return self.settings.priced_as or _PRICED_AS.get(self.settings.provider, self.settings.provider)

    def serves(self, model: str) -> bool:
        """Whether callers may ask it for this model."""
        return named(model, self.settings.models)

    def url(self, wire: str, model: str) -> URL | None:
        """Where it has an API; None where it has not."""
        fixed, provider = self.urls.get(wire), self.settings.provider
        if fixed is not None:
            return fixed
        path = None
        if provider == "azure" and wire in _OPENAI and wire != "responses" and not _is_azure_v1(self.settings):
            version = self.settings.api_version or _AZURE_VERSION
            path = f"/deployments/{_named(model)}{_OPENAI[wire]}?api-version={version}"
        elif provider == "gemini" and wire in _GEMINI:
            path = f"/models/{_named(model.removeprefix('models/'))}:{wire}"
            path += "?alt=sse" if wire.startswith("stream") else ""
        elif provider == "bedrock" and wire in _BEDROCK:
            path = f"/model/{_named(model)}/{wire}"
        return None if path is None else URL(self.settings.base_url.rstrip("/") + path, encoded=True)


@dataclass(frozen=True, slots=True)
class Route:
    """One place to send a call: an upstream, the model's name there, and the address."""

    upstream: Upstream
    model: str
    url: URL


class Routes:
    """All upstreams. Raises :class:`ConfigError` for a secret that is not in the environment."""

    def __init__(self, upstreams: Sequence[UpstreamSettings], environment: Mapping[str, str]) -> None:
        self.upstreams = {one.id: _upstream(one, environment) for one in upstreams}
        self._found: dict[tuple[str, str, tuple[str, ...]], tuple[Route, ...]] = {}

    def of(self, wire: str, model: str, allowed: tuple[str, ...] = ()) -> tuple[Route, ...]:
        """Where a call may go: the first upstream that serves the model, then what it falls back on.

        Raises :class:`Refusal`.
        """
        key = (wire, model, allowed)
        found = self._found.get(key)
        if found is None:
            if len(self._found) > 10_000:
                self._found.clear()
            found = self._found[key] = self._chain(wire, model, allowed)
        return found

    def models(self) -> list[tuple[str, str]]:
        """The models that are named in the settings, each with its upstream."""
        return [(model, one.id) for one in self.upstreams.values() for model in one.settings.models if "*" not in model]

    def _chain(self, wire: str, model: str, allowed: tuple[str, ...]) -> tuple[Route, ...]:
        serving = [one for one in self.upstreams.values() if one.serves(model) and _allowed(one, allowed)]
        if not serving:
            names = sorted({name for name, _ in self.models()})
            hint = nearest(model, names) if names else "The settings name no upstream for it."
            raise Refusal(404, "unknown_model", f"no upstream serves the model '{model}'. {hint}")
        first = next((one for one in serving if one.url(wire, model) is not None), None)
        if first is None:
            message = f"'{serving[0].id}', which serves '{model}', has no {wire} API that the gateway forwards."
            raise Refusal(404, "unknown_api", message)
        chain: list[Upstream] = []
        step: Upstream | None = first
        while step is not None:
            if _allowed(step, allowed):
                chain.append(step)
            step = self.upstreams[step.settings.fallback] if step.settings.fallback else None
        routes = []
        for one in chain:
            name = one.settings.rename.get(model, model)
            url = one.url(wire, name)
            if url is not None:
                routes.append(Route(one, name, url))
        return tuple(routes)


def _allowed(upstream: Upstream, patterns: tuple[str, ...]) -> bool:
    """Whether a key is for this upstream; one that names none is for all."""
    return not patterns or Scope((("upstream", patterns),)).fits({"upstream": upstream.id})


def _upstream(settings: UpstreamSettings, environment: Mapping[str, str]) -> Upstream:
    secret = ""
    if settings.api_key_env is not None:
        secret = environment.get(settings.api_key_env, "").strip()
        if not secret:
            raise ConfigError(
                f"the environment variable {settings.api_key_env} is empty or not set.",
                where=f"[[gateway.upstreams]] '{settings.id}'",
                hint="Put the provider's key into it.",
            )
    if settings.provider == "bedrock" and _ACCESS_KEY.match(secret):
        raise ConfigError(
            f"{settings.api_key_env} holds an AWS access key, and calls are not signed with it.",
            where=f"[[gateway.upstreams]] '{settings.id}'",
            hint="Put an API key of Bedrock into it, as AWS_BEARER_TOKEN_BEDROCK holds.",
        )
    return Upstream(settings, _headers(settings, secret), _urls(settings))


def _named(model: str) -> str:
    """A model's name as one step of an address, whatever is in it."""
    if not is_model(model):
        raise Refusal(400, "bad_model", f"'{model[:60]}' can't be the name of a model in an address.")
    return quote(model, safe="")


def _headers(settings: UpstreamSettings, secret: str) -> tuple[tuple[str, str], ...]:
    if not secret:
        return ()
    if settings.provider == "anthropic":
        return (("x-api-key", secret), ("authorization", f"Bearer {secret}"))
    if settings.provider == "azure":
        return (("api-key", secret),)
    if settings.provider == "gemini":
        return (("x-goog-api-key", secret), ("authorization", f"Bearer {secret}"))
    return (("authorization", f"Bearer {secret}"),)


def _urls(settings: UpstreamSettings) -> dict[str, URL]:
    base = settings.base_url.rstrip("/")
    if settings.provider == "anthropic":
        paths = _ANTHROPIC
    elif settings.provider == "gemini":
        paths = {name: f"/openai{path}" for name, path in _OPENAI.items() if name in ("chat", "embeddings")}
    elif settings.provider == "bedrock":
        paths = {"chat": "/openai/v1/chat/completions"}
    elif settings.provider == "azure":
        version = f"?api-version={settings.api_version}" if settings.api_version else ""
        served = _OPENAI if _is_azure_v1(settings) else {"responses": "/responses"} if version else {}
        paths = {name: f"{path}{version}" for name, path in served.items()}
    elif settings.provider == "openai-compatible":
        paths = {**_ANTHROPIC, **_OPENAI}
    else:
        paths = _OPENAI
    return {name: URL(base + path, encoded=True) for name, path in paths.items()}


def _is_azure_v1(settings: UpstreamSettings) -> bool:
    return settings.base_url.rstrip("/").endswith("/v1")
