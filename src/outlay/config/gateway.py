"""``[[quotas]]`` and ``[gateway]``: what may be used, and who is called for whom."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from outlay.config.base import ExactDecimal, Frozen, ShownShare, Values
from outlay.config.routing import RouteSettings, named
from outlay.errors import nearest

__all__ = ["PROVIDERS", "CacheSettings", "GatewaySettings", "QuotaSettings", "UpstreamSettings"]

PROVIDERS = ("anthropic", "azure", "bedrock", "gemini", "openai", "openai-compatible")
"""Wire formats that the gateway forwards."""


class QuotaSettings(Frozen):
    """``[[quotas]]``: what a scope may use in a window. A call must fit all that it falls under."""

    id: str | None = Field(None, min_length=1, description="its name in messages; else made of scope and limit")
    scope: dict[str, Values] = Field(
        default_factory=dict,
        description='which calls: tags, key, model, upstream; "*" counts each value by itself, "gpt-5*" is a beginning',
    )
    limit: str = Field(description='"900 USD/day", "2M tokens/hour" or "600 requests/minute"')
    window: Literal["calendar", "sliding"] | None = Field(
        None, description="from midnight UTC, or the last so many; unless given, a day and longer follow the calendar"
    )
    throttle_at: ShownShare | None = Field(None, description="share of the limit from which calls are slowed")
    throttle_seconds: ExactDecimal = Field(Decimal(10), gt=0, le=300, description="longest that a call is slowed")
    mode: Literal["enforce", "shadow"] = Field("enforce", description="shadow only tells what it would deny")


class UpstreamSettings(Frozen):
    """``[[gateway.upstreams]]``: a provider that calls are sent to."""

    id: str = Field(min_length=1, description="its name, in messages, keys and quotas")
    provider: Literal["anthropic", "azure", "bedrock", "gemini", "openai", "openai-compatible"] = Field(
        description="decides the wire format, and the price list unless priced_as says otherwise"
    )
    base_url: str = Field(pattern=r"^https?://[^/?#\s@]+(/[^?#\s]*)?$", description="with its version path")
    api_key_env: str | None = Field(None, description="environment variable that holds its secret")
    models: Values = Field(("*",), description='names that callers use; "*" for all, "gpt-5*" for a beginning')
    rename: dict[str, str] = Field(default_factory=dict, description="what a caller's name is called there")
    priced_as: str | None = Field(None, description="its name in the price list, where that is another")
    context_window: int | None = Field(None, ge=1, description="most input tokens of its models, where no list tells")
    max_tokens: int | None = Field(None, ge=1, description="most output tokens of a call that names none")
    hidden_tokens: int = Field(1024, ge=0, description="input tokens that it may add to a call's own")
    region: str | None = Field(None, description="of Bedrock, and of prices by region")
    api_version: str | None = Field(None, description="of Azure OpenAI and Anthropic, where a call names none")
    timeout_seconds: int = Field(600, ge=1, le=3600, description="longest that a whole call may take")
    first_byte_seconds: int = Field(300, ge=1, le=3600, description="longest until its answer begins")
    retries: int = Field(1, ge=0, le=5, description="tries after the first, where nothing of an answer has come")
    fallback: str | None = Field(None, description="upstream that is tried when this one fails")

    @model_validator(mode="after")
    def _no_secret_in_plain_text(self) -> UpstreamSettings:
        host = self.base_url.partition("://")[2].partition("/")[0]
        local = host.partition(":")[0] in ("localhost", "127.0.0.1", "[::1]")
        if self.base_url.startswith("http://") and self.api_key_env and not (local or "." not in host):
            raise ValueError(f"sends the secret in {self.api_key_env} to {host} unencrypted: use https://")
        return self


class CacheSettings(Frozen):
    """``[gateway.cache]``: the same question gets the same answer again. There is none unless the section is there."""

    scope: Literal["key", "team"] = Field("key", description="whose questions are the same: a key's, or a team's")
    seconds: int = Field(3600, ge=1, le=604_800, description="for how long an answer is given again")
    max_mib: int = Field(64, ge=1, le=65_536, description="memory for answers; what was not asked for longest goes")
    any_temperature: bool = Field(False, description="also answers that were drawn, and not of temperature 0 alone")


class GatewaySettings(Frozen):
    """``[gateway]``: the live data plane."""

    listen: str = Field("127.0.0.1:8787", description="where callers come")
    admin_listen: str | None = Field("127.0.0.1:8788", description="metrics and admin, on their own port")
    admin_token_env: str = Field("OUTLAY_ADMIN_TOKEN", description="environment variable with the admin's secret")
    peers_listen: str | None = Field(None, description="where other gateways ask for the quotas, on their own port")
    peers_secret_env: str = Field(
        "OUTLAY_PEERS_SECRET", description="environment variable with the secret that other gateways send"
    )
    state: str = Field(
        "sqlite:///gateway.db", description="where holds are kept: sqlite:///PATH, or redis://HOST:PORT/N for replicas"
    )
    spool: Path | None = Field(None, description="folder of usage events; unless given, in the ledger's")
    keys: str = Field("sqlite:///outlay-keys.db", description="where virtual keys are kept; an SQLAlchemy address")
    upstreams: tuple[UpstreamSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = Field((), description="rules for calls: see below")
    cache: CacheSettings | None = Field(None, description="answers that are given again: see below")
    required_tags: tuple[str, ...] | None = Field(
        None, description="tags without which a call is refused; unless given, those of [tags] but the model"
    )
    max_tokens: int = Field(16_384, ge=1, description="most output tokens of a call that names none")
    least_tokens: int = Field(64, ge=1, description="fewest that such a call is let have before it is denied")
    unpriced: Literal["refuse", "allow"] = Field("refuse", description="calls without a price, under a quota in money")
    on_expiry: Literal["charge", "release"] = Field(
        "charge", description="a hold that nobody settled counts at its bound, or as nothing"
    )
    on_unavailable: Literal["closed", "open"] = Field(
        "closed", description="when holds can't be kept: refuse calls, or let them through with an alert"
    )
    on_disconnect: Literal["drain", "cancel"] = Field(
        "drain", description="a caller that goes away: read on to learn the usage, or stop and count the bound"
    )
    hold_seconds: int = Field(3900, ge=60, le=86_400, description="for how long an unsettled hold is kept")
    max_body_mib: int = Field(64, ge=1, le=512, description="longest request")
    max_connections: int = Field(1000, ge=1, description="callers at a time")
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s@]+(/[^?#\s]*)?$",
        description="where spans and metrics are sent over OTLP/HTTP, without /v1/traces; unless given, nowhere",
    )
    otlp_headers_env: str = Field(
        "OTEL_EXPORTER_OTLP_HEADERS",
        description="environment variable with its headers, as name=value,...",
    )

    @field_validator("state")
    @classmethod
    def _known_state(cls, state: str) -> str:
        if not state.startswith(("sqlite:///", "redis://", "rediss://", "unix://")):
            raise ValueError(f"'{state}' is none: write sqlite:///gateway.db or redis://host:6379/0")
        return state

    @field_validator("upstreams")
    @classmethod
    def _upstreams_fit(cls, upstreams: tuple[UpstreamSettings, ...]) -> tuple[UpstreamSettings, ...]:
        by_id: dict[str, UpstreamSettings] = {}
        for one in upstreams:
            if one.id in by_id:
                raise ValueError(f"two upstreams are called '{one.id}'")
            by_id[one.id] = one
        for one in upstreams:
            _no_circle(one, by_id)
        return upstreams

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> GatewaySettings:
        seen: set[str] = set()
        patterns = [pattern for one in self.upstreams for pattern in one.models]
        for route in self.routes:
            if route.name in seen:
                raise ValueError(f"two routes are called '{route.name}': give each an id of its own")
            seen.add(route.name)
            for model in route.to:
                if not named(model, patterns):
                    hint = nearest(model, patterns) if patterns else "There are none."
                    raise ValueError(f"the route '{route.name}' leads to '{model}', which no upstream serves. {hint}")
        return self


def _no_circle(one: UpstreamSettings, by_id: Mapping[str, UpstreamSettings]) -> None:
    seen = [one.id]
    while one.fallback is not None:
        if one.fallback not in by_id:
            raise ValueError(f"'{one.id}' falls back on '{one.fallback}', which is no upstream")
        if one.fallback in seen:
            raise ValueError(f"'{' -> '.join([*seen, one.fallback])}' falls back in a circle")
        one = by_id[one.fallback]
        seen.append(one.id)
