"""``outlay prices``: the list of token prices, and a second list beside it."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, say, show_json
from outlay.cli.gpu_prices import gpus
from outlay.cli.price import moment

if TYPE_CHECKING:
    from decimal import Decimal

    from outlay.prices.cross_check import CrossCheck, Disagreement
    from outlay.prices.price_row import PriceRow

_DISAGREE = 1


@click.group("prices", epilog="Example: outlay prices list --provider openai --model gpt-5")
def command() -> None:
    """Price lists as of a time: tokens, checked against LiteLLM's list, and GPUs."""


command.add_command(gpus)

_AT = click.option("--at", "at_text", metavar="TIME", help="As of when, ISO 8601, UTC unless it says (default: now).")
_PROVIDER = click.option("--provider", metavar="P", help="Only this provider's: openai, anthropic, aws ...")
_LIMIT = click.option(
    "--limit", type=click.IntRange(min=1), default=40, show_default=True, help="At most so many lines."
)


@command.command("list", epilog="Example: outlay prices list --provider openai --model gpt-5 --at 2026-11-01")
@_PROVIDER
@click.option("--model", metavar="M", help="Only this model's, or names that contain it.")
@_AT
@click.option("--prices", type=click.Path(path_type=Path), help="Your own token prices (CSV), listed first.")
@_LIMIT
@common_options
def listed(
    *, provider: str | None, model: str | None, at_text: str | None, prices: Path | None, limit: int, common: Common
) -> int:
    """The price of every meter as of a time: ordinary, by context, by size.

    --json has every row, whatever the limit.
    """
    from outlay.prices.contract import read_contract
    from outlay.prices.listing import prices_at

    at = moment(at_text)
    contracts = [] if prices is None else [read_contract(prices)]
    for problem in (problem for contract in contracts for problem in contract.problems):
        say(f"{problem.source}:{problem.line}: {problem.message}. {problem.hint}")
    rows = prices_at(at, provider=provider, model=model, contracts=contracts)
    if common.as_json:
        show_json({"at": at.isoformat() + "Z", "rows": [_row(row) for row in rows]})
    else:
        _show_rows(rows, limit)
    return 0


@command.command("check", epilog="Example: outlay prices check --litellm model_prices_and_context_window.json")
@click.option(
    "--litellm",
    required=True,
    type=click.Path(path_type=Path),
    help="LiteLLM's model_prices_and_context_window.json.",
)
@_PROVIDER
@click.option("--model", metavar="M", help="Only models whose name contains this.")
@_AT
@_LIMIT
@common_options
def check(
    *, litellm: Path, provider: str | None, model: str | None, at_text: str | None, limit: int, common: Common
) -> int:
    """Where LiteLLM's map says another price than the list, the largest difference first.

    The exit status is 0 if they agree and 1 if not. --json has every disagreement, whatever the limit.
    """
    from outlay.prices.cross_check import cross_check
    from outlay.prices.litellm_map import read_litellm

    at = moment(at_text)
    done = cross_check(read_litellm(litellm), at, provider=provider, model=model)
    if common.as_json:
        show_json(
            {
                "at": at.isoformat() + "Z",
                "our_version": done.our_version,
                "their_version": done.their_version,
                "models_compared": done.models,
                "agreements": done.agreements,
                "disagreements": [_disagreement(one) for one in done.disagreements],
                "only_our_prices": done.only_our_prices,
                "only_their_prices": done.only_their_prices,
                "only_our_models": list(done.only_our_models),
                "only_their_models": list(done.only_their_models),
            }
        )
    else:
        _show_check(done, limit)
    return _DISAGREE if done.disagreements else 0


def _row(row: PriceRow) -> dict[str, object]:
    from outlay.ledger.meters import METERS
    from outlay.money import plain
    from outlay.prices.price_row import EVERY
    from outlay.prices.tokens import context_text

    factor = row.multiplier
    return {
        "provider": row.provider,
        "model": row.model,
        "meter": row.meter,
        "unit_price": None if factor is not None else plain(row.unit_price),
        "multiplier": None if factor is None else plain(factor),
        "unit": METERS.get(row.meter),
        "currency": row.currency,
        "when": "*" if row.when == EVERY else context_text(dict(row.when)),
        "input_tokens_above": row.input_tokens_above,
        "time_from": None if row.time_from is None else row.time_from.isoformat(),
        "time_to": None if row.time_to is None else row.time_to.isoformat(),
        "valid_from": None if row.valid_from is None else row.valid_from.isoformat() + "Z",
        "valid_to": None if row.valid_to is None else row.valid_to.isoformat() + "Z",
        "taken_from": row.taken_from,
        "source": row.source,
    }


def _disagreement(one: Disagreement) -> dict[str, object]:
    from outlay.money import plain

    return {
        "provider": one.provider,
        "litellm_key": one.key,
        "model": one.model,
        "meter": one.meter,
        "when": one.context,
        "input_tokens_above": one.above,
        "our_unit_price": plain(one.ours),
        "their_unit_price": plain(one.theirs),
        "our_source": one.our_source,
        "their_source": one.their_source,
    }


def _per_million(price: Decimal) -> str:
    from outlay.money import plain

    return plain(price * 1_000_000)


def _where(meter: str, context: str, above: int | None, hours: str = "") -> str:
    return ", ".join(filter(None, (meter, context, "" if above is None else f"above {above:,}", hours)))


def _show_rows(rows: list[PriceRow], limit: int) -> None:
    """A heading a model, a line a price; not those of a modality that costs what text does."""
    known = set(rows)
    shown = [row for row in rows if not _as_text(row, known)]
    for (provider, model), of_model in groupby(shown[:limit], key=lambda row: (row.provider, row.model)):
        click.echo(f"{provider} {model}")
        for row in of_model:
            click.echo(f"  {_line(row)}")
    if len(shown) > limit:
        click.echo(f"The first {limit:,} of {len(shown):,} prices; --json has all.")


def _as_text(row: PriceRow, rows: set[PriceRow]) -> bool:
    from outlay.ledger.meters import MODALITIES

    kind = next((row.meter.removesuffix(f"_{one}") for one in MODALITIES if row.meter.endswith(f"_{one}")), None)
    return kind is not None and replace(row, meter=kind) in rows


def _line(row: PriceRow) -> str:
    from outlay.ledger.meters import METERS
    from outlay.money import plain
    from outlay.prices.price_row import EVERY
    from outlay.prices.tokens import context_text

    hours = ""
    if row.time_from or row.time_to:
        start, end = (
            f"{one:%H:%M}" if one else other for one, other in ((row.time_from, "00:00"), (row.time_to, "24:00"))
        )
        hours = f"{start}-{end} UTC"
    when = "any context" if row.when == EVERY else context_text(dict(row.when))
    where = _where(row.meter, when, row.input_tokens_above, hours)
    since = f"  since {row.valid_from:%Y-%m-%d}" if row.valid_from else ""
    instead = f"  (as {row.taken_from})" if row.taken_from else ""
    if row.multiplier is not None:
        return f"{where:<48} x {plain(row.multiplier)}{since}"
    token = METERS[row.meter] == "token"
    price = _per_million(row.unit_price) if token else plain(row.unit_price)
    return f"{where:<48} {price:>9} {row.currency} / {'1M' if token else METERS[row.meter]}{since}{instead}"


def _show_check(done: CrossCheck, limit: int) -> None:
    click.echo(f"{done.our_version} beside {done.their_version}: {done.models:,} models that both have")
    click.echo(f"{done.agreements:,} prices agree, {len(done.disagreements):,} do not")
    click.echo(f"only ours: {done.only_our_prices:,} prices of these, and {len(done.only_our_models):,} models")
    click.echo(
        f"only LiteLLM's: {done.only_their_prices:,} prices of these, and {len(done.only_their_models):,} models"
    )
    if not done.disagreements:
        return
    click.echo(f"\n{'LiteLLM key (our model), per 1M tokens':<50} {'ours':>9} {'theirs':>9}")
    for (key, model), of_key in groupby(done.disagreements[:limit], key=lambda one: (one.key, one.model)):
        click.echo(key if key == model else f"{key} ({model})")
        for one in of_key:
            where = _where(one.meter, one.context, one.above)
            click.echo(f"  {where:<48} {_per_million(one.ours):>9} {_per_million(one.theirs):>9}")
    if len(done.disagreements) > limit:
        click.echo(f"The first {limit:,} of {len(done.disagreements):,} disagreements; --json has all.")
