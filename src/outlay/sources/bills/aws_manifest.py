"""Which files of an AWS delivery are the bill: the newest manifest of each billing period decides.

AWS delivers a period many times. With *create new version* every delivery stays in a folder of its own, so that
reading the whole folder would count the month once a delivery; the manifest lists the files of one delivery, and the
copy at the top of the period is the newest. Legacy reports (``assemblyId``, ``reportKeys``)::

    <report>/20261001-20261101/<report>-Manifest.json
    <report>/20261001-20261101/<assembly>/<report>-Manifest.json
    <report>/20261001-20261101/<assembly>/<report>-00001.csv.gz
    <report>/<report>/year=2026/month=10/<report>-00001.snappy.parquet         (for Athena; overwritten)

Data Exports, CUR 2.0 and FOCUS alike (``executionId``, ``dataFiles``)::

    <export>/metadata/BILLING_PERIOD=2026-10/<export>-Manifest.json
    <export>/data/BILLING_PERIOD=2026-10/[<time>-<execution>/]<export>-00001.snappy.parquet

The listed files are S3 keys. A folder that was copied from S3 may start at any level of the key, so a key is looked up
by its tail from each folder above the manifest. A file that is listed and not there is an error: part of a month is not
a month.

Sources: AWS Cost and Usage Reports user guide (report versions, Athena), Data Exports user guide (export delivery).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from outlay.errors import UnreadableError

__all__ = ["Manifest", "files_of", "manifests_in", "superseded_in"]

_SUFFIX = "-Manifest.json"
_LARGEST_BYTES = 32 << 20
_PERIOD_FOLDER = re.compile(r"\d{8}-\d{8}|BILLING_PERIOD=\d{4}-\d{2}", re.IGNORECASE)
_PARTITION = re.compile(r"BILLING_PERIOD=(\d{4}-\d{2})", re.IGNORECASE)
_VERSION_FOLDER = re.compile(r"\d{4}-?\d{2}-?\d{2}[T-]")  # Data Exports begin a delivery's folder with its time
_DATA_SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".parquet")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One delivery: its report, billing period (``20261001`` or ``2026-10``), version and the S3 keys of its files."""

    path: Path
    report: str
    owner: str
    period: str
    version: str
    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        """The report's or export's name: its files' names begin with it."""
        return self.path.name.removesuffix(_SUFFIX)


def files_of(folder: Path) -> list[Path] | None:
    """The data files that the newest manifest of each report and billing period lists; None without manifests.

    Files of ``folder`` outside of any report are not among them. Raises :class:`outlay.errors.UnreadableError` for a
    manifest that can't be read, a listed file that is missing, and versions of which nothing tells the newest.
    """
    newest = _newest(manifests_in(folder))
    if not newest:
        return None
    return sorted({path for manifest in newest for path in _listed(manifest, folder)})


def superseded_in(folder: Path) -> set[Path]:
    """The data files in ``folder`` that belong to a report with a manifest and are not in its newest delivery.

    Everything else in the folder, other providers' bills included, is to be read.
    """
    manifests = manifests_in(folder)
    current = {path for manifest in _newest(manifests) for path in _listed(manifest, folder)}
    older: set[Path] = set()
    for manifest in manifests:
        for ground in _grounds(manifest, folder):
            older |= {path for path in ground.rglob(f"{manifest.name}-*") if _is_data(path)}
    return older - current


def manifests_in(folder: Path) -> list[Manifest]:
    """Every manifest of a report or an export under ``folder``, in the order of their paths."""
    found = []
    for path in sorted(folder.rglob(f"*{_SUFFIX}")):
        if path.is_file() and (manifest := _read(path)) is not None:
            found.append(manifest)
    return found


def _read(path: Path) -> Manifest | None:
    """The manifest at ``path``; None for JSON of another kind under that name, such as the Redshift artifact's."""
    if path.stat().st_size > _LARGEST_BYTES:
        raise _unreadable(path, f"is larger than {_LARGEST_BYTES >> 20} MiB")
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, ValueError):
        raise _unreadable(path, "is not JSON") from None
    if not isinstance(said, dict):
        return None
    keys = said.get("reportKeys", said.get("dataFiles"))
    if not isinstance(keys, list):
        return None
    if not all(isinstance(key, str) for key in keys):
        raise _unreadable(path, "lists files that are not names")
    partition = next((m for text in (*keys, path.as_posix()) if (m := _PARTITION.search(text))), None)
    billing = said.get("billingPeriod")
    start = str(billing.get("start") or "")[:8] if isinstance(billing, dict) else ""
    return Manifest(
        path=path,
        report=str(said.get("reportName") or said.get("exportArn") or path.name.removesuffix(_SUFFIX)),
        owner=str(said.get("account") or said.get("bucket") or ""),
        period=start or (partition[1] if partition else ""),
        version=str(said.get("assemblyId") or said.get("executionId") or ""),
        keys=tuple(keys),
    )


def _newest(manifests: list[Manifest]) -> list[Manifest]:
    """One manifest a report and period: the topmost; among equals the latest folder, if folders are named by time."""
    groups: dict[tuple[str, str, str], list[Manifest]] = {}
    for manifest in manifests:
        groups.setdefault((manifest.owner, manifest.report, manifest.period), []).append(manifest)
    return [_newest_of(group) for group in groups.values()]


def _newest_of(group: list[Manifest]) -> Manifest:
    shallowest = min(len(one.path.parts) for one in group)
    top = [one for one in group if len(one.path.parts) == shallowest]
    if len({(one.version, one.keys) for one in top}) == 1:
        return top[0]
    if all(_VERSION_FOLDER.match(one.path.parent.name) for one in top):
        return max(top, key=lambda one: one.path.parent.name)
    period = f" for {top[0].period}" if top[0].period else ""
    raise UnreadableError(
        f"holds {len(top)} versions of the report '{top[0].name}'{period}, and nothing says which is the newest.",
        where=str(Path(*_common(top))),
        hint=f"Copy the {top[0].path.name} from the top of the period's folder too, or give the folder of one version.",
    )


def _common(group: list[Manifest]) -> tuple[str, ...]:
    shared = []
    for parts in zip(*(one.path.parts for one in group), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return tuple(shared)


def _listed(manifest: Manifest, folder: Path) -> list[Path]:
    found = []
    for key in manifest.keys:
        path = _find(manifest, _key_parts(key), folder)
        if path is None:
            raise UnreadableError(
                f"lists '{key}', which is not in this folder.",
                where=str(manifest.path),
                hint="Copy all files of the delivery: a part of a billing period would be read as the whole.",
            )
        found.append(path)
    return found


def _key_parts(key: str) -> tuple[str, ...]:
    if key.startswith("s3://"):
        key = key.removeprefix("s3://").partition("/")[2]
    return tuple(part for part in PurePosixPath(key).parts if part not in ("/", "..", "."))


def _find(manifest: Manifest, key: tuple[str, ...], folder: Path) -> Path | None:
    """The file of ``key``: its longest tail that exists below the manifest's folder or one above it, up to ``folder``.

    A folder whose name is in the key can only hold what follows that name. So a file that is missing from one version
    is never found in another, although both have the same name.
    """
    for base in _upwards(manifest.path.parent, folder):
        starts = [n + 1 for n, part in enumerate(key) if part == base.name] or list(range(len(key)))
        for start in starts:
            for path in _spellings(base.joinpath(*key[start:])):
                if start < len(key) and path.is_file():
                    return path
    return None


def _upwards(path: Path, top: Path) -> Iterator[Path]:
    yield path
    while path != top and top in path.parents:
        path = path.parent
        yield path


def _spellings(path: Path) -> Iterator[Path]:
    """As delivered, or unpacked."""
    yield path
    if path.suffix.lower() in (".gz", ".zip"):
        yield path.with_suffix("")


def _grounds(manifest: Manifest, folder: Path) -> set[Path]:
    """The folders that hold a report's files of one period, all versions: the period's folder, else the files' own."""
    grounds = set()
    files = (_find(manifest, _key_parts(key), folder) for key in manifest.keys)
    for path in (manifest.path, *filter(None, files)):
        above = list(_upwards(path.parent, folder))
        grounds.add(next((one for one in above if _PERIOD_FOLDER.fullmatch(one.name)), above[0]))
    return grounds


def _is_data(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(_DATA_SUFFIXES)


def _unreadable(path: Path, what: str) -> UnreadableError:
    return UnreadableError(f"{what}.", where=str(path), hint="Download the manifest again.")
