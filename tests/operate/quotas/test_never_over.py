"""Over any interleaving of holds, settlements, expiries, restarts and time, spent + held never passes a limit."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outlay.operate.quotas.ask import Ask, Held
from outlay.operate.quotas.book import Book, Change, Late, OnExpiry
from outlay.operate.quotas.limit import parse_limit
from outlay.operate.quotas.quota import Quota, Scope
from outlay.operate.quotas.window import Window

START = 20_000 * 86_400_000 + 86_399_000
"""A second before midnight, so that windows end while calls are under way."""

QUOTAS = (
    Quota("day", Scope(), parse_limit("300 tokens/day")),
    Quota("team", Scope.of({"team": "*"}), parse_limit("120 tokens/minute")),
    Quota("search", Scope.of({"team": "search"}), parse_limit("100 tokens/hour", "calendar")),
    Quota("rate", Scope.of({"key": "*"}), parse_limit("4 requests/2 seconds")),
    Quota("usd", Scope(), parse_limit("0.000000000000000150 USD/minute")),
)


class NeverOver(RuleBasedStateMachine):
    """The book against a plain list of what was ever admitted, counted again from the beginning each time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.latest = START
        self.number = 0

    @initialize(on_expiry=st.sampled_from(["charge", "release"]))
    def begin(self, on_expiry: OnExpiry) -> None:
        self.on_expiry = on_expiry
        self.book = Book(QUOTAS, on_expiry=on_expiry)
        self.calls: dict[str, Held] = {}
        self.used: dict[str, dict[str, int] | None] = {}  # None: under way
        self.kept: dict[tuple[str, int], int] = {}
        self.late: dict[str, Late] = {}

    @rule(
        team=st.sampled_from(["search", "ads", ""]),
        key=st.sampled_from(["k1", "k2"]),
        fixed=st.integers(0, 60),
        most=st.integers(0, 60),
        ours=st.booleans(),
        lives=st.sampled_from([500, 5_000, 900_000]),
    )
    def ask(self, *, team: str, key: str, fixed: int, most: int, ours: bool, lives: int) -> None:
        self.number += 1
        amounts = {"tokens": fixed, "requests": 1, "USD": fixed * 2}
        each = {"tokens": 1, "USD": 3}
        asked = Ask(str(self.number), {"team": team, "key": key}, amounts, each, most, 0 if ours else most, lives=lives)
        held = self.book.hold(asked, self.now)
        if isinstance(held, Held):
            assert held.units == most or (ours and held.units <= most)
            self.calls[held.id] = held
            self.used[held.id] = None

    @precondition(lambda self: any(used is None for used in self.used.values()))
    @rule(pick=st.randoms(use_true_random=False), share=st.integers(0, 100))
    def settle(self, pick: object, share: int) -> None:
        under_way = sorted(id for id, used in self.used.items() if used is None)
        self._settle(pick.choice(under_way), share)  # type: ignore[attr-defined]

    @precondition(lambda self: self.late)
    @rule(pick=st.randoms(use_true_random=False), share=st.integers(0, 100))
    def settle_late(self, pick: object, share: int) -> None:
        id = pick.choice(sorted(self.late))  # type: ignore[attr-defined]
        del self.late[id]
        self._settle(id, share if self.on_expiry == "charge" else 0)

    @rule(by=st.sampled_from([1, 400, 30_000, 3_700_000]))
    def the_clock_is_set_back(self, by: int) -> None:
        self.now -= by  # a process remembers how late it was; the next one only what is in its file

    def _settle(self, id: str, share: int) -> None:
        used = {measure: amount * share // 100 for measure, amount in self.calls[id].bound.items()}
        changes = self.book.settle(id, used, self.now)
        assert changes is not None
        self._keep(changes)
        self.used[id] = used
        assert self.book.settle(id, used, self.now) is None

    @rule(by=st.sampled_from([1, 400, 1_000, 30_000, 61_000, 3_700_000]))
    def wait(self, by: int) -> None:
        self.now += by
        self.latest = max(self.latest, self.now)
        for late, changes in self.book.expire(self.now):
            self._keep(changes)
            self.used[late.held.id] = dict(late.held.bound) if self.on_expiry == "charge" else {}
            self.late[late.held.id] = late

    @precondition(lambda self: self.now >= self.latest)
    @rule()
    def killed_and_started_again(self) -> None:
        changes = [Change(counter, bucket, spent) for (counter, bucket), spent in self.kept.items()]
        again = Book(QUOTAS, on_expiry=self.on_expiry)
        again.restore(changes, list(self.book.holds.values()), list(self.late.values()))
        assert {key: one for key, one in _totals(again, self.now).items() if one != (0, 0)} == {
            key: one for key, one in _totals(self.book, self.now).items() if one != (0, 0)
        }
        self.book = again

    def _keep(self, changes: list[Change]) -> None:
        self.kept.update({(one.counter, one.bucket): one.spent for one in changes})

    @invariant()
    def no_stretch_of_a_window_has_more_than_the_limit(self) -> None:
        for quota in QUOTAS:
            groups: dict[tuple[str, ...], list[tuple[int, int]]] = {}
            for id, held in getattr(self, "calls", {}).items():
                if quota.scope.fits(held.attributes):
                    used = self.used[id]
                    amounts = held.bound if used is None else used
                    values = quota.scope.apart(held.attributes)
                    groups.setdefault(values, []).append((held.at, amounts.get(quota.limit.measure, 0)))
            for admitted in groups.values():
                assert _densest(admitted, quota.limit.window) <= quota.limit.amount, quota.id


def _densest(admitted: list[tuple[int, int]], window: Window) -> int:
    """The most that any window holds: of the calendar's, or any stretch of the length of a sliding one."""
    if window.kind == "calendar":
        sums: dict[int, int] = {}
        for at, amount in admitted:
            sums[window.bucket(at)] = sums.get(window.bucket(at), 0) + amount
        return max(sums.values(), default=0)
    return max(
        (sum(amount for at, amount in admitted if begins <= at < begins + window.length) for begins, _ in admitted),
        default=0,
    )


def _totals(book: Book, now: int) -> dict[tuple[str, tuple[str, ...]], tuple[int, int]]:
    return {(one.quota.id, one.values): (one.spent, one.held) for one in book.standings(now)}


TestNeverOver = NeverOver.TestCase
TestNeverOver.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
