"""Sending a call to a provider: which headers go there, which come back, and what a failure means.

Nothing of what a caller uses to say who it is goes to a provider, and where a call goes is decided by the settings
alone: no header or field of a call names a host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

import aiohttp

from outlay.gateway.routes import Route

__all__ = ["NotSent", "back", "onward", "opened", "retry_after", "retryable", "send"]

_STAY = frozenset(
    {
        b"accept-encoding",
        b"api-key",
        b"authorization",
        b"connection",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"keep-alive",
        b"ocp-apim-subscription-key",
        b"openai-organization",
        b"openai-project",
        b"origin",
        b"referer",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"true-client-ip",
        b"via",
        b"x-api-key",
        b"x-goog-api-key",
        b"x-goog-user-project",
        b"x-host",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
    }
)
"""Headers of a call that end here: those of the connection, those that say who called or who pays, and those by which
a proxy in front of a provider would take the call for another."""
_STAY_BEGINNINGS = (b"x-outlay-", b"x-forwarded-", b"proxy-", b"sec-", b"x-amz-", b"x-amzn-", b"x-vertex-", b"cf-")
"""AWS and Google take the tier of service, which has a price of its own, from headers too."""
_NOT_BACK = frozenset(
    {
        "alt-svc",
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "server",
        "set-cookie",
        "strict-transport-security",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_EVERY = {"content-type": "application/json", "accept-encoding": "identity", "accept": "*/*", "user-agent": "outlay"}
"""The last two are the caller's own where it tells them."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL_BYTE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_RETRYABLE = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_CONNECT_SECONDS = 10
_KEPT_ALIVE_SECONDS = 30


class NotSent(Exception):
    """A call that did not reach the provider, so that it can't have cost anything."""


def opened(most: int) -> aiohttp.ClientSession:
    """The connections to all providers. Certificates are checked, and no redirection is followed."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=most, keepalive_timeout=_KEPT_ALIVE_SECONDS, ttl_dns_cache=60),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def onward(headers: Iterable[tuple[bytes, bytes]], route: Route) -> dict[str, str]:
    """The headers that a provider gets: the caller's own but those that end here, and the provider's secret."""
    found = dict(_EVERY)
    for name, value in headers:
        if name not in _STAY and not name.startswith(_STAY_BEGINNINGS) and not _CONTROL_BYTE.search(value):
            found[name.decode("latin-1")] = value.decode("latin-1")
    found.update(route.upstream.headers)
    if route.upstream.settings.provider == "anthropic":
        found.setdefault("anthropic-version", route.upstream.settings.api_version or "2023-06-01")
    return found


def back(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that its caller gets, byte for byte; what can't be a header is left out."""
    found = []
    for name, value in headers.items():
        lowered = name.lower()
        if lowered not in _NOT_BACK and not lowered.startswith("x-outlay-") and not _CONTROL.search(value):
            found.append((lowered.encode("ascii", "replace"), value.encode("utf-8", "surrogateescape")))
    return found


def retryable(status: int) -> bool:
    """Whether a provider that answers so may do better the next time; none of these is charged."""
    return status in _RETRYABLE


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds after which the provider wants to be asked again."""
    said = headers.get("retry-after", "")
    return float(said) if _SECONDS.fullmatch(said) else 0.5


@cache
def _timeout(whole: int, first_byte: int) -> aiohttp.ClientTimeout:
    """Those of an upstream; there are as many as upstreams differ in them."""
    return aiohttp.ClientTimeout(total=whole, sock_connect=_CONNECT_SECONDS, sock_read=first_byte)


async def send(
    session: aiohttp.ClientSession, route: Route, headers: Mapping[str, str], body: bytes
) -> aiohttp.ClientResponse:
    """Send a call; the answer's head. Raises :class:`NotSent`; any other error leaves open what the provider did."""
    settings = route.upstream.settings
    timeout = _timeout(settings.timeout_seconds, settings.first_byte_seconds)
    try:
        return await session.post(route.url, data=body, headers=headers, allow_redirects=False, timeout=timeout)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSent(f"{route.upstream.id} can't be reached: {type(error).__name__}") from None
