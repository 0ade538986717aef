"""``outlay price``: what one call cost."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, say, show_json
from outlay.errors import UsageError

if TYPE_CHECKING:
    from outlay.prices.tokens import Priced
    from outlay.prices.usage import Usage

_UNPRICED = 1


@click.command(
    "price",
    epilog="""Example: outlay price --provider openai --model gpt-4o-mini --usage '{"prompt_tokens": 1200}'""",
)
@click.option("--provider", required=True, metavar="P", help="Whose API it was: openai, anthropic, aws, azure ...")
@click.option("--model", required=True, metavar="M", help="The model's name, as in the call.")
@click.option(
    "--usage", "usage_text", required=True, metavar="JSON", help="The provider's usage object; - reads stdin."
)
@click.option(
    "--at", "at_text", metavar="TIME", help="When the call was made, ISO 8601, UTC unless it says (default: now)."
)
@click.option(
    "--context", "context_text", metavar="JSON", help="""What else decides the price: {"processing": "batch"}."""
)
@click.option(
    "--flavor", metavar="NAME", help="The usage object's shape, where its keys can't tell: chat, messages ..."
)
@click.option("--prices", type=click.Path(path_type=Path), help="Your own token prices (CSV); they win over the list.")
@common_options
def command(
    *,
    provider: str,
    model: str,
    usage_text: str,
    at_text: str | None,
    context_text: str | None,
    flavor: str | None,
    prices: Path | None,
    common: Common,
) -> int:
    """What one call cost, as of its time, meter by meter.

    The exit status is 0 if it could be priced and 1 if not; a price that is not known is never taken as 0.
    """
    from outlay.prices.contract import read_contract
    from outlay.prices.tokens import TokenPrices
    from outlay.prices.usage import normalise

    at = moment(at_text)
    context = {key: str(value) for key, value in _object(context_text or "{}", "--context").items()}
    raw = sys.stdin.read() if usage_text == "-" else usage_text
    usage = normalise(provider, _object(raw, "--usage"), flavor=flavor)
    contracts = [] if prices is None else [read_contract(prices)]
    priced = TokenPrices(contracts).price(usage, provider, model, at, context)
    problems = [problem for contract in contracts for problem in contract.problems]
    for problem in problems:
        say(f"{problem.source}:{problem.line}: {problem.message}. {problem.hint}")
    if common.as_json:
        listed = [
            {"code": p.code, "line": p.line, "message": p.message, "hint": p.hint, "source": p.source} for p in problems
        ]
        show_json(
            {
                **priced.to_json(),
                "provider": provider,
                "model": model,
                "at": at.isoformat() + "Z",
                "usage": _usage(usage),
                "problems": listed,
            }
        )
    else:
        _show(priced, usage, provider, model, at)
    return 0 if priced.status == "priced" else _UNPRICED


def moment(text: str | None) -> datetime:
    """A time that a person wrote, as naive UTC; now where there is none."""
    if text is None:
        return datetime.now(UTC).replace(tzinfo=None)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a time.", where="--at", hint="Write 2026-10-01T12:00:00Z.") from None
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"is not JSON: {error}.", where=option, hint="Give one JSON object, in quotes.") from None
    if not isinstance(found, dict):
        raise UsageError("is not a JSON object.", where=option, hint='Give an object, such as {"prompt_tokens": 1200}.')
    return found


def _usage(usage: Usage) -> dict[str, object]:
    from outlay.money import plain

    return {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "context": dict(usage.context),
        "reported_cost": None if usage.reported_cost is None else plain(usage.reported_cost),
        "remarks": [{"code": remark.code, "message": remark.message} for remark in usage.remarks],
    }


def _show(priced: Priced, usage: Usage, provider: str, model: str, at: datetime) -> None:
    from rich.console import Console
    from rich.table import Table

    from outlay.ledger.meters import METERS
    from outlay.money import plain

    console = Console(highlight=False)
    console.print(f"{provider} {model}, {at:%Y-%m-%d %H:%M} UTC: ", end="")
    console.print(f"{plain(priced.cost)} {priced.currency}" if priced.cost is not None else "unpriced", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("meter", "quantity", "price", "amount"):
        table.add_column(name, justify="left" if name == "meter" else "right", no_wrap=True)
    for line in priced.lines:
        if line.meter == "requests" and line.amount is None:
            continue
        name = line.meter if line.call is None else f"{line.meter} ({line.call}, {line.model})"
        per, unit = (1_000_000, "1M tokens") if METERS[line.meter] == "token" else (1, METERS[line.meter])
        rate = "not known" if line.unit_price is None else f"{plain(line.unit_price * per)} / {unit}"
        amount = "" if line.amount is None else plain(line.amount)
        table.add_row(name, f"{line.quantity:,}", rate, amount)
    console.print(table)
    if priced.why:
        console.print(f"{'Estimate' if priced.estimated else 'Why'}: {priced.why}", soft_wrap=True)
    for remark in usage.remarks:
        console.print(f"Note: {remark.message}", soft_wrap=True)
    if usage.reported_cost is not None:
        console.print(f"The provider reports {plain(usage.reported_cost)} USD.")
    console.print(f"Prices: {priced.price_version}", style="dim", soft_wrap=True)
