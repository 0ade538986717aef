"""``outlay gateway``: the live data plane."""

from __future__ import annotations

import gc
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, say
from outlay.errors import ConfigError, MissingExtraError
from outlay.spool.folders import gateway_spool

if TYPE_CHECKING:
    from outlay.config import Settings
    from outlay.gateway.run import Listening

_TAKEN_UP_EVERY = 10.0
_FIRST = """\
    [[gateway.upstreams]]
    id = "openai"
    provider = "openai"
    base_url = "https://api.openai.com/v1"
    api_key_env = "OPENAI_API_KEY"

    [[quotas]]
    limit = "50 USD/day"
"""


@click.command("gateway", epilog="Example: outlay gateway --config outlay.toml")
@common_options
def command(*, common: Common) -> None:
    """Serve OpenAI's and Anthropic's APIs in front of the providers that [[gateway.upstreams]] names.

    Every call is metered and tagged by its virtual key (`outlay keys create`), held against its quotas before it goes
    out, and settled by the usage that the provider reports. Runs until SIGTERM or Ctrl-C. With --json, one line on
    stdout says where it listens.
    """
    # What is imported and read now stays until the end: looking for garbage in it takes a tenth of the start.
    gc.disable()
    try:
        _serve(common)
    finally:
        gc.enable()


def _serve(common: Common) -> None:
    try:
        from outlay.gateway.keys import RingKeys
        from outlay.gateway.run import Serving, clock, serve
    except ImportError as error:
        raise MissingExtraError(
            f"`outlay gateway` needs the package {error.name}.", hint="Run: pip install 'outlay[gateway]'"
        ) from None
    from outlay.operate.keys.place import is_there, open_ring, required_tags
    from outlay.operate.quotas.declared import quotas_of
    from outlay.prices.contract import read_contract
    from outlay.prices.tokens import TokenPrices
    from outlay.receivers.taking_up import Work

    settings = common.settings()
    if not settings.gateway.upstreams and settings.gateway.peers_listen is None:
        there = common.settings_file.exists()
        why = "names no provider to send calls to. Add one" if there else "is not there. Write one, and begin with"
        raise ConfigError(f"{why}:\n\n{_FIRST}", where=str(common.settings_file))
    spool = _spool(common, settings.gateway.spool, settings.gateway.listen)
    serving = Serving(
        settings.gateway,
        quotas_of(settings.quotas),
        required_tags(settings),
        common.folder,
        spool,
        os.environ,
        take_up=Work(common.ledger_path, settings, _TAKEN_UP_EVERY, spool, "outlay gateway"),
    )
    prices = TokenPrices([read_contract(path) for path in settings.prices.tokens])
    ring = open_ring(settings, common.folder)
    ring.watch()

    def about_keys() -> str | None:
        """What keeps all callers out, if anything does."""
        if not is_there(settings, common.folder) or not (len(ring) or ring.wrong):
            from outlay.cli.keys import option_of

            wanted = " ".join(map(option_of, required_tags(settings)))
            return f"No key yet, so no call is let in. Make one: outlay keys create {wanted}".rstrip()
        return f"Keys: {ring.wrong}" if ring.wrong else None

    def started(at: Listening) -> None:
        gc.enable()
        _show(at, common, settings, about_keys())

    try:
        serve(serving, prices, RingKeys(ring, clock), started, _said)
    finally:
        ring.close()


def _said(text: str) -> None:
    say(f"outlay gateway: {text}.")


def _spool(common: Common, named: Path | None, listen: str) -> Path:
    """Where usage events wait for the ledger: a folder of this gateway's own, in the ledger's unless it is named."""
    if named is not None:
        return common.folder / named
    return gateway_spool(common.ledger_path, f"{socket.gethostname()}-{listen.rpartition(':')[2]}")


def _show(at: Listening, common: Common, settings: Settings, keys: str | None) -> None:
    if common.as_json:
        import json

        others = {
            name: f"http://{place}" if place else None for name, place in (("admin", at.admin), ("peers", at.peers))
        }
        click.echo(json.dumps({"url": f"http://{at.calls}", **others, "pid": os.getpid()}))
        sys.stdout.flush()
        return
    upstreams = ", ".join(one.id for one in settings.gateway.upstreams)
    say(f"Calls on http://{at.calls}" + (f", to {upstreams}" if upstreams else ""))
    say(f"  OPENAI_BASE_URL=http://{at.calls}/v1\n  ANTHROPIC_BASE_URL=http://{at.calls}")
    if settings.quotas:
        number = len(settings.quotas)
        told = ": `outlay quotas` tells what is spent and held" if at.admin else ""
        say(f"{number} quota{'s' if number > 1 else ''}{told}")
    else:
        say("No [[quotas]]: calls are metered, and nothing limits them")
    if at.admin:
        say(f"Metrics on http://{at.admin}/metrics")
    if at.peers:
        say(f"Quotas for other gateways on http://{at.peers}")
    if keys is not None:
        say(keys)
    say("Stop with Ctrl-C.")
