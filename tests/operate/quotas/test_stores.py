"""What holds wherever quotas are kept: in one process's file, or in a Redis that several share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.book import OnExpiry, Stop
from outlay.operate.quotas.embedded import EmbeddedQuotas
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Mode, Quota, Scope
from outlay.operate.quotas.shared import SharedQuotas
from outlay.operate.quotas.store import QuotaStore
from outlay.operate.quotas.window import Kind

DAY = 86_400_000
NOW = 20_000 * DAY + 5_000
SEARCH = {"team": "search", "key": "k1", "model": "gpt-5"}

Check = Callable[[QuotaStore], Awaitable[None]]
Events = list[bytes]


def quota(id: str, limit: str, kind: Kind | None = None, *, mode: Mode = "enforce", **scope: str) -> Quota:
    return Quota(id, Scope.of(scope), parse_limit(limit, kind), mode=mode)


def ask(id: str, tokens: int, attributes: dict[str, str] = SEARCH) -> Ask:
    return Ask(id, attributes, {"tokens": tokens, "requests": 1, "USD": tokens * 10**12})


async def standing(store: QuotaStore, id: str, now: int = NOW) -> tuple[int, int]:
    """What is spent and held, when all that was settled has arrived."""
    while isinstance(store, SharedQuotas) and len(store._outbox):
        await asyncio.sleep(0.001)
    (one,) = [one for one in await store.standings(now) if one.quota.id == id]
    return one.spent, one.held


class Stores:
    """Opens the store of a test, as often as it likes, and closes what is open at its end."""

    def __init__(self, kind: str, folder: Path, url: str) -> None:
        self.kind, self.folder, self.url = kind, folder, url
        self.events: Events = []

    def open(self, *quotas: Quota, on_expiry: OnExpiry = "charge", now: int = NOW) -> QuotaStore:
        def ran_out(held: Held) -> bytes:
            return f"ran out: {held.id} {dict(held.bound)}".encode()

        path = self.folder / "quotas.db"
        if self.kind == "embedded":
            return EmbeddedQuotas(path, quotas, now=now, on_expiry=on_expiry, relay=self.events.extend, ran_out=ran_out)
        return SharedQuotas(
            self.url, path, quotas, on_expiry=on_expiry, relay=self.events.extend, ran_out=ran_out, patience=20
        )

    def run(self, *quotas: Quota, check: Check, on_expiry: OnExpiry = "charge") -> None:
        async def run() -> None:
            store = self.open(*quotas, on_expiry=on_expiry)
            await check(store)
            await store.close()

        asyncio.run(run())


@pytest.fixture(params=["embedded", "shared"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    url = request.getfixturevalue("redis").url if request.param == "shared" else ""
    return Stores(request.param, tmp_path, url)


def test_held_is_not_spent_and_a_settlement_counts_once(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        assert isinstance(await store.hold(ask("a", 60), NOW), Held)
        assert await standing(store, "q") == (0, 60)
        assert store.settle("a", {"tokens": 25}, NOW)
        assert not store.settle("a", {"tokens": 25}, NOW)
        assert await standing(store, "q") == (25, 0)

    stores.run(quota("q", "100 tokens/day"), check=check)


def test_a_call_that_fills_the_limit_exactly_goes_and_one_more_token_does_not(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        assert isinstance(await store.hold(ask("a", 60), NOW), Held)
        assert isinstance(await store.hold(ask("b", 40), NOW), Held)
        denied = await store.hold(ask("c", 1), NOW)
        assert isinstance(denied, Denied)
        assert (denied.quota, denied.spent, denied.held, denied.needed) == ("q", 0, 100, 1)
        assert denied.resets == (NOW // DAY + 1) * DAY
        assert "the budget 'q' of 100 tokens/day (everything) has no room for up to 1 tokens more" in denied.why

    stores.run(quota("q", "100 tokens/day"), check=check)


def test_a_call_must_fit_all_quotas_and_holds_in_none_if_one_has_no_room(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        denied = await store.hold(ask("a", 60), NOW)
        assert isinstance(denied, Denied)
        assert denied.quota == "key"
        assert await standing(store, "team") == (0, 0)

    stores.run(quota("team", "1000 tokens/day", team="search"), quota("key", "50 tokens/day", key="*"), check=check)


def test_every_value_counts_by_itself_under_a_star_and_leaving_it_out_escapes_nothing(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        assert isinstance(await store.hold(ask("a", 80, {"key": "k 1|ü\n"}), NOW), Held)
        assert isinstance(await store.hold(ask("b", 80, {"key": "k2"}), NOW), Held)
        assert isinstance(await store.hold(ask("c", 80, {"key": "k 1|ü\n"}), NOW), Denied)
        assert isinstance(await store.hold(ask("d", 80, {}), NOW), Held)
        assert isinstance(await store.hold(ask("e", 80, {}), NOW), Denied)
        found = sorted((one.values, one.held) for one in await store.standings(NOW))
        assert found == [(("",), 80), (("k 1|ü\n",), 80), (("k2",), 80)]

    stores.run(quota("key", "100 tokens/day", key="*"), check=check)


def test_asking_again_with_one_id_holds_once(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        first = await store.hold(ask("a", 60), NOW)
        assert await store.hold(ask("a", 60), NOW + 1) == first
        assert await standing(store, "q") == (0, 60)

    stores.run(quota("q", "100 tokens/day"), check=check)


def test_a_call_counts_where_it_was_admitted_whenever_it_is_settled(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        before_midnight = (NOW // DAY + 1) * DAY - 1
        await store.hold(ask("a", 100), before_midnight)
        after = before_midnight + 1
        assert isinstance(await store.hold(ask("b", 100), after), Held), "the new day is whole"
        store.settle("a", {"tokens": 100}, after)
        assert await standing(store, "q", after) == (0, 100)

    stores.run(quota("q", "100 tokens/day"), check=check)


def test_what_slides_out_of_the_window_makes_room(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        await store.hold(ask("a", 100), NOW)
        store.settle("a", {"tokens": 100}, NOW + 10)
        await standing(store, "q")
        denied = await store.hold(ask("b", 1), NOW + 59_999)
        assert isinstance(denied, Denied)
        assert denied.resets == NOW + 61_000
        assert isinstance(await store.hold(ask("c", 100), denied.resets), Held)

    stores.run(quota("q", "100 tokens/minute"), check=check)


@pytest.mark.parametrize(("on_expiry", "spent"), [("charge", 60), ("release", 0)])
def test_a_hold_that_nobody_settles_is_seen_to_told_once_and_corrected_later(
    stores: Stores, on_expiry: OnExpiry, spent: int
) -> None:
    async def check(store: QuotaStore) -> None:
        await store.hold(ask("a", 60), NOW)
        later = NOW + 900_000
        for more in (0, 1_000, 2 * 60_000):
            await store.sweep(later + more)
        assert await standing(store, "q", later) == (spent, 0)
        assert store.settle("a", {"tokens": 25}, later + 1)
        assert await standing(store, "q", later + 1) == (25, 0)

    stores.run(quota("q", "100 tokens/day"), check=check, on_expiry=on_expiry)
    assert stores.events == [f"ran out: a {dict(ask('a', 60).fixed)}".encode()]


def test_a_month_after_it_ran_out_a_hold_is_forgotten(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        await store.hold(ask("a", 60), NOW)
        await store.sweep(NOW + 900_000)
        later = NOW + 900_000 + 35 * DAY
        await store.sweep(later)
        store.settle("a", {"tokens": 25}, later)
        assert await standing(store, "q", later) == (60, 0)

    stores.run(quota("q", "100 tokens/year"), check=check)


def test_holds_that_nobody_settled_are_told_until_they_are(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        assert await store.unsettled() == []
        await store.hold(ask("a", 60), NOW)
        await store.hold(ask("b", 30), NOW + 1)
        await store.hold(ask("c", 5), NOW + 2)
        store.settle("c", {"tokens": 5}, NOW + 3)
        found = await store.unsettled()
        assert [(one.held.id, one.held.bound["tokens"], one.state) for one in found] == [
            ("a", 60, "under way"),
            ("b", 30, "under way"),
        ]
        await store.sweep(NOW + 900_000)
        assert [one.state for one in await store.unsettled()] == ["ran out", "under way"]
        store.settle("a", {"tokens": 1}, NOW + 900_000)
        assert await standing(store, "q", NOW + 900_000) == (6, 30)
        assert [one.held.id for one in await store.unsettled()] == ["b"]

    stores.run(quota("q", "100 tokens/day"), check=check)


def test_a_late_settlement_gives_nothing_back_to_a_quota_that_never_counted_it(stores: Stores) -> None:
    async def before(store: QuotaStore) -> None:
        await store.hold(ask("a", 90), NOW)
        await store.sweep(NOW + 900_000)
        assert await standing(store, "q", NOW + 900_000) == (90, 0)

    async def after(store: QuotaStore) -> None:
        await store.hold(ask("b", 40), NOW)
        assert store.settle("b", {"tokens": 40}, NOW)
        assert store.settle("a", {"tokens": 10}, NOW)
        spent, _ = await standing(store, "q", NOW)
        assert spent >= 40, "what was charged to the old quota is not taken from the new one"

    stores.run(quota("q", "100 tokens/day"), check=before)
    stores.run(quota("q", "100 tokens/day", team="search"), check=after)


def test_a_call_whose_price_is_not_known_is_denied_by_a_quota_in_money(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        denied = await store.hold(Ask("a", SEARCH, {"tokens": 10}, unbounded="no model 'x' of openai."), NOW)
        assert isinstance(denied, Denied)
        assert (denied.reason, denied.quota) == ("unbounded", "usd")
        assert "no model 'x'" in denied.why
        assert isinstance(await store.hold(Ask("b", SEARCH, {"tokens": 10}, may_be_unpriced=True), NOW), Held)

    stores.run(quota("usd", "9 USD/day"), check=check)


def test_a_shadow_quota_counts_and_tells_and_lets_through(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        await store.hold(ask("a", 80), NOW)
        held = await store.hold(ask("b", 80), NOW)
        assert isinstance(held, Held)
        assert [one.quota for one in held.shadowed] == ["q"]
        assert await standing(store, "q") == (0, 160)

    stores.run(quota("q", "100 tokens/day", mode="shadow"), check=check)


def test_where_the_number_of_output_units_is_ours_one_call_takes_an_eighth_of_what_is_left(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        first = await store.hold(Ask("a", SEARCH, {"tokens": 20}, {"tokens": 1}, most=4096, least=16), NOW)
        assert isinstance(first, Held)
        assert (first.units, first.bound["tokens"]) == (1000 // 8 - 20, 125)
        given = await store.hold(Ask("b", SEARCH, {"tokens": 20}, {"tokens": 1}, most=500, least=500), NOW)
        assert isinstance(given, Held), "a number that the caller gave is not cut"
        assert given.units == 500
        huge = await store.hold(Ask("c", SEARCH, {"tokens": 20}, {"tokens": 1}, most=10**30, least=10**30), NOW)
        assert isinstance(huge, Denied)
        assert (huge.needed, huge.resets) == (10**30 + 20, None)

    stores.run(quota("q", "1000 tokens/day"), check=check)


def test_from_the_throttle_on_calls_wait_so_that_what_is_left_lasts(stores: Stores) -> None:
    slow = Quota("q", Scope(), parse_limit("100 requests/minute", "calendar"), Decimal("0.5"), slowest=5_000)

    async def check(store: QuotaStore) -> None:
        start = NOW - NOW % 60_000 + 60_000
        waits = []
        for number in range(60):
            held = await store.hold(ask(str(number), 1), start)
            assert isinstance(held, Held)
            waits.append((held.delay, held.slowed_by))
        assert waits[:51] == [(0, None)] * 50 + [(60_000 // 49, "q")]
        assert waits[-1] == (5_000, "q")

    stores.run(slow, check=check)


def test_a_stop_denies_its_scope_until_it_is_taken_back_and_after_a_restart(stores: Stores) -> None:
    async def run() -> None:
        store = stores.open()
        await store.stop(Stop("s", Scope.of({"team": "search"}), "runaway agent"))
        await store.close()
        again = stores.open()
        denied = await again.hold(ask("a", 1), NOW)
        assert isinstance(denied, Denied)
        assert (denied.reason, denied.why) == ("stopped", "calls with team = search are stopped: runaway agent.")
        assert isinstance(await again.hold(ask("b", 1, {"team": "ads"}), NOW), Held)
        assert list(await again.stops()) == ["s"]
        assert await again.resume("s")
        assert not await again.resume("s")
        assert isinstance(await again.hold(ask("c", 1), NOW), Held)
        await again.close()

    asyncio.run(run())


def test_the_next_process_goes_on_with_what_was_spent_and_held(stores: Stores) -> None:
    async def run() -> None:
        quotas = [quota("q", "100 tokens/day"), quota("key", "100 tokens/minute", key="*")]
        store = stores.open(*quotas)
        await store.hold(ask("a", 30), NOW)
        await store.hold(ask("b", 40), NOW)
        store.settle("a", {"tokens": 12}, NOW, b"an event")
        store.tell(b"another")
        await store.close()
        again = stores.open(*quotas)
        assert await standing(again, "q") == (12, 40)
        assert again.settle("b", {"tokens": 3}, NOW)
        assert await standing(again, "q") == (15, 0)
        await again.close()

    asyncio.run(run())
    assert stores.events == [b"an event", b"another"]


def test_what_is_limited_of_a_call_is_what_its_quotas_enforce(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        assert store.measures(SEARCH) == {"tokens", "USD"}
        assert store.measures({"team": "ads"}) == {"USD"}

    quotas = [quota("a", "1 USD/day"), quota("b", "1 token/day", team="search"), quota("c", "1 EUR/day", mode="shadow")]
    stores.run(*quotas, check=check)


def test_a_cancelled_caller_leaves_no_hold(stores: Stores) -> None:
    async def check(store: QuotaStore) -> None:
        await store.hold(ask("first", 1), NOW)
        asked = asyncio.create_task(store.hold(ask("a", 60), NOW))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await standing(store, "q") == (0, 1)

    stores.run(quota("q", "100 tokens/day"), check=check)
