"""The documentation is complete, its links lead somewhere, and its examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pytest
from pydantic import BaseModel

from outlay import hookspecs
from outlay.config import (
    NOT_YET,
    AllocationSettings,
    AllocationWhen,
    CacheSettings,
    CommitmentSettings,
    GatewaySettings,
    GuardrailSettings,
    OverspendSettings,
    PoolSettings,
    PriceSettings,
    QuotaSettings,
    RouteSettings,
    ScenarioSettings,
    Settings,
    TagSettings,
    TargetSettings,
    TeamSettings,
    UpstreamSettings,
    load_settings,
)
from outlay.ledger.store import FACT_TABLES
from outlay.ledger.tables.prices import PRICES
from outlay.ledger.tables.recommendations import RECOMMENDATIONS
from outlay.ledger.tables.table import PROVENANCE
from outlay.metrics.catalogue import catalogue
from outlay.metrics.kpis import KPI_IDS
from outlay.optimize.commitments.demand_file import read_demand
from outlay.optimize.commitments.offers.offer_file import FIELDS, read_offers
from outlay.optimize.overspend import overspend
from outlay.plugins import plugin_manager
from outlay.prices.rates import RATE_KINDS, read_rates
from outlay.problems import CATALOGUE

cli = import_module("outlay.cli.main")  # the package exports a function of this name
_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_PAGES = [
    *sorted(_ROOT.glob("*.md")),
    *sorted(_DOCS.rglob("*.md")),
    _ROOT / "bench/README.md",
    _ROOT / "examples/gateway/README.md",
]
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMON = {"--ledger", "--config", "--json", "--help", "-h"}


def _text(relative: str) -> str:
    return (_ROOT / relative).read_text(encoding="utf-8")


def _blocks(relative: str, language: str) -> list[str]:
    return [body for kind, body in _BLOCK.findall(_text(relative)) if kind == language]


def _command(name: str) -> click.Command:
    command = cli._group.get_command(click.Context(cli._group), name)
    assert isinstance(command, click.Command)
    return command


def _parameters(name: str) -> list[click.Parameter]:
    """A command's, and those of the commands that it groups."""

    def of(command: click.Command) -> list[click.Parameter]:
        grouped = command.commands.values() if isinstance(command, click.Group) else ()
        return [*command.params, *(parameter for one in grouped for parameter in of(one))]

    return of(_command(name))


def _section(page: str, heading: str) -> str:
    found = re.search(rf"^## {heading}.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section '## {heading}'"
    return found[0]


def _built_in(hook: str) -> list[object]:
    return [one for found in getattr(plugin_manager().hook, hook)() for one in found]


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_and_option_is_documented(name: str) -> None:
    page = _text("docs/reference/commands.md")
    section = _section(page, f"`outlay {name}")
    for parameter in _parameters(name):
        if isinstance(parameter, click.Option):
            option = parameter.opts[0]
            assert f"`{option}" in (page if option in _COMMON else section), f"{option} of {name} is missing"


def test_every_documented_option_exists() -> None:
    known = {option for name in cli.COMMANDS for p in _parameters(name) for option in p.opts}
    known |= {"--help", "-h", "--version"}
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", _text("docs/reference/commands.md")))
    assert said <= known


@pytest.mark.parametrize(
    ("model", "heading"),
    [
        (Settings, "Top level"),
        (TagSettings, r"`\[tags\]`"),
        (TeamSettings, r"`\[\[teams\]\]`"),
        (AllocationSettings, r"`\[\[allocations\]\]`"),
        (AllocationWhen, r"`\[\[allocations\]\]`"),
        (PriceSettings, r"`\[prices\]`"),
        (TargetSettings, r"`\[\[targets\]\]`"),
        (OverspendSettings, r"`\[overspend\]`"),
        (CommitmentSettings, r"`\[commitments\]`"),
        (ScenarioSettings, r"`\[\[commitments.scenarios\]\]`"),
        (PoolSettings, r"`\[\[commitments.pools\]\]`"),
        (GuardrailSettings, r"`\[commitments.guardrails\]`"),
        (QuotaSettings, r"`\[\[quotas\]\]`"),
        (GatewaySettings, r"`\[gateway\]`"),
        (UpstreamSettings, r"`\[\[gateway.upstreams\]\]`"),
        (RouteSettings, r"`\[\[gateway.routes\]\]`"),
        (CacheSettings, r"`\[gateway.cache\]`"),
    ],
)
def test_every_setting_is_documented_with_its_default(model: type[BaseModel], heading: str) -> None:
    section = _section(_text("docs/reference/settings.md"), heading)
    for name, field in model.model_fields.items():
        if model is Settings and name != "currency":
            continue
        row = re.search(rf"^\| `{name}` \| (.*?) \|", section, re.MULTILINE)
        assert row, f"{name} is missing"
        if field.is_required():
            assert row[1] == "required"
        else:
            default = field.get_default(call_default_factory=True)
            told = default is None or default == {} or isinstance(default, BaseModel)
            values = default if isinstance(default, tuple) else () if told else (default,)
            written = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
            assert all(value in row[1] for value in written), f"the default of {name} is {default}"


def test_every_settings_section_has_a_heading() -> None:
    page = _text("docs/reference/settings.md")
    for name in set(Settings.model_fields) - {"currency"}:
        assert re.search(rf"^## `\[+{name}\]+`", page, re.MULTILINE), name


def test_settings_of_later_versions_are_named_as_such() -> None:
    opening = _text("docs/reference/settings.md").split("\n## ")[0]
    assert [name for name in NOT_YET if f"`{name}`" not in opening] == []
    assert not set(NOT_YET) & set(Settings.model_fields)


def test_every_exit_status_is_documented() -> None:
    section = _section(_text("docs/reference/commands.md"), "Exit status")
    said = {int(status) for status in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    assert said == {0, 1, cli.WRONG, 3, cli.BROKEN, cli.INTERRUPTED}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_percent_is_written_one_way(page: Path) -> None:
    """As the terminal and the report write it: no space before the sign."""
    assert re.findall(r"\d\s+%", page.read_text(encoding="utf-8")) == []


def test_toml_examples_are_valid_settings(tmp_path: Path) -> None:
    examples = _blocks("docs/reference/settings.md", "toml") + _blocks("docs/tutorial.md", "toml")
    assert examples
    for example in examples:
        (tmp_path / "outlay.toml").write_text(example, encoding="utf-8")
        load_settings(tmp_path / "outlay.toml")


def test_price_files_are_read_and_every_rate_is_documented(tmp_path: Path) -> None:
    page = _text("docs/reference/commands.md")
    assert all(f"`{kind}`" in page for kind in RATE_KINDS)
    for example in _blocks("docs/reference/commands.md", "csv") + _blocks("docs/tutorial.md", "csv"):
        (tmp_path / "prices.csv").write_text(example, encoding="utf-8")
        read_rates(tmp_path / "prices.csv")


def test_every_field_of_an_offer_is_documented() -> None:
    page = _text("docs/reference/commitments.md").replace("`", "'").replace("\\|", "|")
    assert [name for name, meaning in FIELDS.items() if f"| '{name}' | {meaning} |" not in page] == []


def test_examples_of_demand_and_offers_are_read(tmp_path: Path) -> None:
    demand, offers = _blocks("docs/reference/commitments.md", "csv")
    (tmp_path / "demand.csv").write_text(demand, encoding="utf-8")
    (tmp_path / "offers.csv").write_text(offers, encoding="utf-8")
    assert [one.hours for one in read_demand(tmp_path / "demand.csv").pools] == [2]
    assert [one.term_months for one in read_offers(tmp_path / "offers.csv")] == [12, 36]


def test_every_problem_is_documented() -> None:
    page = _text("docs/reference/problems.md")
    rejecting, notices = _section(page, "Rows kept out"), _section(page, "Notices")
    for code, kind in CATALOGUE.items():
        row = f"| `{code}` | {kind.meaning} | {kind.hint} |"
        assert row in (rejecting if kind.rejects else notices), f"{code} is missing or says something else"


def test_every_metric_is_documented() -> None:
    page = _text("docs/reference/metrics.md")
    missing = [one for one in catalogue(Settings().tags.required).metrics if f"| `{one}` |" not in page]
    assert [one for one in missing if not one.startswith("tagged_share_")] == []


def test_every_column_of_the_tables_of_facts_is_documented() -> None:
    page = _text("docs/reference/tables.md")
    columns = [*(c for table in FACT_TABLES.values() for c in table.own), *PROVENANCE, *PRICES, *RECOMMENDATIONS]
    missing = [
        c.name for c in columns if not c.name.startswith("x_Meter_") and f"| `{c.name}` | {c.sql_type} |" not in page
    ]
    assert missing == []
    assert [name for name in FACT_TABLES if f"## `{name}`" not in page] == []


def test_every_kpi_is_documented() -> None:
    page = _text("docs/reference/kpis.md")
    assert [one for one in KPI_IDS if f"| `{one}` |" not in page] == []


def test_every_detector_is_documented_in_its_order() -> None:
    detectors = sorted(_built_in("outlay_detectors"), key=lambda one: one.order)  # type: ignore[attr-defined]
    headings = re.findall(r"^## `([^`]+)`", _text("docs/reference/detectors.md"), re.MULTILINE)
    assert headings == [one.id for one in detectors]  # type: ignore[attr-defined]


def test_every_format_has_a_page_and_a_line_in_the_readme() -> None:
    for reader in [*_built_in("outlay_readers"), *_built_in("outlay_fact_readers")]:
        name = reader.format.id  # type: ignore[attr-defined]
        assert (_DOCS / "sources" / f"{name}.md").is_file(), f"docs/sources/{name}.md is missing"
        assert f"| `{name}` |" in _text("README.md")


def test_every_hook_is_documented() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("outlay_")]
    assert hooks
    assert [name for name in hooks if f"| `{name}` |" not in _text("docs/plugins.md")] == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for pair in _LINK.findall(page.read_text(encoding="utf-8")):
        link = pair[0] or pair[1]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {link} has no such heading"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_console_examples_run(page: str, tmp_path: Path) -> None:
    lines = [line for block in _blocks(page, "console") for line in block.splitlines() if line.startswith("$ outlay")]
    assert lines
    environment = {key: value for key, value in os.environ.items() if key != "OUTLAY_LEDGER"}
    for line in lines:
        if "# not run" in line:
            continue
        arguments = shlex.split(line.removeprefix("$ outlay"), comments=True)
        done = subprocess.run(
            [sys.executable, "-m", "outlay", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_example_plugins_work(tmp_path: Path) -> None:
    bill = tmp_path / "acme.csv"
    bill.write_text(_blocks("docs/plugins.md", "csv")[0], encoding="utf-8")
    module = ModuleType("acme_outlay")
    for block in _blocks("docs/plugins.md", "python"):
        exec(compile(block, "docs/plugins.md", "exec"), vars(module))
    manager = plugin_manager()
    manager.register(module)
    try:
        result = overspend([bill], Settings(), read_rates(None))
    finally:
        manager.unregister(module)
    document = result.to_json()
    assert "1900.8" in str(document), document
    assert "acme-without-owner" in str(document), document
