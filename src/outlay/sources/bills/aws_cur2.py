"""AWS CUR 2.0, the table COST_AND_USAGE_REPORT of Data Exports: fixed columns, tags and product attributes as maps.

The maps (``product``, ``resource_tags``, ``tags``) are JSON text in CSV and MAP columns in Parquet. What the rows
mean is in :mod:`outlay.sources.bills.aws_cur`; which files of a delivery count, in
:mod:`outlay.sources.bills.aws_manifest`.
"""

from __future__ import annotations

from outlay.sources.bills.aws_cur import cur_mapping, is_cur, is_cur2
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, RowMapping

__all__ = ["AwsCur2Reader"]


class AwsCur2Reader:
    """Reads CUR 2.0, from CSV, gzipped CSV or Parquet, with all columns or those that the export's query chose."""

    format = Format(
        "aws-cur2",
        "AWS CUR 2.0 (Data Exports)",
        "A data export of COST_AND_USAGE_REPORT (Parquet or CSV.gz) with resource IDs; give the manifest's folder.",
    )

    def recognises(self, raw: RawFile) -> bool:
        """A Cost and Usage Report in snake case that has CUR 2.0's own columns, or none of the legacy report's."""
        return is_cur(raw) and is_cur2(raw)

    def mapping(self, raw: RawFile) -> RowMapping:
        """The mapping that both generations share."""
        return cur_mapping(raw, "AWS CUR 2.0")
