"""A file that can't be read and a reader that can't read are told apart, and each gets its own advice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlay.errors import UnreadableError
from outlay.hookspecs import hookimpl
from outlay.ledger.engine.duckdb import session
from outlay.plugins import plugin_manager
from outlay.sources.find import find_bills
from outlay.sources.parser_errors import reading
from outlay.sources.raw import RawFile
from outlay.sources.reader import Format, RowMapping
from outlay.sources.typed import Bill


class BrokenReader:
    """A plugin whose SQL names a column that the file lacks."""

    format = Format("broken", "A broken reader", "nothing")

    def recognises(self, raw: RawFile) -> bool:
        return raw.find("broken") is not None

    def mapping(self, raw: RawFile) -> RowMapping:
        return RowMapping("broken", {"BilledCost": '"nowhere"'}, {})

    @hookimpl
    def outlay_readers(self) -> list[BrokenReader]:
        return [self]


@pytest.fixture
def broken() -> Iterator[BrokenReader]:
    reader = BrokenReader()
    manager = plugin_manager()
    manager.register(reader)
    yield reader
    manager.unregister(reader)


def test_a_plugins_bad_sql_is_the_plugins_fault(broken: BrokenReader, tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    path.write_text("broken,amount\n1,2\n", encoding="utf-8")
    ((found,), _) = find_bills([path])
    with (
        pytest.raises(UnreadableError) as caught,
        reading(path, found.reader),
        session() as connection,
    ):
        Bill.of(connection, found.raw, found.reader.mapping(found.raw))
    assert re.search(r"the format 'broken' .*\(Binder Error: .*\"nowhere\"", caught.value.what)
    assert "\n" not in caught.value.what
    assert caught.value.hint == "The file may be fine: report it to the reader's author."
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("sql", "reader_is_wrong"),
    [
        ("SELECT nothing FROM range(3)", True),
        ("SELECT no_such_function(1)", True),
        ("SELECT 1 +", True),
        ("SELECT CAST('many' AS INTEGER)", False),
        ("SELECT count(*) FROM read_parquet('there-is-no-such-file.parquet')", False),
    ],
)
def test_sql_that_does_not_compile_is_no_bad_file(sql: str, reader_is_wrong: bool) -> None:
    with pytest.raises(UnreadableError) as caught, reading(Path("bill.csv")), session() as connection:
        connection.execute(sql)
    wanted = "report it to the reader's author" if reader_is_wrong else "Export it again"
    assert wanted in (caught.value.hint or "")
