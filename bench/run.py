"""Outlay beside DuckDB alone: time, memory and their ratios, in one run. See README.md in this folder."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HAND_WRITTEN = """
import duckdb, sys
config = {{"memory_limit": "4096MiB", "threads": {threads}, "preserve_insertion_order": False}}
connection = duckdb.connect(config=config)
print(len(connection.execute('''
    SELECT ServiceProviderName, ServiceName, ServiceCategory, ServiceSubcategory, SkuId, SkuMeter, SkuPriceDetails,
        PricingUnit, ConsumedUnit, ResourceType, ChargeDescription, BillingCurrency, ChargeCategory, PricingCategory,
        CommitmentDiscountId, CommitmentDiscountStatus, CapacityReservationStatus, RegionId, Tags['team'],
        Tags['use_case'], Tags['environment'], Tags['workload'], Tags['interruptible'], Tags['latency'],
        CASE WHEN Tags['environment'] = 'dev' THEN ResourceId END, sum(BilledCost), sum(EffectiveCost),
        sum(PricingQuantity), sum(ConsumedQuantity), min(ChargePeriodStart), max(ChargePeriodEnd),
        min(BillingPeriodStart), count(*)
    FROM read_parquet('{folder}/*.parquet') GROUP BY ALL''').fetchall()))
"""
CONVERT = """
import duckdb, sys
config = {{"memory_limit": "4096MiB", "threads": {threads}, "preserve_insertion_order": False}}
connection = duckdb.connect(config=config)
connection.execute("COPY (SELECT * FROM {source}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
"""


@dataclass(frozen=True)
class Run:
    """One process: wall and CPU seconds, peak resident memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def measure(command: list[str]) -> Run:
    """Run a command to its end; its output is thrown away, a failure is not."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command[:4]} failed: {errors.decode()[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def pair(name: str, ours: list[str], peer: list[str], runs: int, before_ours: object = None) -> dict[str, object]:
    """Both in turn, ``runs`` times; medians, and the ratio run by run."""
    mine, theirs = [], []
    for _ in range(runs):
        if callable(before_ours):
            before_ours()
        mine.append(measure(ours))
        theirs.append(measure(peer))
    ratio = statistics.median(a.wall_s / b.wall_s for a, b in zip(mine, theirs, strict=True))
    cpu_ratio = statistics.median(a.cpu_s / b.cpu_s for a, b in zip(mine, theirs, strict=True))
    row = {
        "what": name,
        "outlay_s": round(statistics.median(r.wall_s for r in mine), 2),
        "peer_s": round(statistics.median(r.wall_s for r in theirs), 2),
        "ratio": round(ratio, 2),
        "cpu_ratio": round(cpu_ratio, 2),
        "outlay_peak_mib": round(max(r.peak_mib for r in mine)),
        "peer_peak_mib": round(max(r.peak_mib for r in theirs)),
    }
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


def bills(data: Path, rows: int, file_format: str) -> Path:
    """The synthetic company's bills at a size, generated once."""
    folder = data / f"{file_format.replace('.', '-')}-{rows}"
    if not (folder / "truth.json").exists():
        print(f"generating {rows:,} rows of {file_format} ...", file=sys.stderr, flush=True)
        code = (
            "import sys; from pathlib import Path; from outlay.demo.company import generate; "
            "generate(Path(sys.argv[1]), rows=int(sys.argv[2]), file_format=sys.argv[3])"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(folder), str(rows), file_format], check=True, stderr=subprocess.DEVNULL
        )
        shutil.rmtree(folder / "restated")
    return folder / "synthetic"


def dense_bills(data: Path, rows: int) -> Path:
    """The same bills with about 50 bytes a row, nearer to real ones.

    Generated amounts and ids repeat more than billed ones do and compress to a quarter of that, so each row gets noise
    below a tenth in its amounts and an invoice detail id of its own.
    """
    folder = data / f"dense-{rows}"
    if (folder / "complete").exists():
        return folder
    import duckdb

    source = bills(data, rows, "parquet")
    folder.mkdir(exist_ok=True)
    noise = "CAST((hash({seed}, file_row_number) % 100000000000000000) AS DECIMAL(17,0)) * 0.000000000000000001"
    amounts = ", ".join(
        f"CAST({name} + {noise.format(seed=seed)} AS DECIMAL(38,18)) AS {name}"
        for seed, name in enumerate(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"))
    )
    with duckdb.connect(config={"preserve_insertion_order": False}) as connection:
        for bill in sorted(source.glob("*.parquet")):
            connection.execute(
                f"COPY (SELECT * REPLACE ({amounts}, "
                f"'{bill.stem}-' || format('{{:016x}}', hash('id', file_row_number)) AS InvoiceDetailId) "
                f"FROM read_parquet('{bill}')) TO '{folder / bill.name}' (FORMAT parquet, COMPRESSION zstd)"
            )
    (folder / "complete").touch()
    return folder


def one_file(data: Path, rows: int, file_format: str) -> Path:
    """A single bill of about ``rows`` rows:

    one provider, one month, so that a load and a plain conversion do like work.
    """
    target = data / f"single-{rows}.{file_format}"
    if target.exists():
        return target
    import duckdb

    folder = bills(data, rows, "parquet")
    source = (
        f"SELECT * REPLACE (TIMESTAMP '2026-10-01' AS BillingPeriodStart, TIMESTAMP '2026-11-01' AS BillingPeriodEnd, "
        f"'900000000001' AS BillingAccountId) FROM read_parquet('{folder}/*.parquet')"
    )
    if file_format == "csv.gz":
        source = f"SELECT * REPLACE (CAST(to_json(Tags) AS VARCHAR) AS Tags) FROM ({source})"
        options = "FORMAT csv, HEADER, COMPRESSION gzip"
    else:
        options = "FORMAT parquet, COMPRESSION zstd"
    duckdb.connect().execute(f"COPY ({source}) TO '{target}' ({options})")
    return target


def main() -> None:
    """Parse, measure, print; ``--json`` writes the rows to a file too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=["overspend", "load", "cli"], nargs="+", default=["overspend", "load", "cli"])
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "outlay-bench")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    chosen.data.mkdir(parents=True, exist_ok=True)
    threads = len(os.sched_getaffinity(0))
    outlay = [sys.executable, "-m", "outlay"]
    rows: list[dict[str, object]] = []
    if "cli" in chosen.only:
        for command in (["--help"], ["sources"]):
            peer = [sys.executable, "-c", "pass"]
            rows.append(pair(f"outlay {command[0]} / bare python", [*outlay, *command], peer, 5))
    for count in chosen.rows:
        if "overspend" in chosen.only:
            folder = dense_bills(chosen.data, count)
            size = sum(bill.stat().st_size for bill in folder.glob("*.parquet"))
            print(f"{folder.name}: {size / 1e9:.2f} GB", file=sys.stderr, flush=True)
            peer = [sys.executable, "-c", HAND_WRITTEN.format(folder=folder, threads=threads)]
            name = f"overspend, {count:,} rows / one hand-written statement"
            rows.append(pair(name, [*outlay, "overspend", str(folder), "--json"], peer, chosen.runs))
        if "load" in chosen.only:
            for file_format in ("csv.gz", "parquet"):
                source = one_file(chosen.data, count, file_format)
                ledger, target = chosen.data / "ledger", chosen.data / "converted.parquet"
                reader = f"read_csv('{source}')" if file_format == "csv.gz" else f"read_parquet('{source}')"
                peer = [sys.executable, "-c", CONVERT.format(source=reader, target=target, threads=threads)]
                ours = [*outlay, "load", str(source), "--ledger", str(ledger), "--json"]

                def fresh(ledger: Path = ledger) -> None:
                    shutil.rmtree(ledger, ignore_errors=True)

                name = f"load {file_format}, {count:,} rows / DuckDB's own conversion"
                rows.append(pair(name, ours, peer, chosen.runs, fresh))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
