"""What ``outlay demo`` does: a ledger from real sample bills and a synthetic company, and the sixty-second bill on it.

The synthetic company's bills are loaded as a company would load them: twelve months, then one month again, restated by
its provider; then its usage reports, traces, telemetry, runs, outcomes and alerts. The real samples are there to show
that published exports load with totals equal to the last digit; they hold almost no AI spend, so the overspend shown is
that of the synthetic company, and every screen and file says that it is synthetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from outlay.config import Settings
from outlay.demo.company import Company, generate
from outlay.demo.offers import write_demo_offers
from outlay.ledger.store import Ledger
from outlay.optimize.overspend import Overspend, overspend
from outlay.prices.rates import RateBook
from outlay.report.html import write_overspend
from outlay.sources.load_report import LoadReport
from outlay.sources.loading import load

__all__ = ["DEMO_ROWS", "Tour", "real_samples", "tour"]

DEMO_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Tour:
    """What the demo made and found."""

    company: Company
    samples: LoadReport
    bills: LoadReport
    restatement: LoadReport
    facts: LoadReport
    overspend: Overspend
    report: Path
    offers: Path


def real_samples() -> list[Path]:
    """The real bills that ship with Outlay, in the order of their names."""
    folder = resources.files("outlay.demo") / "samples"
    return sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".csv.gz"))


def tour(
    folder: Path,
    ledger: Ledger,
    settings: Settings,
    *,
    rows: int = DEMO_ROWS,
    progress: Callable[[str], None] = lambda _: None,
) -> Tour:
    """Make everything under ``folder`` (the ledger where ``ledger`` says). Running it again ends in the same ledger."""
    progress("generating the synthetic company's bills")
    company = generate(folder, rows=rows, facts=True)
    restated = {path.name: path for path in company.restated}
    originals = sorted(company.files)
    progress("loading the real samples")
    samples = load(ledger, real_samples(), settings, progress=progress)
    progress("loading the synthetic company")
    bills = load(ledger, originals, settings, progress=progress)
    restatement = load(ledger, sorted(restated.values()), settings, progress=progress)
    facts = load(ledger, company.facts, settings, progress=progress)
    current = [restated.get(path.name, path) for path in originals]
    found = overspend(current, settings, RateBook(), progress=progress)
    report = folder / "report.html"
    progress("drawing the report")
    write_overspend(found, report, synthetic=True)
    offers = write_demo_offers(folder / "offers.csv")
    return Tour(company, samples, bills, restatement, facts, found, report, offers)
