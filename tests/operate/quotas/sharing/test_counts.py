"""The arithmetic of the scripts against Python's whole numbers: the same as far as it is said to go."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from outlay.operate.quotas.sharing.scripts import LOOK
from outlay.operate.quotas.sharing.wire import LARGEST, pair, whole
from tests.operate.quotas.redis_server import RedisServer

SHARED = LOOK.text.partition(b"\n-- What counters have spent")[0]
SAY = b"""
local n = {}
for place, word in ipairs(ARGV) do n[place] = tonumber(word) end
"""
EXPRESSIONS = {
    "plus": "plus(n[1], n[2], n[3], n[4])",
    "minus": "minus(n[1], n[2], n[3], n[4])",
    "times": "times(n[1], n[2], n[3])",
    "part": "part(n[1], n[2], n[3])",
    "quotient": "0, quotient(n[1], n[2], n[3], n[4], n[5], n[6])",
    "less": "0, less(n[1], n[2], n[3], n[4]) and 1 or 0",
}

_small = st.integers(0, 10**13)
_edges = st.builds(lambda n, by: max(n * 10**12 + by, 0), st.integers(0, 10**15 - 1), st.integers(-2, 2))
amounts = st.one_of(_small, _edges, st.integers(0, LARGEST), st.sampled_from([0, 1, 10**6, 10**12, LARGEST]))
signed = st.one_of(amounts, amounts.map(lambda n: -n))
property_test = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def said(redis: RedisServer, name: str, *numbers: object) -> int:
    text = SHARED + SAY + f"local a, b = {EXPRESSIONS[name]}\nreturn format('%.0f %.0f', a, b)".encode()
    with Redis(unix_socket_path=str(redis.socket)) as client:
        answer = client.eval(text.decode(), 0, *" ".join(map(str, numbers)).split())
    assert isinstance(answer, bytes)
    hi, lo = answer.split()
    assert 0 <= int(lo) < 10**12
    return whole(hi, lo)


@given(a=signed, b=signed)
@property_test
def test_sums_and_differences_are_exact(redis: RedisServer, a: int, b: int) -> None:
    assert said(redis, "plus", pair(a), pair(b)) == a + b
    assert said(redis, "minus", pair(a), pair(b)) == a - b
    assert said(redis, "less", pair(a), pair(b)) == (a < b)


@given(a=amounts, by=st.integers(0, 10**9))
@property_test
def test_products_are_exact_or_the_largest(redis: RedisServer, a: int, by: int) -> None:
    assert said(redis, "times", pair(a), by) == min(a * by, LARGEST)


@given(a=amounts, by=st.sampled_from([1, 2, 3, 7, 8, 10, 999]))
@property_test
def test_a_share_of_the_room_is_rounded_down(redis: RedisServer, a: int, by: int) -> None:
    assert said(redis, "part", pair(a), by) == a // by


@given(
    a=amounts,
    by=st.one_of(st.integers(1, 366 * 86_400_000), st.integers(1, 10**13)),
    b=amounts.filter(bool),
    most=st.integers(0, 10**9),
)
@property_test
def test_quotients_are_rounded_down(redis: RedisServer, a: int, by: int, b: int, most: int) -> None:
    assert said(redis, "quotient", pair(a), by, pair(b), most) == min(a * by // b, most)


@given(b=amounts.filter(bool), times=st.integers(1, 10**9), by=st.integers(-2, 2))
@property_test
def test_quotients_beside_a_whole_one_are_rounded_down(redis: RedisServer, b: int, times: int, by: int) -> None:
    a = max(b * times + by, 0)
    if a <= LARGEST:
        assert said(redis, "quotient", pair(a), 1, pair(b), 10**9) == min(a // b, 10**9)
