"""The detectors that come with Outlay, registered through the same hook as anyone's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from outlay.hookspecs import hookimpl

if TYPE_CHECKING:
    from outlay.optimize.detector import Detector


@hookimpl
def outlay_detectors() -> Sequence[Detector]:
    """In no particular order: each detector says its own. Imported when asked for: other commands need none of them."""
    from outlay.optimize.batch_tier import BatchTier
    from outlay.optimize.idle_provisioned import IdleProvisioned
    from outlay.optimize.interruptible_training import InterruptibleTraining
    from outlay.optimize.non_production_hours import NonProductionHours
    from outlay.optimize.older_generation import OlderGeneration
    from outlay.optimize.prompt_caching import PromptCaching
    from outlay.optimize.steady_on_demand import SteadyOnDemand
    from outlay.optimize.unused_commitments import UnusedCommitments

    return [
        UnusedCommitments(),
        IdleProvisioned(),
        NonProductionHours(),
        OlderGeneration(),
        InterruptibleTraining(),
        SteadyOnDemand(),
        BatchTier(),
        PromptCaching(),
    ]
