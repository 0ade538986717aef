"""The readers that come with Outlay, registered through the same hook as anyone's."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.hookspecs import hookimpl
from outlay.sources.aws_cur2 import AwsCur2Reader
from outlay.sources.aws_cur_legacy import AwsCurLegacyReader
from outlay.sources.azure_cost import AzureCostReader
from outlay.sources.focus import FocusReader
from outlay.sources.gcp_billing import GcpBillingReader
from outlay.sources.reader import Reader


@hookimpl
def outlay_readers() -> Sequence[Reader]:
    """FOCUS first: a file that carries FOCUS columns is read as FOCUS whoever wrote it."""
    return [FocusReader(), AwsCur2Reader(), AwsCurLegacyReader(), AzureCostReader(), GcpBillingReader()]
