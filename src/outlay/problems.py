"""Bad data as values.

One bad line never aborts a load: it becomes a :class:`Problem` that says in which file, on which line, what is wrong
and what to do, and goes to quarantine while the good rows load. A *notice* is a problem of a file as a whole (its
effective costs are rounded, say) that keeps no row out. The catalogue below is the whole list;
docs/reference/problems.md is tested against it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CATALOGUE", "Problem", "ProblemKind", "ProblemSummary", "summarise"]


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A known kind of problem. ``rejects`` tells whether a row that has it stays out of the ledger."""

    code: str
    rejects: bool
    meaning: str
    hint: str


def _kinds(*kinds: ProblemKind) -> dict[str, ProblemKind]:
    return {kind.code: kind for kind in kinds}


CATALOGUE: dict[str, ProblemKind] = _kinds(
    ProblemKind(
        "unparsable-amount",
        True,
        "an amount, price or quantity that is not a number",
        "Correct the cell, or export again: amounts are written 1234.56, with a point and no thousands separator.",
    ),
    ProblemKind(
        "unparsable-time",
        True,
        "a date or time that does not exist or is not written as one",
        "Write times as ISO 8601 in UTC, e.g. 2026-10-01T00:00:00Z.",
    ),
    ProblemKind(
        "missing-amount",
        True,
        "a row without a cost that every row must have",
        "Every row needs a billed cost; export the cost columns too.",
    ),
    ProblemKind(
        "missing-currency",
        True,
        "a row whose currency is not given",
        "Export the currency column: an amount without a currency can't be added to anything.",
    ),
    ProblemKind(
        "bad-currency",
        True,
        "a currency that is not a three-letter ISO 4217 code",
        "BillingCurrency is an ISO 4217 code such as USD; virtual currencies belong in PricingCurrency.",
    ),
    ProblemKind(
        "missing-time",
        True,
        "a row without a charge period or billing period",
        "Every row needs ChargePeriodStart; export the period columns too.",
    ),
    ProblemKind(
        "period-reversed",
        True,
        "a charge or billing period that ends before it starts",
        "Correct the period; FOCUS periods are half-open: the end is after the start.",
    ),
    ProblemKind(
        "unknown-charge-category",
        True,
        "a ChargeCategory that FOCUS does not know",
        "FOCUS allows Usage, Purchase, Tax, Credit and Adjustment.",
    ),
    ProblemKind(
        "negative-quantity",
        True,
        "a negative quantity on an ordinary usage row",
        "Only corrections, credits and refunds run backwards; correct the sign, or mark the row as a correction.",
    ),
    ProblemKind(
        "ragged-row",
        True,
        "a row with more or fewer fields than the header",
        "A field with a comma or a line break must be quoted; export again.",
    ),
    ProblemKind(
        "not-json",
        True,
        "a line that is not a JSON object",
        "The file must hold one JSON object a line; a half-written last line means the export was cut off.",
    ),
    ProblemKind(
        "unfit-value",
        True,
        "a record with a value that its column can't hold: text for a number, a number out of range",
        "Correct the record, or export again.",
    ),
    ProblemKind(
        "missing-value",
        True,
        "a record without something that every row of its table must have",
        "docs/reference/tables.md says what every row needs; export it too.",
    ),
    ProblemKind(
        "unusable-price",
        True,
        "a line of a price file or catalogue that can't be used; the other lines hold",
        "Correct the line; docs/reference/prices.md and docs/reference/gpu-prices.md have the columns.",
    ),
    ProblemKind(
        "not-usage",
        True,
        "a record of a usage report that tells no usage that is known",
        "Export the usage report again, as the API answers; costs and other reports are formats of their own.",
    ),
    ProblemKind(
        "overlapping-groups",
        True,
        "a bucket grouped so that its rows overlap, and add up to more than was used",
        "Export the report again without that group; keep the grouped one for looking at.",
    ),
    ProblemKind(
        "missing-identity",
        True,
        "a record without the id that tells it from others, so that the same one sent again would count twice",
        "Export the ids too: of a span its trace id and its span id, of a run or job its own.",
    ),
    ProblemKind(
        "unknown-layout",
        True,
        "a part of a document that is not laid out as its format is published",
        "Export it again; the page of the format under docs/sources says what is read.",
    ),
    ProblemKind(
        "unknown-operation",
        True,
        "a span with token usage whose operation is not known, so that it may repeat the usage of calls within it",
        "Name the operation of model calls as OpenTelemetry does (chat, embeddings …), or report the name.",
    ),
    ProblemKind(
        "scrape-without-time",
        True,
        "a scrape of telemetry that does not say when it was made; its samples are left out",
        "Write a comment with the time before each scrape, # scraped 2026-10-01T00:00:00Z, or export with timestamps.",
    ),
    ProblemKind(
        "seen-once",
        False,
        "a GPU with samples of one moment only, which say nothing of any time; it has no hours",
        "Load scrapes of a longer time in one file.",
    ),
    ProblemKind(
        "unusable-record",
        True,
        "a record of facts that lacks what its row needs, or says what can't be",
        "The message names the field: correct it at the source, or export again with that field.",
    ),
    ProblemKind(
        "repeated-record",
        True,
        "a record with the key of an earlier one of the same file; the first is kept",
        "Leave out the repetition, or add the column that tells the two apart.",
    ),
    ProblemKind(
        "newer-event",
        True,
        "an event of a gateway that is newer than the Outlay that takes it up; the event is kept",
        "Update the Outlay that takes up (outlay serve) before gateways. The event is in the spool's folder unread.",
    ),
    ProblemKind(
        "damaged-segment",
        True,
        "part of a segment of the spool that the disk lost or changed; the records before it are loaded",
        "Check the disk. The segment is kept in the spool's folder damaged.",
    ),
    ProblemKind(
        "degenerate-effective-cost",
        False,
        "EffectiveCost is not usable: whole numbers or zeros where BilledCost is not",
        "Reports on this source should use BilledCost; ask the provider for an export with amortised costs.",
    ),
    ProblemKind(
        "effective-cost-unknown",
        False,
        "the bill does not say what usage under a commitment effectively cost, so EffectiveCost stays empty there",
        "Export amortised costs: FOCUS on any cloud, amortised cost details on Azure, the savings_plan_ and "
        "reservation_ columns on AWS.",
    ),
    ProblemKind(
        "commitment-purchases-missing",
        False,
        "the bill has no purchases of commitments, so BilledCost is below the invoice",
        "Report on EffectiveCost; to compare with the invoice, export FOCUS or actual costs.",
    ),
    ProblemKind(
        "amount-rounded",
        False,
        "an amount with more than 18 decimals was rounded half away from zero at the 18th",
        "Nothing to do: the difference is below 1e-18 of the currency a row.",
    ),
    ProblemKind(
        "list-cost-unknown",
        False,
        "the bill has no list price for these rows, so ListCost stays empty",
        "Include the public on-demand cost in the export to see savings against list price.",
    ),
    ProblemKind(
        "bad-tags",
        False,
        "a Tags cell that is not a JSON object, or gives a key twice; the row is kept without tags",
        "Tags are a JSON object of keys and values, each key once.",
    ),
    ProblemKind(
        "period-derived",
        False,
        "the bill gives no billing period; the calendar month of the charge is used",
        "Export BillingPeriodStart and BillingPeriodEnd.",
    ),
    ProblemKind(
        "delivered-twice",
        False,
        "half of a file's rows or more are in another file of the same reading, and both were added",
        "If one is an earlier delivery of the other, leave it out: give the newest files by name.",
    ),
    ProblemKind(
        "usage-told-twice",
        False,
        "metrics of a service whose spans in the same file tell the same tokens; the metrics are not counted",
        "Nothing to do. To count the metrics instead, export them to a file of their own and load only that.",
    ),
    ProblemKind(
        "attempts-missing",
        False,
        "runs whose attempts are not in the file; their GPU hours are not counted",
        "Export more often than the system forgets: finished pods go with their job or after its time to live.",
    ),
    ProblemKind(
        "unknown-gpu-instance",
        False,
        "a GPU instance type that the instance map does not know; its GPU hours are not counted",
        "Export SkuPriceDetails with GpuCount, which wins over the map, or report the type: the map is "
        "prices/data/gpu_instances.csv.",
    ),
    ProblemKind(
        "more-pages",
        False,
        "the report goes on in another page that is not in this file",
        "Fetch all pages: ask again with page set to next_page until has_more is false, and append each answer.",
    ),
    ProblemKind(
        "report-not-told",
        False,
        "buckets without results that do not say of which report they are, so they replace nothing",
        "Note the report in each page as you fetch it, as docs/sources/openai-usage.md does: jq '. + {report: ...}'.",
    ),
    ProblemKind(
        "bucket-twice",
        False,
        "a stretch of time is told by more than one bucket of a report in a file; the last one is used",
        "Nothing to do if the later answer is the more complete one; else load the file with the answer you want.",
    ),
    ProblemKind(
        "top-groups-only",
        False,
        "a bucket has as many groups as the API tells at most; what more there were is missing",
        "Group by fewer keys, or export without groups and load that instead.",
    ),
    ProblemKind(
        "not-a-commitment",
        False,
        "capacity that is held but can be given back at any time is no commitment and is left out",
        "Nothing to do: what it costs is in the bill.",
    ),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad row, or one notice about a file (``line`` is None then)."""

    source: str
    line: int | None
    code: str
    message: str

    @property
    def hint(self) -> str:
        """What to do about it, from the catalogue."""
        return CATALOGUE[self.code].hint

    @property
    def rejects(self) -> bool:
        """Whether the row stayed out."""
        return CATALOGUE[self.code].rejects


@dataclass(frozen=True, slots=True)
class ProblemSummary:
    """Problems of one code in one file: the JSON of ``problems`` in the contract."""

    source: str
    code: str
    message: str
    hint: str
    count: int
    first_line: int | None
    rejects: bool

    def to_json(self) -> dict[str, str | int | None]:
        """As the contract has it."""
        return {
            "source": self.source,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "count": self.count,
            "first_line": self.first_line,
        }


def summarise(problems: Iterable[Problem]) -> list[ProblemSummary]:
    """Problems grouped by file, code and message, the most frequent first; ``first_line`` is the smallest line."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.source, problem.code, problem.message), []).append(problem)
    summaries = [
        ProblemSummary(
            source,
            code,
            message,
            members[0].hint,
            len(members),
            min((member.line for member in members if member.line is not None), default=None),
            members[0].rejects,
        )
        for (source, code, message), members in groups.items()
    ]
    return sorted(summaries, key=lambda summary: (-summary.count, summary.source, summary.code, summary.message))
