"""One synthetic company for all tests here: the smallest round size that holds every plant for a year."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from outlay.demo.company import Company, generate

ROWS = 30_000


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return generate(tmp_path_factory.mktemp("company"), rows=ROWS)


@pytest.fixture(scope="session")
def bills(company: Company) -> Iterator[duckdb.DuckDBPyConnection]:
    """Views ``issued`` (the bills as first issued) and ``bill`` (the corrected month in place of its first issue)."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    replaced = {path.name for path in company.restated}
    kept = [path for path in company.files if path.name not in replaced]
    for name, files in (("issued", company.files), ("bill", (*kept, *company.restated))):
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({_list(files)})")
    yield connection
    connection.close()


def _list(files: tuple[Path, ...] | list[Path]) -> str:
    return "[" + ", ".join(f"'{path}'" for path in files) + "]"
