"""Live ingestion: spans a second that `outlay serve` acknowledges as durable, and the limits beside it in the same run.

Prebuilt OTLP requests (protobuf, GenAI spans with the attributes that the SDKs' instrumentations send, ids new in each)
are sent over a few kept-alive connections by another process. Measured:

- ``bare uvicorn``: an application that reads the body and answers, stores nothing: what the HTTP server can do;
- ``bare disk``: the same bodies written to one file and synced one by one, no HTTP: what a sync for each costs;
- ``outlay, spool only``: acknowledged when on the disk; the ledger takes nothing up meanwhile;
- ``outlay, with take-up``: acknowledged while the ledger takes up beside it, on the same cores;
- ``outlay, paced``: the same at ``--rate`` spans a second for longer: what waits in the spool (open and sealed) at the
  middle and at the end says whether the take-up keeps up, and ``peak_mib`` is the most memory its process took;
- ``taken up``: how fast the ledger takes up, alone, what is left after the server was killed with SIGKILL; and that
  every acknowledged span is there, once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

MARK = b"\x01outlay-a-trace\x01"
BARE = """
import uvicorn, sys
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", log_level="error", access_log=False)
"""


def request(spans: int) -> bytes:
    """An export request in which every span has the trace id MARK, which the sender replaces."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = ExportTraceServiceRequest()
    resource = found.resource_spans.add()
    for key, value in {
        "service.name": "assistant",
        "service.namespace": "shop",
        "deployment.environment.name": "production",
        "team": "search",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.0",
    }.items():
        resource.resource.attributes.add(key=key).value.string_value = value
    group = resource.scope_spans.add()
    group.scope.name = "opentelemetry.instrumentation.openai_v2"
    now = time.time_ns()
    for number in range(spans):
        span = group.spans.add(trace_id=MARK, span_id=(number + 1).to_bytes(8, "big"), name="chat gpt-4o-mini", kind=3)
        span.parent_span_id = (number + 1_000_000).to_bytes(8, "big")
        span.start_time_unix_nano = now - 1_500_000_000 + number
        span.end_time_unix_nano = now + number
        for key, text in {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": f"chatcmpl-{number:08d}-{now:x}",
            "gen_ai.conversation.id": f"conversation-{number % 50:012d}",
            "server.address": "api.openai.com",
            "use_case": "answers",
        }.items():
            span.attributes.add(key=key).value.string_value = text
        for key, count in {
            "server.port": 443,
            "gen_ai.usage.input_tokens": 900 + number,
            "gen_ai.usage.output_tokens": 80 + number % 100,
            "gen_ai.usage.cache_read.input_tokens": 512,
        }.items():
            span.attributes.add(key=key).value.int_value = count
        span.attributes.add(key="gen_ai.request.temperature").value.double_value = 0.7
        span.attributes.add(key="gen_ai.response.finish_reasons").value.array_value.values.add().string_value = "stop"
    return bytes(found.SerializeToString())


def send(port: int, connections: int, seconds: float, spans: int, rate: float) -> dict[str, Any]:
    """Send for so long over so many connections; what was acknowledged, and how long each took.

    ``rate`` is how many spans a second in all; as fast as they are answered for 0.
    """
    template = request(spans)
    taken: list[float] = []
    refused = [0]
    until = time.perf_counter() + seconds

    def one() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        due = time.perf_counter()
        while time.perf_counter() < until:
            if rate:
                time.sleep(max(due - time.perf_counter(), 0))
                due += spans * connections / rate
            body = template.replace(MARK, os.urandom(16))
            began = time.perf_counter()
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                taken.append(time.perf_counter() - began)
            else:
                refused[0] += 1
                time.sleep(0.05)

    began = time.perf_counter()
    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - began
    taken.sort()
    return {
        "acknowledged": len(taken) * spans,
        "spans_per_s": round(len(taken) * spans / wall),
        "mb_per_s": round(len(taken) * len(template) / wall / 1e6, 1),
        "p50_ms": round(statistics.median(taken) * 1000, 2),
        "p99_ms": round(taken[int(len(taken) * 0.99)] * 1000, 2),
        "refused": refused[0],
    }


def sender(port: int, chosen: argparse.Namespace, seconds: float, rate: float = 0) -> dict[str, Any]:
    """:func:`send` in a process of its own."""
    out = subprocess.run(
        [
            sys.executable, __file__, "--send-to", str(port), "--connections", str(chosen.connections),
            "--seconds", str(seconds), "--spans", str(chosen.spans), "--rate", str(rate),
        ],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def bare_uvicorn(chosen: argparse.Namespace) -> dict[str, Any]:
    """An application that only reads."""
    port = 43_181
    server = subprocess.Popen([sys.executable, "-c", BARE, str(port)])
    try:
        _wait_for(port)
        return sender(port, chosen, chosen.seconds / 2)
    finally:
        server.kill()
        server.wait()


def bare_disk(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write and sync, one body after the other."""
    template = request(chosen.spans)
    taken = []
    with (folder / "bare").open("wb", buffering=0) as handle:
        until = time.perf_counter() + chosen.seconds / 2
        while (began := time.perf_counter()) < until:
            handle.write(template.replace(MARK, os.urandom(16)))
            os.fdatasync(handle.fileno())
            taken.append(time.perf_counter() - began)
    (folder / "bare").unlink()
    wall = sum(taken)
    taken.sort()
    return {
        "spans_per_s": round(len(taken) * chosen.spans / wall),
        "mb_per_s": round(len(taken) * len(template) / wall / 1e6, 1),
        "p50_ms": round(statistics.median(taken) * 1000, 2),
        "p99_ms": round(taken[int(len(taken) * 0.99)] * 1000, 2),
    }


def outlay(
    chosen: argparse.Namespace, ledger: Path, every: float, seconds: float, rate: float = 0
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send to ``outlay serve``, kill it, and take up what is left: what was acknowledged, and what is there."""
    from outlay.config import Settings
    from outlay.ledger.engine.duckdb import session
    from outlay.ledger.store import FACT_TABLES, Ledger
    from outlay.sources.live_spools import of_telemetry
    from outlay.sources.loading import token_prices
    from outlay.sources.take_up import TakeUp
    from outlay.spool.writer import SpoolWriter

    shutil.rmtree(ledger, ignore_errors=True)
    server = subprocess.Popen(
        [
            sys.executable, "-m", "outlay", "serve", "--ledger", str(ledger), "--listen", "127.0.0.1:0", "--no-grpc",
            "--every", str(every), "--json",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    port = int(json.loads(server.stdout.readline())["http"].rpartition(":")[2])
    waiting: list[float] = []
    half = threading.Timer(seconds / 2, lambda: waiting.append(_waiting_mb(ledger)))
    half.start()
    sent = sender(port, chosen, seconds, rate)
    half.join()
    waiting.append(_waiting_mb(ledger))
    peak = _peak_mib(server.pid)
    server.kill()
    server.wait()
    while True:
        try:
            SpoolWriter(ledger / "spool").close()  # mends and seals what was open
            take_up = TakeUp(Ledger(ledger), Settings(), token_prices(Settings()), of_telemetry(Ledger(ledger)))
            break
        except OSError:
            raise
        except Exception:  # the killed server's take-up is at its last batch
            time.sleep(0.2)
    with session() as connection:
        before = _rows(connection, Ledger(ledger), FACT_TABLES["requests"])
    began, cpu = time.perf_counter(), time.process_time()
    commits = 0
    while take_up.next() is not None:
        commits += 1
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    take_up.close()
    with session() as connection:
        rows = _rows(connection, Ledger(ledger), FACT_TABLES["requests"])
    took = {
        "rows_in_ledger": rows,
        "lost": max(sent["acknowledged"] - rows, 0),
        "beside_the_receiver": before,
        "waiting_mb_half_and_end": waiting,
        "peak_mib": peak,
        "after_it": rows - before,
        "commits": commits,
        "spans_per_s": round((rows - before) / wall),
        "spans_per_cpu_s": round((rows - before) / cpu) if cpu else None,
    }
    return sent, took


def _rows(connection: Any, ledger: Any, table: Any) -> int:  # noqa: ANN401
    ledger.register_facts(connection, table, ())
    count, distinct = connection.execute('SELECT count(*), count(DISTINCT "x_RowId") FROM requests').fetchone()
    assert count == distinct, "a span is there twice"
    return int(count)


def _waiting_mb(ledger: Path) -> float:
    """What of the spool is not in the ledger."""
    found = 0
    for path in (ledger / "spool").glob("*-*"):
        with suppress(FileNotFoundError):  # taken up meanwhile
            found += path.stat().st_size
    return round(found / 1e6, 1)


def _peak_mib(server: int) -> int:
    """The most memory that a child of the server, the take-up, has had at once (Linux)."""
    peaks = [0]
    for path in Path(f"/proc/{server}/task").glob("*/children"):
        for child in path.read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            peaks += [int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
            return
        except OSError:
            time.sleep(0.05)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=200, help="spans a request")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=20_000, help="spans a second of the paced run")
    parser.add_argument("--paced-seconds", type=float, default=60)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "outlay-bench")
    parser.add_argument("--send-to", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.send_to:
        print(json.dumps(send(chosen.send_to, chosen.connections, chosen.seconds, chosen.spans, chosen.rate)))
        return
    chosen.data.mkdir(parents=True, exist_ok=True)
    size = len(request(chosen.spans))
    print(
        f"{chosen.spans} spans and {size:,} bytes a request, {chosen.connections} connections, load {os.getloadavg()}"
    )
    rows: dict[str, Any] = {}

    def show(what: str, found: dict[str, Any]) -> None:
        rows[what] = found
        print(f"{what:22}", "  ".join(f"{key} {value}" for key, value in found.items()), flush=True)

    show("bare uvicorn", bare_uvicorn(chosen))
    show("bare disk", bare_disk(chosen, chosen.data))
    sent, took = outlay(chosen, chosen.data / "ingest-ledger", 3600, chosen.seconds)
    show("outlay, spool only", sent)
    show("  taken up after it", took)
    sent, took = outlay(chosen, chosen.data / "ingest-ledger", 2, chosen.seconds)
    show("outlay, with take-up", sent)
    show("  taken up", took)
    sent, took = outlay(chosen, chosen.data / "ingest-ledger", 2, chosen.paced_seconds, chosen.rate)
    show("outlay, paced", sent)
    show("  taken up", took)
    print(f"load {os.getloadavg()}")
    shutil.rmtree(chosen.data / "ingest-ledger", ignore_errors=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
