"""The quotas of an Outlay gateway, asked over HTTP from LiteLLM's process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

__all__ = ["Held", "No", "Quotas", "Status"]

_logger = logging.getLogger(__name__)
_SECONDS = 10
_IDLE_SECONDS = 30
"""A connection is not used again later than that: the gateway closes it after 75."""
_WAITS = (0.0, 0.5, 2.0, 10.0, 60.0, 300.0)
"""Seconds before each try of a settlement. What never arrives counts at its bound once its hold runs out."""

Status = Literal["done", "broken", "unknown", "failed", "unsent"]


@dataclass(frozen=True, slots=True)
class Held:
    """A hold: ``text`` settles it. None where the gateway could not be asked and calls go on all the same."""

    text: str | None
    max_tokens: int | None
    delay: float


@dataclass(frozen=True, slots=True)
class No(Exception):
    """A call that may not go: what its caller is told."""

    status: int
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Quotas:
    """Asks the gateway at ``url``. ``is_open`` lets calls through, unheld, while it can't be reached."""

    def __init__(self, url: str, secret: str, *, is_open: bool = False, waits: tuple[float, ...] = _WAITS) -> None:
        self._url, self._secret, self._is_open, self._waits = url.rstrip("/"), secret, is_open, waits
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Future[Any]] = set()

    async def hold(self, wanted: Mapping[str, Any]) -> Held:
        """Hold the most that a call can use. Raises :class:`No`.

        Where the caller is cancelled meanwhile, the hold is given back.
        """
        asking = asyncio.ensure_future(self._hold(wanted))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._under_way.add(asking)
            asking.add_done_callback(self._give_back)
            raise

    def settle(self, held: Held, status: Status, **said: object) -> None:
        """Settle a hold, in the background."""
        if held.text is None:
            return
        task = asyncio.ensure_future(self._settle({"hold": held.text, "status": status, **said}))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Wait for settlements under way, and for holds that are to be given back; let go of the connections."""
        while self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _hold(self, wanted: Mapping[str, Any]) -> Held:
        try:
            status, found, headers = await self._ask("/quotas/hold", wanted)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if self._is_open:
                _logger.warning("Outlay can't be reached (%s); the call goes without a hold", type(error).__name__)
                return Held(None, None, 0)
            raise No(
                503, "the budgets can't be asked, so the call was not sent.", headers={"retry-after": "5"}
            ) from None
        if status == 200:
            return Held(found["hold"], found["max_tokens"], found["delay_ms"] / 1000)
        said = found.get("error") or {}
        message = str(said.get("message") or f"Outlay answered {status}")
        if status in (401, 404, 405):  # it is this process that asks wrongly, and not the caller
            _logger.error("Outlay refuses to be asked: %s", message)
            raise No(503, "the budgets can't be asked, so the call was not sent.")
        kept = {"retry-after": headers["retry-after"]} if "retry-after" in headers else {}
        raise No(status, message, said.get("outlay") or {}, kept)

    async def _settle(self, said: Mapping[str, Any]) -> None:
        why: object = ""
        for wait in self._waits:
            await asyncio.sleep(wait)
            try:
                status, found, _ = await self._ask("/quotas/settle", said)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                why = type(error).__name__
                continue
            if status == 200:
                return
            why = found
            if status < 500:
                break
        _logger.error("a call was not settled, and will count at its bound: %s", why)

    async def _ask(self, path: str, said: Mapping[str, Any]) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
                headers={"x-outlay-peer": self._secret, "content-type": "application/json"},
                trust_env=False,
            )
        content = json.dumps(said, ensure_ascii=False, separators=(",", ":"), default=repr).encode("utf-8", "replace")
        async with self._session.post(self._url + path, data=content) as answer:
            found = await answer.json()
            if not isinstance(found, dict):
                raise ValueError("no object")
            return answer.status, found, answer.headers

    def _give_back(self, asked: asyncio.Future[Held]) -> None:
        self._under_way.discard(asked)
        if not asked.cancelled() and asked.exception() is None:
            self.settle(asked.result(), "unsent", error="the caller went away")
