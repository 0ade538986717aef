"""Shared quotas and the book, step by step: the same answers, to the last unit, and the same standings after each."""

from __future__ import annotations

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from outlay.operate.quotas.ask import Ask, Held
from outlay.operate.quotas.book import Book, OnExpiry, Standing, Stop
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope
from outlay.operate.quotas.shared import SharedQuotas
from tests.operate.quotas.redis_server import RedisServer

STARTS = [20_000 * 86_400_000 + 86_399_000, 20_000 * 86_400_000 + 3_000]
"""A second before midnight, so that windows end while calls are under way; and when they go on for long."""

QUOTAS = (
    Quota("day", Scope(), parse_limit("600 tokens/day"), Decimal("0.4"), slowest=7_000),
    Quota("team", Scope.of({"team": "*"}), parse_limit("250 tokens/minute"), Decimal("0.3")),
    Quota("search", Scope.of({"team": "search"}), parse_limit("300 tokens/hour", "calendar")),
    Quota("rate", Scope.of({"key": "*", "team": ("search", "ä d|s\n")}), parse_limit("4 requests/2 seconds")),
    Quota("usd", Scope(), parse_limit("0.090000000000000150 USD/minute"), Decimal("0.1"), slowest=600),
    Quota("rich", Scope.of({"key": "k1"}), parse_limit("700_000_000.000000000000000001 USD/month"), Decimal("0.0001")),
    Quota("seen", Scope(), parse_limit("0.5 USD/2 seconds"), mode="shadow"),
    Quota("euro", Scope.of({"team": ""}), parse_limit("5 EUR/week"), mode="shadow"),
)
PRICES = [0, 1, 7 * 10**12 + 1, 7 * 10**12 + 1, 3 * 10**13, 3 * 10**14, 4 * 10**22]


class LikeTheBook(RuleBasedStateMachine):
    """Both are asked the same."""

    server: RedisServer

    @initialize(
        start=st.sampled_from(STARTS),
        on_expiry=st.sampled_from(["charge", "release"]),
        quotas=st.permutations(QUOTAS),
        most=st.integers(1, len(QUOTAS)),
    )
    def begin(self, *, start: int, on_expiry: OnExpiry, quotas: list[Quota], most: int) -> None:
        self.now, self.number = start, 0
        self.under_way: list[str] = []
        self.loop = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.server.command("FLUSHALL")
        quotas = quotas[:most]
        self.book = Book(quotas, on_expiry=on_expiry)
        path = Path(self.folder.name) / "q.db"
        self.shared = SharedQuotas(self.server.url, path, quotas, on_expiry=on_expiry, patience=20)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run(self.shared.close())
            self.loop.close()
            self.folder.cleanup()

    @rule(
        team=st.sampled_from(["search", "ä d|s\n", ""]),
        key=st.sampled_from(["k1", "k2"]),
        fixed=st.integers(0, 40),
        price=st.sampled_from(PRICES),
        rate=st.sampled_from(PRICES),
        bounds=st.tuples(st.integers(0, 400), st.integers(0, 20)),
        bounded=st.sampled_from(["all"] * 6 + ["no price", "no price, allowed", "nothing"]),
        lives=st.sampled_from([300, 300, 5_000, 900_000]),
    )
    def ask(
        self,
        *,
        team: str,
        key: str,
        fixed: int,
        price: int,
        rate: int,
        bounds: tuple[int, int],
        bounded: str,
        lives: int,
    ) -> None:
        self.number += 1
        amounts, each = {"tokens": fixed, "requests": 1, "USD": fixed * price}, {"tokens": 1, "USD": rate}
        why = None if bounded == "all" else "nobody knows."
        if why is not None:
            del amounts["USD"], each["USD"]
        if bounded == "nothing":
            del amounts["tokens"], each["tokens"]
        asked = Ask(
            str(self.number),
            {"team": team, "key": key},
            amounts,
            each,
            *bounds,
            unbounded=why,
            may_be_unpriced=bounded == "no price, allowed",
            lives=lives,
        )
        self._ask(asked)

    def _ask(self, asked: Ask) -> None:
        expected = self.book.hold(asked, self.now)
        assert self.loop.run(self.shared.hold(asked, self.now)) == expected
        if isinstance(expected, Held):
            self.under_way.append(expected.id)
            assert self.loop.run(self.shared.hold(asked, self.now)) == expected, "asked again"

    @precondition(lambda self: self.under_way)
    @rule(pick=st.randoms(use_true_random=False), share=st.integers(0, 100))
    def settle(self, pick: object, share: int) -> None:
        id = pick.choice(self.under_way)  # type: ignore[attr-defined]
        self._settle(id, share)

    def _settle(self, id: str, share: int) -> None:
        self.under_way.remove(id)
        held = self.book.holds.get(id) or self.book.late[id].held
        used = {measure: amount * share // 100 for measure, amount in held.bound.items()}
        self.book.settle(id, used, self.now)
        self.loop.run(_settled(self.shared, id, used, self.now))

    @precondition(lambda self: any(id in self.book.late for id in self.under_way))
    @rule(share=st.integers(0, 100))
    def settle_late(self, share: int) -> None:
        self._settle(next(id for id in self.under_way if id in self.book.late), share)

    @rule(calls=st.integers(2, 8), by=st.sampled_from([40, 400, 1_000]), fixed=st.sampled_from([0, 1, 50]))
    def ask_again_and_again(self, calls: int, by: int, fixed: int) -> None:
        for _ in range(calls):
            self.number += 1
            amounts = {"tokens": fixed, "requests": 1, "USD": fixed * 10**14}
            self._ask(Ask(str(self.number), {"team": "search", "key": "k1"}, amounts, lives=300))
            self.now += by

    @rule(by=st.sampled_from([1, 40, 40, 400, 400, 1_000, 1_000, 5_000, 30_000, 61_000, 3_700_000, 86_000_000]))
    def wait(self, by: int) -> None:
        self.now += by
        self.book.expire(self.now)
        _, forgotten = self.book.tidy(self.now)
        self.under_way = [id for id in self.under_way if id not in forgotten]
        self.loop.run(self.shared.sweep(self.now))

    @rule(id=st.sampled_from("abc"), scope=st.sampled_from([{"team": "search"}, {"team": "search", "key": "k1"}]))
    def stop_or_resume(self, id: str, scope: dict[str, str]) -> None:
        if id in self.book.stops:
            del self.book.stops[id]
            assert self.loop.run(self.shared.resume(id))
        else:
            stop = self.book.stops[id] = Stop(id, Scope.of(scope), "why not")
            self.loop.run(self.shared.stop(stop))
        assert list(self.loop.run(self.shared.stops())) == list(self.book.stops)

    @invariant()
    def both_stand_the_same(self) -> None:
        if hasattr(self, "loop"):
            assert _counting(self.loop.run(self.shared.standings(self.now))) == _counting(self.book.standings(self.now))


def _counting(standings: list[Standing]) -> list[Standing]:
    """The book forgets counters of nothing when it tidies, Redis when their time is over."""
    return [one for one in standings if one.spent or one.held or not one.values]


async def _settled(quotas: SharedQuotas, id: str, used: dict[str, int], now: int) -> None:
    assert quotas.settle(id, used, now)
    assert not quotas.settle(id, used, now)
    while len(quotas._outbox):
        await asyncio.sleep(0.0005)


@pytest.mark.slow
def test_shared_quotas_are_the_book_to_the_last_unit(redis: RedisServer) -> None:
    LikeTheBook.server = redis
    run_state_machine_as_test(LikeTheBook, settings=settings(max_examples=60, stateful_step_count=50, deadline=None))
