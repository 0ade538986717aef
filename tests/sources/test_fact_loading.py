"""Facts come in whole or not at all, what is told again replaces what was known of it, and nothing is counted twice."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.config import PriceSettings, Settings, TagSettings
from outlay.errors import LedgerError, ReconciliationError, UnreadableError, UsageError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import FACT_TABLES, Ledger
from outlay.ledger.tables.requests import REQUESTS
from outlay.prices import genai
from outlay.prices.request_costs import priced_sql
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import normalise
from outlay.sources import fact_loading
from outlay.sources.facts import Fact, Value
from outlay.sources.find import find
from outlay.sources.loading import load
from tests.shared import shared
from tests.sources.focus_bills import outlay_process, row, run_outlay, write_csv

DAY = 86_400
FIRST = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
OUTCOMES = "date,use_case,measure,value,unit,team\n"


def asked(ledger: Path, table: str, sql: str, *, as_of: str | None = None) -> list[tuple[Any, ...]]:
    """What a query over a table of facts gives."""
    with session() as connection:
        Ledger(ledger).register_facts(connection, FACT_TABLES[table], Settings().tags.required, as_of=as_of)
        return connection.execute(sql).fetchall()


def page(path: Path, days: dict[int, int], *, kind: str = "completions", model: str = "gpt-5") -> Path:
    """A page of OpenAI's usage report: input tokens of each day; a day of 0 has a bucket without results."""
    result = {"object": f"organization.usage.{kind}.result", "num_model_requests": 1, "model": model}
    buckets = [
        {
            "object": "bucket",
            "start_time": FIRST + day * DAY,
            "end_time": FIRST + (day + 1) * DAY,
            "results": [{**result, "input_tokens": tokens, "output_tokens": 1}] if tokens else [],
        }
        for day, tokens in days.items()
    ]
    path.write_text(json.dumps({"object": "page", "data": buckets, "has_more": False, "next_page": None}))
    return path


def outcomes(path: Path, *rows: str) -> Path:
    path.write_text(OUTCOMES + "".join(f"{row}\n" for row in rows))
    return path


def test_a_report_of_a_window_replaces_what_was_told_of_it_and_no_more(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [page(tmp_path / "a.json", {0: 10, 1: 20, 2: 30})], Settings())
    load(Ledger(ledger), [page(tmp_path / "e.json", {1: 7}, kind="embeddings")], Settings())

    again = load(Ledger(ledger), [page(tmp_path / "b.json", {1: 25, 2: 0})], Settings())

    assert again.rows_replaced == 2
    found = asked(ledger, "requests", "SELECT x_Report, day(start_time), gen_ai_usage_input_tokens FROM requests")
    assert sorted(found) == [("completions", 1, 10), ("completions", 2, 25), ("embeddings", 2, 7)]


def test_a_row_told_again_replaces_the_one_known_wherever_it_lies(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    head = "alert_id,budget,threshold,crossed_at,acted_at\n"
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(head + "a-1,llm,0.8,2026-09-30T23:00:00Z,\na-2,llm,0.8,2026-09-30T23:00:00Z,\n")
    second.write_text(head + "a-1,llm,0.8,2026-10-01T01:00:00Z,2026-10-02T00:00:00Z\n")
    load(Ledger(ledger), [first], Settings())

    report = load(Ledger(ledger), [second], Settings())

    assert report.rows_replaced == 1
    sql = "SELECT x_AlertId, x_Month, acted_at IS NULL FROM alerts ORDER BY 1"
    assert asked(ledger, "alerts", sql) == [("a-1", "2026-10", False), ("a-2", "2026-09", True)]


def test_the_same_content_again_changes_nothing(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    file = page(tmp_path / "a.json", {0: 10})
    first = load(Ledger(ledger), [file], Settings())
    moved = Path(shutil.copy(file, tmp_path / "moved.json"))

    second = load(Ledger(ledger), [moved], Settings())
    third = load(Ledger(ledger), [moved], Settings(), again=True)

    assert (first.changed, second.changed, third.changed) == (True, False, True)
    assert (second.version, third.rows_replaced) == (first.version, 1)
    assert asked(ledger, "requests", "SELECT count(*) FROM requests") == [(1,)]


def test_content_that_a_later_load_replaced_stays_so_and_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    first, second = page(tmp_path / "a.json", {0: 10, 1: 20}), page(tmp_path / "b.json", {1: 25})
    for file in (first, second):
        load(ledger, [file], Settings())
    report = load(ledger, [first], Settings())
    assert not report.changed
    assert report.notes == (
        "This content was loaded before, as version 1 of requests, and a later load has replaced it in part or whole; "
        "it stays replaced. To bring it back: --again.",
    )
    assert load(ledger, [second], Settings()).notes == ()
    assert load(ledger, [first], Settings(), again=True).changed
    assert asked(ledger.path, "requests", "SELECT sum(gen_ai_usage_input_tokens) FROM requests") == [(30,)]


def test_what_the_files_tell_twice_is_there_once_as_told_last(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    first = outcomes(tmp_path / "a.csv", "2026-10-01,support,tickets,1,tickets,search")
    second = outcomes(tmp_path / "b.csv", "2026-10-01,support,tickets,2,tickets,search")

    report = load(Ledger(ledger), [first, second], Settings())

    assert asked(ledger, "outcomes", "SELECT x_Value FROM outcomes") == [(Decimal(2),)]
    assert any("1 rows of outcomes were told again within these files" in note for note in report.notes)


def test_of_two_reports_of_one_window_in_a_load_the_last_holds(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    files = [page(tmp_path / "a.json", {0: 10, 1: 20}), page(tmp_path / "b.json", {1: 25}, model="gpt-5-mini")]

    report = load(Ledger(ledger), files, Settings())

    sql = "SELECT gen_ai_response_model, gen_ai_usage_input_tokens FROM requests ORDER BY start_time"
    assert asked(ledger, "requests", sql) == [("gpt-5", 10), ("gpt-5-mini", 25)]
    assert any("1 rows of requests were told again within these files" in note for note in report.notes)


def hours(path: Path, first: int, last: int, tokens: int = 1) -> Path:
    """OpenAI's usage report by the hour, hours from 1 October on, the last one exclusive."""
    said = json.loads(page(path, dict.fromkeys(range(first, last), tokens)).read_text())
    for hour, bucket in zip(range(first, last), said["data"], strict=True):
        bucket |= {"start_time": FIRST + hour * 3600, "end_time": FIRST + (hour + 1) * 3600}
    path.write_text(json.dumps(said))
    return path


def test_hours_replace_a_day_when_they_tell_all_of_it_and_are_refused_when_they_do_not(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    total = "SELECT count(*), sum(gen_ai_usage_input_tokens) FROM requests"
    load(Ledger(ledger), [page(tmp_path / "days.json", {0: 100, 1: 200})], Settings())
    with pytest.raises(LedgerError, match=r"1 rows of openai-usage .* wider than what these files tell"):
        load(Ledger(ledger), [hours(tmp_path / "late.json", 20, 24)], Settings())
    assert asked(ledger, "requests", total) == [(2, 300)]

    halves = [hours(tmp_path / "a.json", 0, 12, 3), hours(tmp_path / "b.json", 12, 24, 4)]
    load(Ledger(ledger), halves, Settings())
    assert asked(ledger, "requests", total) == [(25, 200 + 12 * 7)]
    load(Ledger(ledger), [page(tmp_path / "again.json", {0: 90})], Settings())
    assert asked(ledger, "requests", total) == [(2, 290)]


def test_files_of_one_load_that_tell_a_part_of_a_day_are_refused_and_those_that_tell_all_of_it_are_not(
    tmp_path: Path,
) -> None:
    day, late = page(tmp_path / "day.json", {0: 100}), hours(tmp_path / "late.json", 20, 24)
    with pytest.raises(UnreadableError, match=r"day\.json: has a row of 2026-10-01 00:00:00 to 2026-10-02 00:00:00"):
        load(Ledger(tmp_path / "ledger"), [day, late], Settings())
    load(Ledger(tmp_path / "ledger"), [day, hours(tmp_path / "early.json", 0, 20), late], Settings())
    rows = asked(tmp_path / "ledger", "requests", "SELECT count(*), sum(gen_ai_usage_input_tokens) FROM requests")
    assert rows == [(24, 24)]


def scrapes(path: Path, first: int, last: int, use: int, pod: str = "p1") -> Path:
    """A scrape a minute of one card, minutes after 6:00."""
    name = "DCGM_FI_DEV_GPU_UTIL"
    labels = f'gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",Hostname="n1",pod="{pod}"'
    text = [
        f'# scraped 2026-10-01T06:{minute:02}:00Z\n# TYPE {name} gauge\n{name}{{{labels},namespace="ns"}} {use}\n'
        for minute in range(first, last + 1)
    ]
    path.write_text("".join(text))
    return path


def test_a_cards_time_is_counted_once_whoever_held_it_and_overlaps_are_refused(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    hours = "SELECT sum(x_AllocatedHours), string_agg(DISTINCT x_Holder) FROM gpu_usage"
    halves = [scrapes(tmp_path / "a.prom", 0, 20, 90), scrapes(tmp_path / "b.prom", 20, 40, 10)]
    load(Ledger(ledger), halves, Settings())
    two_thirds = [(pytest.approx(Decimal(2) / 3), "p1")]
    assert asked(ledger, "gpu_usage", hours) == two_thirds

    with pytest.raises(LedgerError, match="wider than what these files tell"):
        load(Ledger(ledger), [scrapes(tmp_path / "c.prom", 10, 30, 50)], Settings())
    assert asked(ledger, "gpu_usage", hours) == two_thirds

    load(Ledger(ledger), [scrapes(tmp_path / "d.prom", 0, 45, 50, pod="p2")], Settings())
    assert asked(ledger, "gpu_usage", hours) == [(Decimal("0.75"), "p2")]


def test_a_report_of_which_nothing_can_be_used_replaces_nothing(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [page(tmp_path / "a.json", {0: 10})], Settings())
    report = load(Ledger(ledger), [page(tmp_path / "b.json", {0: -5})], Settings())
    assert (report.files[0].rows_rejected, report.rows_replaced) == (1, 0)
    assert (report.changed, report.version) == (False, 1), "nothing changed, so there is no new version"
    code, out, _ = run_outlay("load", tmp_path / "b.json", "--ledger", ledger)
    assert code == 3
    assert "Nothing in these files is of use to the table requests; nothing changed (version 1)." in out
    assert asked(ledger, "requests", "SELECT sum(gen_ai_usage_input_tokens) FROM requests") == [(10,)]


def test_a_report_that_says_nothing_now_replaces_what_was_told_of_its_time(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    before = [page(tmp_path / "a.json", {0: 10, 1: 20}), page(tmp_path / "e.json", {1: 7}, kind="embeddings")]
    load(Ledger(ledger), before, Settings())
    empty = page(tmp_path / "b.json", {1: 0})
    untold = load(Ledger(ledger), [empty], Settings())
    assert (untold.changed, [one.code for one in untold.files[0].problems]) == (False, ["report-not-told"])
    empty.write_text(json.dumps(json.loads(empty.read_text()) | {"report": "completions"}))

    report = load(Ledger(ledger), [empty], Settings())

    assert (report.changed, report.rows_replaced, report.files[0].rows_loaded) == (True, 1, 0)
    found = asked(ledger, "requests", "SELECT x_Report, day(start_time) FROM requests ORDER BY 1")
    assert found == [("completions", 1), ("embeddings", 2)]


@pytest.mark.parametrize("more", [{"object": "page"}, {}, {"object": "page", "report": "costs"}])
def test_pages_without_a_bucket_are_refused_and_passed_over_in_a_folder(tmp_path: Path, more: dict[str, str]) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    path = exports / "empty.jsonl"
    path.write_text((json.dumps({"data": [], "has_more": False, "next_page": None} | more) + "\n") * 2)
    code, _, err = run_outlay("load", path, "--ledger", tmp_path / "ledger")
    assert code == 2
    assert "empty.jsonl: is a report without a single bucket of time: there is nothing to load" in err
    page(exports / "a.json", {0: 10})
    report = load(Ledger(tmp_path / "ledger"), [exports], Settings())
    assert len(report.files) == 1
    assert len(report.skipped) == 1


def test_two_sources_of_one_format_are_apart_when_named(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for name, tokens in (("org-a", 10), ("org-b", 20)):
        load(Ledger(ledger), [page(tmp_path / f"{name}.json", {0: tokens})], Settings(), source=name)

    sql = "SELECT x_Source, gen_ai_usage_input_tokens FROM requests ORDER BY 1"
    assert asked(ledger, "requests", sql) == [("org-a", 10), ("org-b", 20)]


def test_an_earlier_time_shows_what_was_known_then(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [page(tmp_path / "a.json", {0: 10})], Settings())
    at = Ledger(ledger).facts(REQUESTS).history()[0].at
    load(Ledger(ledger), [page(tmp_path / "b.json", {0: 99})], Settings())

    sql = "SELECT gen_ai_usage_input_tokens FROM requests"
    assert asked(ledger, "requests", sql, as_of=f"{at.isoformat()}Z") == [(10,)]
    assert asked(ledger, "requests", sql) == [(99,)]
    assert asked(ledger, "requests", sql, as_of="2020-01-01") == []


def test_each_row_is_priced_as_one_call_is(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [page(tmp_path / "a.json", {0: 1_000_000, 1: 2_000})], Settings())

    rows = asked(
        ledger,
        "requests",
        "SELECT start_time, gen_ai_usage_input_tokens, gen_ai_usage_output_tokens, x_Cost, x_PriceStatus, "
        "x_PriceVersion FROM requests ORDER BY 1",
    )

    assert len(rows) == 2
    for at, given, answered, cost, status, version in rows:
        usage = normalise("openai", {"input_tokens": given, "output_tokens": answered})
        priced = TokenPrices().price(usage, "openai", "gpt-5", at)
        assert (cost, status, version) == (priced.cost, priced.status, priced.price_version)


def test_what_is_assumed_is_marked_and_never_put_over_what_is_told(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    told = page(tmp_path / "a.json", {0: 10})
    untold = tmp_path / "b.csv"
    untold.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n")

    load(Ledger(ledger), [told, untold], Settings(), assume={"provider": "openai", "model": "gpt-4o-mini"})

    sql = "SELECT gen_ai_request_model, contains(coalesce(x_Remarks, ''), 'assumed'), x_Cost FROM requests ORDER BY 1"
    found = asked(ledger, "requests", sql)
    assert [row[:2] for row in found] == [("gpt-4o-mini", True), ("gpt-5", False)]
    assert found[0][2] == 374 * Decimal("0.00000015") + 44 * Decimal("0.0000006")
    with pytest.raises(UsageError, match="'modle' can't be assumed"):
        load(Ledger(ledger), [told], Settings(), assume={"modle": "x"})


@pytest.mark.parametrize(
    ("trace", "rows", "given", "answered"),
    [
        ("AzureLLMInferenceTrace_conv.csv", 19_366, 22_361_870, 4_088_665),
        ("mooncake_conversation_trace.jsonl", 12_031, 144_793_823, 4_122_048),
    ],
)
def test_public_traces_are_loaded_and_priced(tmp_path: Path, trace: str, rows: int, given: int, answered: int) -> None:
    """Counts as published; the cost is the tokens at the price of an assumed model, by hand."""
    ledger = tmp_path / "ledger"
    assume = {"provider": "openai", "model": "gpt-4o-mini"}
    load(Ledger(ledger), [shared(f"data/llm_traces/{trace}")], Settings(), assume=assume)

    sql = (
        "SELECT count(*), sum(gen_ai_usage_input_tokens)::BIGINT, sum(gen_ai_usage_output_tokens)::BIGINT, "
        "sum(x_Cost), count(*) FILTER (WHERE x_PriceStatus = 'priced') FROM requests"
    )
    cost = given * Decimal("0.00000015") + answered * Decimal("0.0000006")
    assert asked(ledger, "requests", sql) == [(rows, given, answered, cost, rows)]


def test_an_unknown_model_is_unpriced_and_never_free(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [page(tmp_path / "a.json", {0: 10}, model="no-such-model-1")], Settings())

    assert asked(ledger, "requests", "SELECT x_PriceStatus, x_Cost FROM requests") == [("unpriced", None)]


def test_contract_prices_of_the_settings_win_and_a_new_one_reprices_only_what_is_loaded_again(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    file = page(tmp_path / "a.json", {0: 1_000_000})
    contract = tmp_path / "prices.csv"
    contract.write_text("provider,model,meter,unit_price,per\nopenai,gpt-5,input,1.00,1000000\n")
    load(Ledger(ledger), [file], Settings())
    listed = asked(ledger, "requests", "SELECT x_Cost FROM requests")

    priced = Settings(prices=PriceSettings(tokens=(contract,)))
    other = page(tmp_path / "b.json", {1: 1_000_000})
    load(Ledger(ledger), [other], priced)

    sql = "SELECT x_Cost, contains(x_PriceVersion, 'prices.csv') FROM requests ORDER BY start_time"
    assert asked(ledger, "requests", sql) == [(listed[0][0], False), (Decimal("1.00001"), True)]


def test_contract_prices_in_another_currency_load_and_are_never_added_to_the_lists(tmp_path: Path) -> None:
    contract = tmp_path / "contract.csv"
    contract.write_text("provider,model,meter,unit_price,per,currency\nopenai,gpt-5,input,1,1000000,EUR\n")
    report = page(tmp_path / "a.json", {0: 1_000_000})
    only_input = page(tmp_path / "b.json", {1: 1_000_000})
    only_input.write_text(only_input.read_text().replace('"output_tokens": 1', '"output_tokens": 0'))
    ledger = Ledger(tmp_path / "ledger")
    settings = Settings(prices=PriceSettings(tokens=(contract,)))
    (table,) = load(ledger, [report, only_input], settings).tables
    found = asked(
        ledger.path, "requests", "SELECT x_PriceStatus, x_Cost, x_CostCurrency FROM requests ORDER BY start_time"
    )
    assert found == [("unpriced", None, None), ("priced", Decimal(1), "EUR")]
    assert table.notes == (
        "1 row of gpt-5 is unpriced: what is counted has prices in EUR and USD, which can't be added. Give all prices "
        "of the model in one currency with --prices or [prices].",
    )


def test_the_price_lists_that_rows_rest_on_are_in_the_ledger_whole_and_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    contract = tmp_path / "our prices.csv"
    contract.write_text("provider,model,meter,unit_price,per\nopenai,gpt-5,input,1.00,1000000\n")
    load(ledger, [page(tmp_path / "a.json", {0: 1_000_000})], Settings())
    settings = Settings(prices=PriceSettings(tokens=(contract,)))
    load(ledger, [page(tmp_path / "b.json", {1: 1_000_000})], settings)
    load(ledger, [page(tmp_path / "c.json", {2: 1_000_000})], settings)

    with session() as connection:
        ledger.prices().view(connection, ledger.price_columns(), version=None)
        lists = connection.execute(
            "SELECT x_List, count(DISTINCT x_Version), count(*) FROM prices GROUP BY 1"
        ).fetchall()
        row = connection.execute(
            "SELECT unit_price FROM prices WHERE x_List = 'genai-prices' AND provider = 'openai' AND model = 'gpt-5' "
            "AND meter = 'input' AND \"when\" = '' AND (valid_to IS NULL OR valid_to > TIMESTAMP '2026-10-01')"
        ).fetchall()
    assert sorted(lists) == [("genai-prices", 1, len(list(genai.all_rows()))), ("our-prices.csv", 1, 1)]
    assert row == [(Decimal("0.00000125"),)]


def test_tags_become_columns_however_they_are_spelt(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    file = tmp_path / "outcomes.csv"
    file.write_text("date,use_case,measure,value,unit,Owner\n2026-10-01,support,tickets,1,tickets,search\n")
    tags = TagSettings(required=("team",), aliases={"team": ("owner",)})

    load(Ledger(ledger), [file], Settings(tags=tags))

    with session() as connection:
        Ledger(ledger).register_facts(connection, FACT_TABLES["outcomes"], ["team"])
        assert connection.execute("SELECT x_Tag_team FROM outcomes").fetchall() == [("search",)]


def test_bad_rows_are_kept_out_listed_and_exit_with_3(tmp_path: Path) -> None:
    file = outcomes(
        tmp_path / "o.csv", "2026-10-01,support,tickets,many,tickets,a", "2026-10-01,support,tickets,3,tickets,a"
    )

    status, out, _ = run_outlay("load", file, "--ledger", tmp_path / "ledger", "--json")

    (said,) = json.loads(out)["loads"]
    assert status == 3
    assert (said["table"], said["rows_loaded"], said["rows_rejected"]) == ("outcomes", 1, 1)
    assert said["quantities"] == {"x_Value": "3"}
    assert [(p["first_line"], p["count"]) for p in said["problems"]] == [(2, 1)]
    assert list((tmp_path / "ledger/quarantine").glob("*.parquet"))


def test_a_value_that_its_column_cannot_hold_is_a_problem_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = page(tmp_path / "a.json", {0: 10})
    (one,) = find([file]).facts
    good: dict[str, Value] = {"start_time": datetime(2026, 10, 1), "x_Kind": "call"}
    told = [
        Fact("1", 1, good),
        Fact("2", 2, {**good, "gen_ai_usage_input_tokens": 1 << 63}),
        Fact("3", 3, {**good, "x_Kind": "guess"}),
        Fact("4", 4, {"x_Kind": "call"}),
        Fact("5", 5, {"start_time": datetime(2026, 10, 1)}),
        Fact("6", 6, {**good, "x_User": "\ud800"}),
    ]
    monkeypatch.setattr(type(one.reader), "facts", lambda *_: iter(told))

    report = load(Ledger(tmp_path / "ledger"), [file], Settings())

    codes = {p.first_line: p.code for p in report.files[0].problems}
    assert codes == {2: "unfit-value", 3: "unfit-value", 4: "missing-time", 5: "missing-value", 6: "unfit-value"}
    assert report.files[0].rows_loaded == 1


def test_long_numbers_are_summed_and_rounded_to_their_column_and_absurd_ones_kept_out(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    long = "12345678901.1234567890123456789"
    days = [f"2026-10-{day:02},support,revenue,{long},USD,a" for day in range(1, 20)]
    load(Ledger(ledger), [outcomes(tmp_path / "o.csv", *days)], Settings())
    each = Decimal("12345678901.123456789012345679")
    assert asked(ledger, "outcomes", "SELECT DISTINCT x_Value FROM outcomes") == [(each,)]

    log: dict[str, Any] = {"request_id": "r", "startTime": "2026-10-01T00:00:00Z", "model": "gpt-4o-mini"}
    log |= {"endTime": "2026-10-01T00:00:01Z", "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    log |= {"custom_llm_provider": "openai", "api_key": "k", "spend": "@", "metadata": {}, "call_type": "acompletion"}
    file = tmp_path / "spend.jsonl"
    file.write_text(json.dumps(log).replace('"@"', "1e999999999") + "\n")
    (report,) = load(Ledger(ledger), [file], Settings()).files
    assert (report.rows_loaded, [one.code for one in report.problems]) == (0, ["unparsable-amount"])


def test_rows_that_get_lost_on_the_way_commit_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [page(tmp_path / "a.json", {0: 10})], Settings())
    monkeypatch.setattr(
        fact_loading, "priced_sql", lambda *given: f"SELECT * FROM ({priced_sql(*given)}) WHERE day(start_time) = 2"
    )

    with pytest.raises(ReconciliationError, match="read 2 rows"):
        load(Ledger(ledger), [page(tmp_path / "b.json", {1: 5, 2: 6})], Settings())

    assert asked(ledger, "requests", "SELECT gen_ai_usage_input_tokens FROM requests") == [(10,)]
    assert len(list((ledger / "requests").rglob("*.parquet"))) == 1


def test_bills_and_facts_of_one_folder_go_where_they_belong(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    write_csv(folder / "bill.csv", [row()])
    page(folder / "usage.json", {0: 10})
    outcomes(folder / "outcomes.csv", "2026-10-01,support,tickets,1,tickets,a")

    report = load(Ledger(tmp_path / "ledger"), [folder], Settings())

    assert [(t.table, len(t.files), t.changed) for t in report.tables] == [
        ("costs", 1, True),
        ("requests", 1, True),
        ("outcomes", 1, True),
    ]


def test_loads_of_one_source_at_once_both_get_in_and_the_same_content_once(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    days = [page(tmp_path / f"{day}.json", {day: day + 1}) for day in range(3)]
    files = [*days, Path(shutil.copy(days[0], tmp_path / "twin.json"))]
    processes = [outlay_process("load", file, "--ledger", ledger, "--json") for file in files]
    changed = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        changed.append(json.loads(out)["changed"])

    assert sorted((changed[0], changed[3])) == [False, True]
    assert changed[1:3] == [True, True]
    sql = "SELECT gen_ai_usage_input_tokens FROM requests ORDER BY 1"
    assert asked(ledger, "requests", sql) == [(1,), (2,), (3,)]


@pytest.mark.slow
def test_a_killed_load_is_all_or_nothing(tmp_path: Path) -> None:
    base = tmp_path / "base"
    days = 20_000 // 24

    def told(path: Path, tokens: int) -> Path:
        return page(path, dict.fromkeys(range(days), tokens))

    load(Ledger(base), [told(tmp_path / "a.json", 1)], Settings())
    file = told(tmp_path / "b.json", 2)
    held = {False: (days, days), True: (days, 2 * days)}
    seen = set()
    for number, moment in enumerate(_moments(base, file, tmp_path / "measured")):
        ledger = tmp_path / f"ledger-{number}"
        shutil.copytree(base, ledger)
        process = outlay_process("load", file, "--ledger", ledger, "--json")
        time.sleep(moment)
        process.kill()
        process.communicate()

        sql = "SELECT count(*), sum(gen_ai_usage_input_tokens)::BIGINT FROM requests"
        found = asked(ledger, "requests", sql)[0]
        assert found in held.values()
        assert load(Ledger(ledger), [file], Settings()).changed == (found == held[False])
        assert asked(ledger, "requests", sql)[0] == held[True]
        if process.returncode == -signal.SIGKILL:
            seen.add(found)
        shutil.rmtree(ledger)
    assert held[False] in seen


def _moments(base: Path, file: Path, ledger: Path) -> Iterator[float]:
    shutil.copytree(base, ledger)
    started = time.monotonic()
    process = outlay_process("load", file, "--ledger", ledger, "--json")
    process.communicate(timeout=120)
    seconds = time.monotonic() - started
    for share in (0.2, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.98):
        yield share * seconds
