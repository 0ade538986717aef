"""Settling takes no dollar twice: whatever detectors claim, counted savings never exceed the cost they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.finding import Candidate, Claim
from outlay.optimize.settlement import settle

NOTHING = Decimal(0)
LINES = range(4)
AMOUNTS = st.decimals(min_value="-50", max_value="2000", places=9)
COSTS = st.fixed_dictionaries({line: st.decimals(min_value="-50", max_value="1000", places=18) for line in LINES})


def candidate(name: str, claims: Mapping[int, str | Decimal], *, needs: str = "", known: bool = True) -> Candidate:
    made = tuple(Claim(line, Decimal(amount)) for line, amount in claims.items())
    cost = sum((one.amount for one in made), NOTHING)
    return Candidate(name, name, "basis", "why", "high", made, len(made), cost, (), needs, known)


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    claims = draw(st.lists(st.builds(Claim, st.sampled_from(LINES), AMOUNTS), max_size=6))
    needs, known = (
        draw(st.sampled_from(["", "", "", "someone's word"])),
        draw(st.sampled_from([True, True, True, False])),
    )
    return Candidate("any", "any", "basis", "why", "high", tuple(claims), 1, NOTHING, (), needs, known)


@given(st.lists(candidates(), max_size=8), COSTS)
def test_counted_savings_never_exceed_the_cost(proposed: list[Candidate], costs: dict[int, Decimal]) -> None:
    findings = settle([("detector", one) for one in proposed], costs, minimum=NOTHING)
    assert len(findings) == len(proposed)
    positive = {line: max(cost, NOTHING) for line, cost in costs.items()}

    def counted_on(lines: set[int]) -> Decimal:
        return sum(
            (
                found.saving or NOTHING
                for found, one in zip(findings, proposed, strict=True)
                if found.counted and {claim.line for claim in one.claims} <= lines
            ),
            NOTHING,
        )

    assert counted_on(set(LINES)) <= sum(positive.values(), NOTHING)
    for line in LINES:
        assert counted_on({line}) <= positive[line]
        assert counted_on(set(LINES) - {line}) <= sum((c for other, c in positive.items() if other != line), NOTHING)
    assert all(found.saving is None or found.saving >= 0 for found in findings)


@given(st.lists(AMOUNTS, min_size=1, max_size=12), st.decimals(min_value="-50", max_value="1000", places=18))
def test_one_line_is_never_overdrawn(amounts: list[Decimal], cost: Decimal) -> None:
    proposed = [("d", candidate(str(i), {0: amount})) for i, amount in enumerate(amounts)]
    taken = sum((found.saving or NOTHING for found in settle(proposed, {0: cost}, minimum=NOTHING)), NOTHING)
    assert NOTHING <= taken <= max(cost, NOTHING)


@given(st.lists(candidates(), max_size=6), COSTS)
def test_what_does_not_count_changes_nothing_that_does(proposed: list[Candidate], costs: dict[int, Decimal]) -> None:
    def counted(group: list[Candidate]) -> list[Decimal | None]:
        findings = settle([("d", one) for one in group], costs, minimum=NOTHING)
        return [found.saving for found in findings if found.counted]

    assert counted(proposed) == counted([one for one in proposed if one.amount_known and not one.needs])


def test_a_later_claim_keeps_its_share_of_what_is_left() -> None:
    half, all_of_it = candidate("half", {0: "50"}), candidate("all", {0: "100"})
    costs = {0: Decimal(100)}
    both = settle([("a", half), ("b", half)], costs, minimum=NOTHING)
    assert [found.saving for found in both] == [Decimal(50), Decimal(25)]
    assert [found.claimed for found in both] == [Decimal(50), Decimal(50)]
    assert [f.saving for f in settle([("a", half), ("b", all_of_it)], costs, minimum=NOTHING)] == [50, 50]
    assert [f.saving for f in settle([("b", all_of_it), ("a", half)], costs, minimum=NOTHING)] == [100, 0]


def test_findings_keep_the_order_and_the_name_of_their_detector() -> None:
    proposed = [
        ("z", candidate("one", {0: "1"})),
        ("a", candidate("two", {1: "2"})),
        ("m", candidate("three", {0: "3"})),
    ]
    findings = settle(proposed, {0: Decimal(10), 1: Decimal(10)}, minimum=NOTHING)
    assert [(found.detector, found.id) for found in findings] == [("z", "one"), ("a", "two"), ("m", "three")]


def test_what_must_be_confirmed_is_measured_and_takes_nothing() -> None:
    proposed = [("a", candidate("lead", {0: "80"}, needs="the owner's word")), ("b", candidate("proven", {0: "100"}))]
    lead, proven = settle(proposed, {0: Decimal(100)}, minimum=NOTHING)
    assert (lead.counted, lead.saving) == (False, Decimal(80))
    assert (proven.counted, proven.saving) == (True, Decimal(100))
    _, after = settle(list(reversed(proposed)), {0: Decimal(100)}, minimum=NOTHING)
    assert (after.id, after.saving, after.claimed) == ("lead", NOTHING, Decimal(80))


def test_an_unknown_amount_stays_unknown_and_is_not_dropped() -> None:
    (found,) = settle([("a", candidate("no rate", {}, known=False))], {}, minimum=Decimal(1000))
    assert (found.saving, found.claimed, found.counted) == (None, None, False)


def test_a_saving_below_the_minimum_is_dropped_and_takes_nothing() -> None:
    proposed = [("a", candidate("small", {0: "0.99"})), ("b", candidate("large", {0: "10"}))]
    (found,) = settle(proposed, {0: Decimal(10)}, minimum=Decimal(1))
    assert (found.id, found.saving) == ("large", Decimal(10))


def test_credits_and_free_lines_give_nothing_to_save() -> None:
    (found,) = settle([("a", candidate("x", {0: "5", 1: "5"}))], {0: Decimal(-10), 1: NOTHING}, minimum=NOTHING)
    assert found.saving == 0
