"""Usage priced from requests against the provider's bill, for the same days: can the numbers be trusted?

Both sides tell the same story twice: what was asked, counted at the caller or by the provider's usage report and priced
by the price book; and what the provider charged for tokens. They are compared by provider, model and day over the days
that both cover. The difference is taken apart exactly: *volume* is what the bill has in tokens more or less than the
usage, at the usage's own price a token; *price* is the rest, the same tokens at another price. Each comes with what
usually is behind it and what the ledger shows of it; a likely reason is a lead, not a finding.

The traps: names (:mod:`outlay.metrics.compared_names`), and currencies: what is billed or priced in another one is
compared with nothing, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.metrics.compared_names import name_both_sides
from outlay.metrics.relations import RELATIONS
from outlay.metrics.views import open_view
from outlay.money import MONEY_SCALE, add_exactly, plain
from outlay.money import share as share_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["Compared", "Reconciliation", "reconcile"]

_NOTHING = Decimal(0)
_QUANTUM = Decimal(1).scaleb(-MONEY_SCALE)


@dataclass(frozen=True, slots=True)
class Compared:
    """Bill and usage of one provider and model (and day). ``volume`` + ``price`` is the difference, exactly.

    ``usage`` is None where no row is priced, ``bill_tokens`` where the bill tells none for what it charges; volume and
    price are None then too, and where it tells some.
    """

    provider: str
    model: str | None
    day: date | None
    bill: Decimal
    usage: Decimal | None
    bill_tokens: Decimal | None
    usage_tokens: Decimal
    unpriced_rows: int
    estimated_rows: int
    volume: Decimal | None
    price: Decimal | None
    reasons: tuple[str, ...] = ()

    @property
    def difference(self) -> Decimal | None:
        """What the bill has more than the usage."""
        return None if self.usage is None else self.bill - self.usage

    def to_json(self) -> dict[str, Any]:
        """Amounts and counts as exact strings."""
        return {
            "provider": self.provider,
            "model": self.model,
            "day": None if self.day is None else self.day.isoformat(),
            "bill": plain(self.bill),
            "usage": _number(self.usage),
            "difference": _number(self.difference),
            "volume": _number(self.volume),
            "price": _number(self.price),
            "bill_tokens": _number(self.bill_tokens),
            "usage_tokens": plain(self.usage_tokens),
            "unpriced_rows": self.unpriced_rows,
            "estimated_rows": self.estimated_rows,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The whole comparison: sums, by model, by day. ``why`` says why there is none.

    ``bill``, ``usage`` and the days are of the models whose usage has a price; ``unpriced_bill`` is what is billed for
    the others, which are among ``models``.
    """

    currency: str
    since: date | None
    until: date | None
    bill: Decimal | None
    usage: Decimal | None
    unpriced_bill: Decimal
    models: tuple[Compared, ...]
    days: tuple[Compared, ...]
    why: str | None = None

    @property
    def difference(self) -> Decimal | None:
        """What the bill has more than the usage."""
        return None if self.bill is None or self.usage is None else self.bill - self.usage

    @property
    def share(self) -> Decimal | None:
        """The difference as a share of the bill."""
        if self.difference is None or not self.bill:
            return None
        return share_of(self.difference, self.bill)

    def to_json(self) -> dict[str, Any]:
        """Amounts as exact strings."""
        return {
            "currency": self.currency,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "bill": _number(self.bill),
            "usage": _number(self.usage),
            "difference": _number(self.difference),
            "share": _number(self.share),
            "unpriced_bill": plain(self.unpriced_bill),
            "models": [one.to_json() for one in self.models],
            "days": [one.to_json() for one in self.days],
            "why": self.why,
        }


def reconcile(
    connection: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    settings: Settings,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    as_of: str | None = None,
) -> Reconciliation:
    """Compare over the days that both sides cover, within the window. In the settings' currency only."""
    tags = settings.tags.required
    open_view(connection, ledger, RELATIONS["costs"], tags, as_of=as_of)
    open_view(connection, ledger, RELATIONS["requests"], tags, as_of=as_of)
    currency = settings.currency
    name_both_sides(connection)
    spans = {
        (side, provider): (first, last)
        for side, provider, first, last in connection.execute(_SPANS.format(currency=currency)).fetchall()
    }
    billed, used = ({name: span for (side, name), span in spans.items() if side == one} for one in ("bill", "usage"))
    if not billed or not used:
        what = "usage" if billed else "token rows of a bill"
        return _none(currency, f"no {what} in {currency} in the ledger: there is nothing to compare with.")
    if not billed.keys() & used.keys():
        return _none(currency, "the bill and the usage are of different providers.")
    windows = {
        name: (
            max(billed[name][0], used[name][0], since.date() if since else date.min),
            min(billed[name][1], used[name][1], (until - timedelta(microseconds=1)).date() if until else date.max),
        )
        for name in billed.keys() & used.keys()
    }
    windows = {name: (first, last) for name, (first, last) in windows.items() if first <= last}
    rows = _compare(connection, currency, windows)
    both = {row[0] for row in rows if row[3] is not None} & {row[0] for row in rows if row[4] is not None}
    rows = [row for row in rows if row[0] in both]
    if not rows:
        return _none(currency, f"{_share_no_day(billed, used)}.")
    windows = {name: span for name, span in windows.items() if name in both}
    first, last = min(one for one, _ in windows.values()), max(one for _, one in windows.values())
    others = _Others(_billed_elsewhere(connection, currency), _priced_elsewhere(connection, currency))
    models = _by(rows, lambda row: (row[0], row[1], None), windows, others)
    usage = {(one.provider, one.model): one.usage for one in models if one.usage is not None}
    rows = [row for row in rows if (row[0], row[1]) in usage]
    days = _by(rows, lambda row: (row[0], None, row[2]), windows, others)
    return Reconciliation(
        currency,
        first,
        last + timedelta(days=1),
        add_exactly(one.bill for one in models if one.usage is not None) if usage else None,
        add_exactly(usage.values()) if usage else None,
        add_exactly(one.bill for one in models if one.usage is None),
        tuple(sorted(models, key=lambda one: -abs(one.bill if one.difference is None else one.difference))),
        tuple(sorted(days, key=lambda one: (one.provider, one.day or date.min))),
        None if usage else "no usage has a known price.",
    )


_BILLED = """"x_AiCategory" = 'tokens' AND "ChargeCategory" = 'Usage' AND "BillingCurrency" = '{currency}'"""
_BILL_ENDS = """greatest("x_ChargeDate", CAST("ChargePeriodEnd" - INTERVAL 1 MICROSECOND AS DATE))"""
# A call that goes on after midnight is of the day on which it began.
_USED_ENDS = """CAST(CASE WHEN "x_Kind" = 'bucket' THEN greatest(start_time, end_time - INTERVAL 1 MICROSECOND)
    ELSE start_time END AS DATE)"""
_USED = """coalesce("x_CostCurrency", '{currency}') = '{currency}'"""
_BILL_NAMED = """costs c JOIN bill_names n ON n.named = coalesce("ServiceProviderName", '')
    AND n.service = coalesce("ServiceName", '') AND n.model_named = coalesce("x_ModelId", '')"""
_USED_NAMED = """requests r JOIN usage_names n ON n.named = coalesce(gen_ai_provider_name, '')
    AND n.model_named = coalesce(gen_ai_response_model, gen_ai_request_model, '')"""
_SPANS = f"""
SELECT 'bill', n.provider, min("x_ChargeDate"), max({_BILL_ENDS}) FROM {_BILL_NAMED} WHERE {_BILLED} GROUP BY ALL
UNION ALL SELECT 'usage', n.provider, min(CAST(start_time AS DATE)), max({_USED_ENDS}) FROM {_USED_NAMED}
WHERE {_USED} GROUP BY ALL
"""
# A charge for a month can't be cut: it is compared where the usage of all of its days is there.
_COMPARE = f"""
WITH bill AS (
  SELECT n.provider, n.model, "x_ChargeDate" AS day, sum(coalesce("EffectiveCost", "BilledCost")) AS cost,
    sum("x_Tokens") AS tokens, bool_or({_BILL_ENDS} > "x_ChargeDate") AS long,
    bool_or("x_Tokens" IS NULL AND coalesce("EffectiveCost", "BilledCost") <> 0) AS untold
  FROM {_BILL_NAMED} JOIN spans_compared s ON s.provider = n.provider
  WHERE {_BILLED} AND "x_ChargeDate" >= s.first AND {_BILL_ENDS} <= s.last GROUP BY ALL
), used AS (
  SELECT n.provider, n.model, CAST(start_time AS DATE) AS day, sum("x_Cost") AS cost,
    sum(coalesce(gen_ai_usage_input_tokens, 0) + coalesce(gen_ai_usage_output_tokens, 0)) AS tokens,
    count(*) FILTER (WHERE "x_PriceStatus" = 'unpriced') AS unpriced,
    count(*) FILTER (WHERE "x_CostEstimated") AS estimated,
    string_agg(DISTINCT "x_PriceContext", ' and ') FILTER (WHERE "x_CostEstimated") AS contexts
  FROM {_USED_NAMED} JOIN spans_compared s ON s.provider = n.provider
  WHERE {_USED} AND CAST(start_time AS DATE) >= s.first AND {_USED_ENDS} <= s.last GROUP BY ALL
)
SELECT coalesce(b.provider, u.provider), coalesce(b.model, u.model), coalesce(b.day, u.day), b.cost,
  CASE WHEN u.tokens IS NOT NULL THEN true END, u.cost, b.tokens, coalesce(u.tokens, 0),
  coalesce(u.unpriced, 0), coalesce(u.estimated, 0), coalesce(b.long, false), u.contexts, coalesce(b.untold, false)
FROM bill b FULL JOIN used u ON b.provider = u.provider AND b.model = u.model AND b.day = u.day
"""
_Windows = Mapping[str, tuple[date, date]]


def _compare(connection: duckdb.DuckDBPyConnection, currency: str, windows: _Windows) -> list[tuple[Any, ...]]:
    """Bill and usage by provider, model and day, each provider over its own window."""
    connection.execute("CREATE OR REPLACE TEMP TABLE spans_compared (provider VARCHAR, first DATE, last DATE)")
    for name, span in windows.items():
        connection.execute("INSERT INTO spans_compared VALUES (?, ?, ?)", [name, *span])
    return connection.execute(_COMPARE.format(currency=currency)).fetchall()


@dataclass(frozen=True, slots=True)
class _Others:
    """The other currencies that a provider bills in, and that usage of a provider or of a model of its is priced in."""

    billed: Mapping[str, str]
    priced: Mapping[tuple[str, str | None], str]


def _billed_elsewhere(connection: duckdb.DuckDBPyConnection, currency: str) -> Mapping[str, str]:
    of = _BILLED.format(currency=currency).replace('"BillingCurrency" =', '"BillingCurrency" <>')
    rows = connection.execute(
        f'SELECT n.provider, string_agg(DISTINCT "BillingCurrency", \', \' ORDER BY "BillingCurrency") '
        f"FROM {_BILL_NAMED} WHERE {of} GROUP BY 1"
    ).fetchall()
    return dict(rows)


def _priced_elsewhere(connection: duckdb.DuckDBPyConnection, currency: str) -> Mapping[tuple[str, str | None], str]:
    rows = connection.execute(
        f'SELECT n.provider, n.model, string_agg(DISTINCT "x_CostCurrency", \', \' ORDER BY "x_CostCurrency") '
        f"FROM {_USED_NAMED} WHERE NOT {_USED.format(currency=currency)} GROUP BY GROUPING SETS ((1, 2), (1))"
    ).fetchall()
    return {(provider, model): said for provider, model, said in rows}


def _share_no_day(billed: _Windows, used: _Windows) -> str:
    said = [
        f"the bill's token rows of {name} ({billed[name][0]} to {billed[name][1]}) and the usage "
        f"({used[name][0]} to {used[name][1]}) share no day of the window that both tell whole"
        for name in sorted(billed.keys() & used.keys())
    ]
    return "; ".join(said)


_Key = tuple[str, str | None, date | None]


def _by(
    rows: Sequence[tuple[Any, ...]],
    key: Callable[[tuple[Any, ...]], _Key],
    windows: _Windows,
    others: _Others,
) -> list[Compared]:
    groups: dict[_Key, list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    whole = (min(first for first, _ in windows.values()), max(last for _, last in windows.values()))
    found = []
    for group, members in groups.items():
        priced = others.priced.get(group[:2])
        one = _compared(group, members, windows[group[0]][1], elsewhere=priced is not None)
        more = [f"usage of it is priced in {priced} too, which is not compared"] if priced else []
        if one.day is not None and any(row[10] for row in members):
            more.append("a charge for more than a day lies on its first day")
        if one.difference and group[0] in others.billed:
            more.append(f"the provider bills in {others.billed[group[0]]} too, which is not compared")
        if one.day is None and one.difference != 0 and windows[group[0]] != whole:
            first, last = windows[group[0]]
            more.append(f"compared from {first} to {last}, the days that bill and usage of {group[0]} both tell")
        found.append(replace(one, reasons=(*one.reasons, *more)))
    return found


def _compared(group: _Key, rows: Sequence[tuple[Any, ...]], last: date, *, elsewhere: bool) -> Compared:
    bill = add_exactly(row[3] for row in rows if row[3] is not None)
    costs = [row[5] for row in rows if row[5] is not None]
    usage = add_exactly(costs) if costs else None
    told, untold = [row[6] for row in rows if row[6] is not None], any(row[12] for row in rows)
    bill_tokens = None if untold and not told else add_exactly(told)
    used_tokens = add_exactly(Decimal(row[7]) for row in rows)
    unpriced, estimated = sum(row[8] for row in rows), sum(row[9] for row in rows)
    if usage is None and not any(row[4] for row in rows) and not elsewhere:
        usage = _NOTHING  # no usage at all: it cost nothing, and the bill says otherwise
    volume = price = None
    if usage is not None and bill_tokens is not None and (not untold or not used_tokens):
        volume = _volume(bill, usage, bill_tokens, used_tokens)
        price = bill - usage - volume
    found = Compared(*group, bill, usage, bill_tokens, used_tokens, unpriced, estimated, volume, price)
    return replace(found, reasons=tuple(_reasons(found, rows, last)))


def _volume(bill: Decimal, usage: Decimal, bill_tokens: Decimal, used_tokens: Decimal) -> Decimal:
    """What the tokens that one side has more are worth: at the usage's price, or at the bill's where it has none."""
    if used_tokens:
        return share_of((bill_tokens - used_tokens) * usage, used_tokens).quantize(_QUANTUM)
    return bill - usage


def _reasons(one: Compared, rows: Sequence[tuple[Any, ...]], last: date) -> list[str]:
    found = []
    billed = one.bill_tokens or _NOTHING
    if one.usage_tokens and any(row[12] for row in rows):  # as Anthropic's cost reports
        some = "no tokens" if one.bill_tokens is None else "no tokens for some of what it charges"
        found.append(f"the bill tells {some}, so how much of the difference is volume and how much price is not known")
    elif billed > one.usage_tokens:
        missing = billed - one.usage_tokens
        found.append(
            f"{missing:,.0f} tokens on the bill are in no usage that was loaded: a key, project or day is missing"
        )
    elif one.usage_tokens > billed:
        more = one.usage_tokens - billed
        late = max((row[2] for row in rows if row[3] is not None), default=None)
        if late is not None and late < last and one.day is None:
            found.append(
                f"{more:,.0f} tokens of usage are not billed: the bill of it ends on {late}, so it may be late"
            )
        else:
            found.append(
                f"{more:,.0f} tokens of usage are not billed: late data, a credit, or usage of another account"
            )
    if one.price and one.usage and billed and one.usage_tokens:
        paid, listed = share_of(one.bill, billed), share_of(one.usage, one.usage_tokens)
        ratio = share_of(paid, listed) if listed else None
        if ratio is not None and abs(ratio - 1) >= Decimal("0.001"):
            said = f"the bill's price a token is {ratio * 100:.1f}% of the price book's"
            why = "a negotiated rate (give it in [prices] tokens), a tier, or cache writes billed apart"
            contexts = " and ".join(sorted({row[11] for row in rows if row[11]}))
            doubt = f"; {one.estimated_rows:,} rows are estimates" + (f" ({contexts})" if contexts else "")
            found.append(f"{said}: {why}" + (doubt if one.estimated_rows else ""))
    if one.unpriced_rows:
        rows_have = "row of usage has" if one.unpriced_rows == 1 else "rows of usage have"
        found.append(f"{one.unpriced_rows:,} {rows_have} no known price")
    return found


def _none(currency: str, why: str) -> Reconciliation:
    return Reconciliation(currency, None, None, None, None, _NOTHING, (), (), why)


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
