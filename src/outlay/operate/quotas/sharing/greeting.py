"""What is said first to a Redis: the scripts; and what its settings are worth for holds that must not be lost."""

from __future__ import annotations

import os

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from outlay.operate.quotas.sharing.line import packed
from outlay.operate.quotas.sharing.scripts import SCRIPTS

__all__ = ["Greeting"]


class Greeting:
    """Said on every new connection. ``caution`` is what an operator should know; None where all is as it should be.

    Who comes to an empty Redis first gives it a name (``born``, a key); one that has another name than the last time
    has lost what was counted in it.
    """

    def __init__(self, born: bytes) -> None:
        self.caution: str | None = None
        self._born = born
        self._seen: object = None
        self._lost = False

    async def say(self, connection: AbstractConnection) -> None:
        """Have Redis keep the scripts, and read its settings. Raises Redis' own errors."""

        async def ask(*words: bytes) -> object:
            await connection.send_packed_command(packed(words), check_health=False)
            said: object = await connection.read_response(disable_decoding=True)
            return said

        for script in SCRIPTS:
            await ask(b"SCRIPT", b"LOAD", script.text)
        await ask(b"SET", self._born, os.urandom(8).hex().encode(), b"NX")
        born = await ask(b"GET", self._born)
        self._lost = self._lost or self._seen not in (None, born)
        self._seen = born
        info = await ask(b"INFO")
        try:
            sync = await ask(b"CONFIG", b"GET", b"appendfsync")
        except ResponseError:  # many who rent Redis out refuse it
            sync = None
        assert isinstance(info, bytes)
        said = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        self.caution = self._read(said, sync[1].decode() if isinstance(sync, list) and sync else "unknown")

    def _read(self, info: dict[str, str], sync: str) -> str | None:
        found = []
        if self._lost:
            found.append("it has lost its data since: what was spent and held before is not counted any more")
        if info.get("aof_enabled") != "1":
            found.append("a crash loses holds and spend since its last snapshot: set appendonly yes")
        elif sync != "always":
            found.append(
                f"a crash of its machine may lose the last seconds of holds and spend (appendfsync {sync}): "
                "set appendfsync always"
            )
        policy = info.get("maxmemory_policy", "noeviction")
        if info.get("maxmemory", "0") != "0" and policy != "noeviction":
            found.append(f"it drops counts when its memory is full ({policy}): set maxmemory-policy noeviction")
        return f"Redis {info.get('redis_version', '')}: {'; '.join(found)}." if found else None
