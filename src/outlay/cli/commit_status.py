"""``outlay commit status``: what stands, since when, and what would change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, now, progress, show_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from outlay.ledger.store import Ledger
    from outlay.optimize.commitments.plan import Plan

__all__ = ["dated", "since_then", "status_command"]

_NOT_CURRENT = 1


@click.command("status", epilog="Example: outlay commit status --recompute")
@click.option("--recompute", is_flag=True, help="Compute now, from the ledger and [commitments] offers.")
@common_options
def status_command(common: Common, recompute: bool) -> int:
    """What is recommended for each pool, since when it holds, what would change it, and what was withdrawn of late.

    Recommendations are computed after each load of a bill, telemetry or commitments, and by `outlay serve` once a day.
    The exit status is 1 where the last computation is older than 24 hours.
    """
    from datetime import timedelta

    from outlay.optimize.commitments.standing.recompute import recompute as compute
    from outlay.optimize.commitments.standing.status import status_of

    at, ledger = now(), common.ledger()
    if recompute:
        with progress(common) as report_progress:
            compute(ledger, common.settings(), now=at, trigger="asked", fresh=timedelta(0), progress=report_progress)
    found = status_of(ledger, now=at)
    if common.as_json:
        show_json(found.to_json())
    else:
        from outlay.report.commit_status import show_status

        show_status(found)
    return 0 if found.why is None else _NOT_CURRENT


def since_then(ledger: Ledger, found: Plan) -> dict[str, datetime]:
    """Since when what a plan says of a pool has been recommended, by pool."""
    from outlay.optimize.commitments.standing.standing import since_of
    from outlay.optimize.commitments.standing.standing_table import newest, read

    return since_of(found, newest(read(ledger)))


def dated(plan: dict[str, Any], since: Mapping[str, datetime] | None) -> dict[str, Any]:
    """A plan's JSON with ``since`` in its pools; as it is where None is given."""
    if since is None:
        return plan
    why = "it is not what was recommended last, see outlay commit status"
    pools = [
        {**one, "since": f"{at.isoformat()}Z"}
        if (at := since.get(one["pool"]))
        else one | {"since": None, "since_why": why}
        for one in plan["pools"]
    ]
    return {**plan, "pools": pools}
