"""The arithmetic of quotas: what is held, spent, denied, slowed and forgotten, and when."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal

from outlay.operate.quotas.ask import Ask, Denied, Held
from outlay.operate.quotas.book import Book, Stop
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Mode, Quota, Scope
from outlay.operate.quotas.window import Kind

DAY = 86_400_000
NOW = 20_000 * DAY + 5_000
SEARCH = {"team": "search", "key": "k1", "model": "gpt-5"}


def quota(id: str, limit: str, kind: Kind | None = None, *, mode: Mode = "enforce", **scope: str) -> Quota:
    return Quota(id, Scope.of(scope), parse_limit(limit, kind), mode=mode)


def ask(id: str, tokens: int, attributes: dict[str, str] = SEARCH) -> Ask:
    return Ask(id, attributes, {"tokens": tokens, "requests": 1, "USD": tokens * 10**12})


def standing(book: Book, id: str, now: int = NOW) -> tuple[int, int]:
    (one,) = [one for one in book.standings(now) if one.quota.id == id]
    return one.spent, one.held


def test_held_is_not_spent() -> None:
    book = Book([quota("q", "100 tokens/day")])
    assert isinstance(book.hold(ask("a", 60), NOW), Held)
    assert standing(book, "q") == (0, 60)
    book.settle("a", {"tokens": 25}, NOW)
    assert standing(book, "q") == (25, 0)


def test_a_call_that_fills_the_limit_exactly_goes_and_one_more_token_does_not() -> None:
    book = Book([quota("q", "100 tokens/day")])
    assert isinstance(book.hold(ask("a", 60), NOW), Held)
    assert isinstance(book.hold(ask("b", 40), NOW), Held)
    denied = book.hold(ask("c", 1), NOW)
    assert isinstance(denied, Denied)
    assert (denied.quota, denied.spent, denied.held, denied.needed) == ("q", 0, 100, 1)
    assert denied.resets == (NOW // DAY + 1) * DAY
    assert "the budget 'q' of 100 tokens/day (everything) has no room for up to 1 tokens more" in denied.why


def test_a_call_must_fit_all_quotas_and_holds_in_none_if_one_has_no_room() -> None:
    book = Book([quota("team", "1000 tokens/day", team="search"), quota("key", "50 tokens/day", key="*")])
    denied = book.hold(ask("a", 60), NOW)
    assert isinstance(denied, Denied)
    assert denied.quota == "key"
    assert standing(book, "team") == (0, 0)


def test_every_value_counts_by_itself_under_a_star() -> None:
    book = Book([quota("key", "100 tokens/day", key="*")])
    assert isinstance(book.hold(ask("a", 80, {"key": "k1"}), NOW), Held)
    assert isinstance(book.hold(ask("b", 80, {"key": "k2"}), NOW), Held)
    assert isinstance(book.hold(ask("c", 80, {"key": "k1"}), NOW), Denied)
    assert sorted((one.values, one.held) for one in book.standings(NOW)) == [(("k1",), 80), (("k2",), 80)]


def test_leaving_a_tag_out_escapes_no_quota_of_each_value() -> None:
    book = Book([quota("team", "100 tokens/day", team="*")])
    assert isinstance(book.hold(ask("a", 80, {}), NOW), Held)
    assert isinstance(book.hold(ask("b", 80, {}), NOW), Denied)


def test_a_scope_fits_a_value_a_list_of_values_or_a_beginning() -> None:
    scope = Scope.of({"model": "gpt-5*", "team": ("search", "ads")})
    assert scope.fits({"model": "gpt-5-mini", "team": "ads"})
    assert not scope.fits({"model": "gpt-4o", "team": "ads"})
    assert not scope.fits({"model": "gpt-5", "team": "risk"})
    assert not scope.fits({"model": "gpt-5"})


def test_a_settlement_counts_once() -> None:
    book = Book([quota("q", "100 tokens/day")])
    book.hold(ask("a", 60), NOW)
    assert book.settle("a", {"tokens": 10}, NOW) is not None
    assert book.settle("a", {"tokens": 10}, NOW) is None
    assert book.settle("never held", {"tokens": 10}, NOW) is None
    assert standing(book, "q") == (10, 0)


def test_asking_again_with_one_id_holds_once() -> None:
    book = Book([quota("q", "100 tokens/day")])
    first = book.hold(ask("a", 60), NOW)
    assert book.hold(ask("a", 60), NOW + 1) is first
    assert standing(book, "q") == (0, 60)


def test_a_call_counts_where_it_was_admitted_whenever_it_is_settled() -> None:
    book = Book([quota("q", "100 tokens/day")])
    before_midnight = (NOW // DAY + 1) * DAY - 1
    book.hold(ask("a", 100), before_midnight)
    after = before_midnight + 1
    assert isinstance(book.hold(ask("b", 100), after), Held), "the new day is whole"
    assert book.settle("a", {"tokens": 100}, after) == []
    assert standing(book, "q", after) == (0, 100)


def test_what_slides_out_of_the_window_makes_room() -> None:
    book = Book([quota("q", "100 tokens/minute")])
    book.hold(ask("a", 100), NOW)
    book.settle("a", {"tokens": 100}, NOW + 10)
    denied = book.hold(ask("b", 1), NOW + 59_999)
    assert isinstance(denied, Denied)
    assert denied.resets == NOW + 61_000
    assert isinstance(book.hold(ask("c", 100), denied.resets), Held)


def test_what_is_larger_than_the_limit_is_told_no_time_to_come_again() -> None:
    denied = Book([quota("q", "100 tokens/minute")]).hold(ask("a", 101), NOW)
    assert isinstance(denied, Denied)
    assert denied.resets is None


def test_a_hold_that_nobody_settles_is_charged_at_its_bound_and_corrected_when_the_settlement_comes() -> None:
    book = Book([quota("q", "100 tokens/day")])
    book.hold(ask("a", 60), NOW)
    later = NOW + 900_000
    ((held, changes),) = book.expire(later)
    assert (held.id, [change.spent for change in changes]) == ("a", [60])
    assert standing(book, "q", later) == (60, 0)
    book.settle("a", {"tokens": 25}, later + 1)
    assert standing(book, "q", later + 1) == (25, 0)
    assert book.settle("a", {"tokens": 25}, later + 2) is None


def test_a_hold_that_nobody_settles_can_be_let_go_instead() -> None:
    book = Book([quota("q", "100 tokens/day")], on_expiry="release")
    book.hold(ask("a", 60), NOW)
    book.expire(NOW + 900_000)
    assert standing(book, "q") == (0, 0)
    book.settle("a", {"tokens": 25}, NOW + 900_001)
    assert standing(book, "q") == (25, 0)


def test_a_call_whose_price_is_not_known_is_denied_by_a_quota_in_money_alone() -> None:
    call = Ask("a", SEARCH, {"tokens": 10, "requests": 1}, unbounded="no model 'x' of openai.")
    denied = Book([quota("usd", "9 USD/day")]).hold(call, NOW)
    assert isinstance(denied, Denied)
    assert (denied.reason, denied.quota) == ("unbounded", "usd")
    assert "no model 'x'" in denied.why
    assert isinstance(Book([quota("tokens", "90 tokens/day")]).hold(call, NOW), Held)
    allowed = Ask("a", SEARCH, {"tokens": 10, "requests": 1}, may_be_unpriced=True)
    assert isinstance(Book([quota("usd", "9 USD/day")]).hold(allowed, NOW), Held)


def test_a_call_of_unknown_size_is_denied_by_a_quota_in_tokens_whatever_is_allowed() -> None:
    call = Ask("a", SEARCH, {"requests": 1}, unbounded="it names a file.", may_be_unpriced=True)
    denied = Book([quota("tokens", "90 tokens/day")]).hold(call, NOW)
    assert isinstance(denied, Denied)
    assert "it names a file" in denied.why
    assert isinstance(Book([quota("requests", "90 requests/day")]).hold(call, NOW), Held)


def test_money_of_another_currency_is_not_converted() -> None:
    denied = Book([quota("eur", "9 EUR/day")]).hold(ask("a", 10), NOW)
    assert isinstance(denied, Denied)
    assert "never converted" in denied.why


def test_a_shadow_quota_counts_and_tells_and_lets_through() -> None:
    book = Book([quota("q", "100 tokens/day", mode="shadow")])
    book.hold(ask("a", 80), NOW)
    held = book.hold(ask("b", 80), NOW)
    assert isinstance(held, Held)
    assert [one.quota for one in held.shadowed] == ["q"]
    assert standing(book, "q") == (0, 160)


def test_where_the_number_of_output_units_is_ours_one_call_takes_an_eighth_of_what_is_left() -> None:
    book = Book([quota("q", "1000 tokens/day")])
    first = book.hold(Ask("a", SEARCH, {"tokens": 20}, {"tokens": 1}, most=4096, least=16), NOW)
    assert isinstance(first, Held)
    assert (first.units, first.bound["tokens"]) == (1000 // 8 - 20, 125)
    given = book.hold(Ask("b", SEARCH, {"tokens": 20}, {"tokens": 1}, most=500, least=500), NOW)
    assert isinstance(given, Held), "a number that the caller gave is not cut"
    assert given.units == 500
    few = book.hold(Ask("c", SEARCH, {"tokens": 20}, {"tokens": 1}, most=10, least=1), NOW)
    assert isinstance(few, Held)
    assert few.units == 10


def test_sixty_calls_at_a_time_without_a_number_share_what_is_left() -> None:
    book = Book([quota("q", "20_000 tokens/day")])
    admitted = [
        book.hold(Ask(str(n), SEARCH, {"tokens": 150}, {"tokens": 1}, most=16_384, least=64), NOW) for n in range(60)
    ]
    assert sum(isinstance(one, Held) for one in admitted) > 20


def test_a_stop_denies_its_scope_until_it_is_taken_back() -> None:
    book = Book([])
    book.stops["s"] = Stop("s", Scope.of({"team": "search"}), "runaway agent")
    denied = book.hold(ask("a", 1), NOW)
    assert isinstance(denied, Denied)
    assert denied.why == "calls with team = search are stopped: runaway agent."
    assert isinstance(book.hold(ask("b", 1, {"team": "ads"}), NOW), Held)
    del book.stops["s"]
    assert isinstance(book.hold(ask("c", 1), NOW), Held)


def test_from_the_throttle_on_calls_wait_so_that_what_is_left_lasts() -> None:
    slow = Quota("q", Scope(), parse_limit("100 requests/minute", "calendar"), Decimal("0.5"), slowest=5_000)
    book = Book([slow])
    start = NOW - NOW % 60_000
    waits = []
    for number in range(60):
        held = book.hold(ask(str(number), 1), start)
        assert isinstance(held, Held)
        waits.append(held.delay)
    assert waits[:50] == [0] * 50
    assert waits[50] == 60_000 // 49
    assert waits == sorted(waits), "calls queue behind each other"
    assert max(waits) == 5_000
    assert book.hold(ask("last", 1), start).slowed_by == "q"  # type: ignore[union-attr]


def test_a_changed_amount_keeps_the_count_and_a_changed_scope_begins_anew() -> None:
    before = quota("q", "100 tokens/day", team="search")
    assert quota("q", "50 tokens/day", team="search").identity == before.identity
    assert quota("q", "100 tokens/day", team="ads").identity != before.identity
    assert quota("q", "100 tokens/hour", team="search").identity != before.identity


def test_what_was_kept_is_where_the_next_process_begins() -> None:
    quotas = [quota("q", "100 tokens/day"), quota("key", "100 tokens/minute", key="*")]
    book = Book(quotas)
    book.hold(ask("a", 30), NOW)
    changes = book.settle("a", {"tokens": 20}, NOW)
    held = book.hold(ask("b", 50), NOW)
    assert changes is not None
    assert isinstance(held, Held)
    again = Book(quotas)
    again.restore(changes, [held])
    assert again.standings(NOW) == book.standings(NOW)
    assert isinstance(again.hold(ask("c", 31), NOW), Denied)
    again.settle("b", {"tokens": 1}, NOW)
    assert standing(again, "q") == (21, 0)


def test_counters_that_count_nothing_any_more_are_forgotten() -> None:
    book = Book([quota("key", "100 tokens/minute", key="*")])
    for number in range(50):
        book.hold(ask(str(number), 1, {"key": f"k{number}"}), NOW)
        book.settle(str(number), {"tokens": 1}, NOW)
    gone, _ = book.tidy(NOW + 61_000)
    assert len(gone) == 50
    assert book.standings(NOW + 61_000) == []


def test_a_settled_hold_leaves_no_memory_behind_and_the_others_still_run_out() -> None:
    book = Book([quota("q", "900M tokens/day")])
    book.hold(Ask("first", SEARCH, {"tokens": 1}, lives=900_000), NOW)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(20_000):
            book.hold(Ask(f"call-{number}", SEARCH, {"tokens": 1}, lives=900_000), NOW)
            book.settle(f"call-{number}", {"tokens": 1}, NOW)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 500_000
    assert [held.id for held, _ in book.expire(NOW + 900_000)] == ["first"]
