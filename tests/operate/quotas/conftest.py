"""A Redis for the tests that need one, empty at the beginning of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.operate.quotas.redis_server import RedisServer


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def redis(_redis: RedisServer) -> RedisServer:
    _redis.command("FLUSHALL")
    return _redis
