"""Of many deliveries of a billing period, only the newest counts, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlay.errors import UnreadableError
from outlay.sources.bills.aws_manifest import files_of, manifests_in, superseded_in

OCTOBER, NOVEMBER = "20261001-20261101", "20261101-20261201"


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def legacy_manifest(path: Path, keys: list[str], *, assembly: str = "A2", period: str = OCTOBER) -> Path:
    start, _, end = period.partition("-")
    said = {
        "assemblyId": assembly,
        "account": "111122223333",
        "reportName": "hourly",
        "bucket": "billing",
        "billingPeriod": {"start": f"{start}T000000.000Z", "end": f"{end}T000000.000Z"},
        "reportKeys": keys,
        "additionalArtifactKeys": [],
    }
    return put(path, json.dumps(said))


def legacy(root: Path, *versions: str, period: str = OCTOBER, files: int = 2) -> None:
    """A bucket's folder with versions of one period, each with its manifest, and the top copy of the last."""
    for version in versions:
        folder = root / "hourly" / period / version
        names = [f"hourly-{n:05}.csv.gz" for n in range(1, files + 1)]
        for name in names:
            put(folder / name, version)
        keys = [f"cur/hourly/{period}/{version}/{name}" for name in names]
        legacy_manifest(folder / "hourly-Manifest.json", keys, assembly=version, period=period)
        legacy_manifest(root / "hourly" / period / "hourly-Manifest.json", keys, assembly=version, period=period)


def export(root: Path, period: str, *executions: str, top: bool = True) -> None:
    """A CUR 2.0 data export that keeps its executions."""
    for execution in executions:
        name = "ai-cur2-00001.snappy.parquet"
        put(root / "ai-cur2" / "data" / f"BILLING_PERIOD={period}" / execution / name)
        said = json.dumps({
            "executionId": execution,
            "columns": [],
            "dataFiles": [f"s3://billing/exports/ai-cur2/data/BILLING_PERIOD={period}/{execution}/{name}"],
        })  # fmt: skip
        metadata = root / "ai-cur2" / "metadata" / f"BILLING_PERIOD={period}"
        put(metadata / execution / "ai-cur2-Manifest.json", said)
        if top:
            put(metadata / "ai-cur2-Manifest.json", said)


def under(root: Path, paths: list[Path] | set[Path] | None) -> list[str]:
    assert paths is not None
    return sorted(path.relative_to(root).as_posix() for path in paths)


def test_a_folder_without_manifests_is_not_a_delivery(tmp_path: Path) -> None:
    put(tmp_path / "bill.csv")
    put(tmp_path / "other-Manifest.json", '{"entries": []}')  # the Redshift artifact's is not ours
    assert files_of(tmp_path) is None
    assert superseded_in(tmp_path) == set()
    assert manifests_in(tmp_path) == []


def test_the_manifest_at_the_top_of_the_period_names_the_newest_version(tmp_path: Path) -> None:
    legacy(tmp_path, "A1", "A3", "A2")
    legacy(tmp_path, "B1", period=NOVEMBER, files=1)
    assert under(tmp_path, files_of(tmp_path)) == [
        f"hourly/{OCTOBER}/A2/hourly-00001.csv.gz",
        f"hourly/{OCTOBER}/A2/hourly-00002.csv.gz",
        f"hourly/{NOVEMBER}/B1/hourly-00001.csv.gz",
    ]
    assert under(tmp_path, superseded_in(tmp_path)) == [
        f"hourly/{OCTOBER}/{version}/hourly-{n:05}.csv.gz" for version in ("A1", "A3") for n in (1, 2)
    ]


@pytest.mark.parametrize("start", ["", "hourly", f"hourly/{OCTOBER}"])
def test_a_copy_may_start_at_any_level_of_the_key_and_be_renamed(tmp_path: Path, start: str) -> None:
    legacy(tmp_path / "bucket", "A1", "A2")
    folder = tmp_path / "my copy"
    (tmp_path / "bucket" / start).rename(folder)
    found = files_of(folder)
    assert found is not None
    assert [path.read_text() for path in found] == ["A2", "A2"]


def test_one_version_given_by_itself_is_read_even_if_it_is_old(tmp_path: Path) -> None:
    legacy(tmp_path, "A1", "A2")
    found = files_of(tmp_path / "hourly" / OCTOBER / "A1")
    assert found is not None
    assert [path.read_text() for path in found] == ["A1", "A1"]


def test_files_beside_their_manifest_in_a_flat_folder(tmp_path: Path) -> None:
    put(tmp_path / "hourly-00001.csv.gz")
    put(tmp_path / "hourly-00007.csv.gz")
    azure = put(tmp_path / "azure.csv")
    legacy_manifest(tmp_path / "hourly-Manifest.json", [f"cur/hourly/{OCTOBER}/A2/hourly-00001.csv.gz"])
    assert under(tmp_path, files_of(tmp_path)) == ["hourly-00001.csv.gz"]
    assert under(tmp_path, superseded_in(tmp_path)) == ["hourly-00007.csv.gz"]
    assert azure not in superseded_in(tmp_path)


def test_a_listed_file_that_is_missing_is_an_error_and_never_another_versions_file(tmp_path: Path) -> None:
    legacy(tmp_path, "A1", "A2")
    (tmp_path / "hourly" / OCTOBER / "A2" / "hourly-00002.csv.gz").unlink()
    put(tmp_path / "hourly" / OCTOBER / "hourly-00002.csv.gz", "from the time when reports were overwritten")
    with pytest.raises(UnreadableError, match=r"A2/hourly-00002\.csv\.gz.*not in this folder.*Copy all files"):
        files_of(tmp_path)


def test_unpacked_files_are_found_by_their_packed_names(tmp_path: Path) -> None:
    put(tmp_path / OCTOBER / "A2" / "hourly-00001.csv")
    legacy_manifest(tmp_path / OCTOBER / "hourly-Manifest.json", [f"cur/hourly/{OCTOBER}/A2/hourly-00001.csv.zip"])
    assert under(tmp_path, files_of(tmp_path)) == [f"{OCTOBER}/A2/hourly-00001.csv"]


def test_athena_keeps_the_parquet_files_beside_the_periods(tmp_path: Path) -> None:
    data = "hourly/hourly/year=2026/month=10/hourly-00001.snappy.parquet"
    put(tmp_path / data)
    old = put(tmp_path / "hourly/hourly/year=2026/month=10/hourly-00002.snappy.parquet")
    other = put(tmp_path / "hourly/hourly/year=2026/month=9/hourly-00001.snappy.parquet")
    legacy_manifest(tmp_path / "hourly" / OCTOBER / "hourly-Manifest.json", [f"cur/{data}"])
    assert under(tmp_path, files_of(tmp_path)) == [data]
    assert superseded_in(tmp_path) == {old}
    assert other not in superseded_in(tmp_path)  # a month without a manifest is not this one's to judge


def test_versions_without_the_top_manifest_are_refused(tmp_path: Path) -> None:
    legacy(tmp_path, "A1", "A2")
    (tmp_path / "hourly" / OCTOBER / "hourly-Manifest.json").unlink()
    with pytest.raises(UnreadableError, match=r"2 versions of the report 'hourly' for 20261001.*newest.*Copy the"):
        files_of(tmp_path)


def test_data_exports_by_billing_period(tmp_path: Path) -> None:
    early, late = "20261101T060000Z-7f1e", "20261104T060000Z-02ab"
    export(tmp_path, "2026-09", early)
    export(tmp_path, "2026-10", early, late)
    assert under(tmp_path, files_of(tmp_path)) == [
        f"ai-cur2/data/BILLING_PERIOD=2026-09/{early}/ai-cur2-00001.snappy.parquet",
        f"ai-cur2/data/BILLING_PERIOD=2026-10/{late}/ai-cur2-00001.snappy.parquet",
    ]
    assert under(tmp_path, superseded_in(tmp_path)) == [
        f"ai-cur2/data/BILLING_PERIOD=2026-10/{early}/ai-cur2-00001.snappy.parquet"
    ]


def test_data_exports_without_a_top_manifest_go_by_the_time_in_the_folders_name(tmp_path: Path) -> None:
    early, late = "20261101T060000Z-7f1e", "20261104T060000Z-02ab"
    export(tmp_path, "2026-10", late, early, top=False)
    [path] = files_of(tmp_path) or []
    assert path.parent.name == late


def test_two_accounts_reports_of_one_name_are_two(tmp_path: Path) -> None:
    for account in ("111122223333", "444455556666"):
        folder = tmp_path / account / OCTOBER
        put(folder / "A" / "hourly-00001.csv.gz")
        path = legacy_manifest(folder / "hourly-Manifest.json", [f"cur/{account}/{OCTOBER}/A/hourly-00001.csv.gz"])
        path.write_text(path.read_text().replace("111122223333", account, 1))
    assert len(files_of(tmp_path) or []) == 2
    assert superseded_in(tmp_path) == set()


def test_other_bills_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    legacy(tmp_path / "aws", "A1", "A2")
    other = put(tmp_path / "azure" / "october.csv")
    assert other not in superseded_in(tmp_path)
    assert len(superseded_in(tmp_path)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("{half", "is not JSON"), ('{"reportKeys": [1]}', "lists files that are not names")],
)
def test_a_damaged_manifest_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = put(tmp_path / "hourly-Manifest.json", text)
    with pytest.raises(UnreadableError, match=message) as caught:
        files_of(tmp_path)
    assert caught.value.where == str(path)


def test_a_key_cannot_point_out_of_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "secret.csv")
    legacy_manifest(tmp_path / "copy" / "hourly-Manifest.json", ["../secret.csv", "/etc/../secret.csv"])
    with pytest.raises(UnreadableError, match="not in this folder"):
        files_of(tmp_path / "copy")
