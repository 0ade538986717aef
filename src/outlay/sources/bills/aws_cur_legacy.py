"""The legacy AWS Cost and Usage Report: ``lineItem/UnblendedCost`` in CSV, ``line_item_unblended_cost`` for Athena.

Its columns change from month to month with what was used: a column for each tag (``resourceTags/user:Team``) and each
product attribute. What the rows mean is in :mod:`outlay.sources.bills.aws_cur`; which files of a delivery count, in
:mod:`outlay.sources.bills.aws_manifest`.
"""

from __future__ import annotations

from outlay.sources.bills.aws_cur import cur_mapping, is_cur, is_cur2
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, RowMapping

__all__ = ["AwsCurLegacyReader"]


class AwsCurLegacyReader:
    """Reads the legacy report, from CSV, gzipped CSV or Parquet."""

    format = Format(
        "aws-cur-legacy",
        "AWS Cost and Usage Report (legacy)",
        "The report as delivered (CSV.gz, or Parquet for Athena) with resource IDs; give the manifest's folder.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """A Cost and Usage Report with slashes in its headers, or with tags and product attributes as columns."""
        return is_cur(raw) and not is_cur2(raw)

    def mapping(self, raw: RawFile) -> RowMapping:
        """The mapping that both generations share."""
        return cur_mapping(raw, "AWS CUR (legacy)")
