"""outlay.toml is read strictly: unknown keys offer the nearest, money is never a float, and no file is needed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from outlay import __version__
from outlay.config import Settings, load_settings
from outlay.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "outlay.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load_settings()

    assert settings == Settings()
    assert settings.tags.required == ("model", "team", "use_case", "environment")


def test_the_file_of_the_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 'currency = "EUR"\n')
    monkeypatch.chdir(tmp_path)

    assert load_settings().currency == "EUR"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"missing\.toml: can't be read: No such file or directory\. Check --config\."
    ):
        load_settings(tmp_path / "missing.toml")


def test_settings_are_read(tmp_path: Path) -> None:
    settings = load_settings(
        write(
            tmp_path,
            '[tags]\nsince = 2026-10-01\nrequired = ["team"]\n[tags.aliases]\nteam = ["owner"]\n'
            '[[teams]]\nid = "search"\n[overspend]\nminimum_saving = "12.50"\nstable_change = 1\n',
        )
    )

    assert settings.tags.aliases == {"team": ("owner",)}
    assert settings.teams[0].id == "search"
    assert settings.overspend.minimum_saving == Decimal("12.50")
    assert settings.overspend.stable_change == Decimal(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('curency = "USD"', r"unknown key 'curency'\. Did you mean 'currency'\?"),
        ("[tags]\nrequird = []", r"unknown key 'tags\.requird'\. Did you mean 'required'\?"),
        ('[[teams]]\nid = "a"\nfinanse = "x"', r"unknown key 'teams\.0\.finanse'\. Did you mean 'finance'\?"),
        ("[overspend]\nstable_week = 9", r"unknown key 'overspend\.stable_week'\. Did you mean 'stable_weeks'"),
    ],
)
def test_an_unknown_key_offers_the_nearest(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ('[[budgets]]\nid = "search-monthly"\namount = "25000"', "budgets"),
    ],
)
def test_a_section_of_a_later_version_is_no_typing_error(tmp_path: Path, text: str, section: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"'{section}' is not supported by this version yet \({__version__}\)"
    ) as found:
        load_settings(write(tmp_path, text))
    assert "unknown key" not in str(found.value)
    assert "Did you mean" not in str(found.value)


def test_a_key_called_like_such_a_section_is_still_unknown_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'tags\.budgets'"):
        load_settings(write(tmp_path, "[tags]\nbudgets = []"))


def test_a_float_is_no_money(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'overspend\.minimum_saving': .*write the amount as a string, \"0\.1\""):
        load_settings(write(tmp_path, "[overspend]\nminimum_saving = 0.1\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('currency = "dollars"', "'currency'"),
        ("[overspend]\nstable_weeks = 1", r"'overspend\.stable_weeks'"),
        ('tags = "team"', "'tags'"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(write(tmp_path, text))


@pytest.mark.parametrize("content", [b"currency = ", b'currency = "\xff"'])
def test_what_is_no_toml_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "outlay.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_settings(path)


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().currency = "EUR"  # type: ignore[misc]


@pytest.mark.parametrize("tags", [["Team", "team"], ["team", "cost", "team"]])
def test_tags_that_are_one_column_are_refused_by_name(tmp_path: Path, tags: list[str]) -> None:
    with pytest.raises(ConfigError, match=rf"'tags\.required': .*'{tags[0]}' and '{tags[-1]}' are one tag"):
        load_settings(write(tmp_path, f"[tags]\nrequired = {tags}\n"))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            'when = { api_kye = "k" }\nset = { team = "a" }',
            r"unknown key 'allocations\.0\.when\.api_kye'\. Did you mean 'api_key'\?",
        ),
        (
            'wehn = { api_key = "k" }\nset = { team = "a" }',
            r"unknown key 'allocations\.0\.wehn'\. Did you mean 'when'\?",
        ),
        (
            'when = { api_key = "k" }\nset = { taem = "a" }',
            r"entry 1 sets 'taem', which is no tag .* Did you mean 'team'\?$",
        ),
        ('when = { api_key = "k" }\nset = { team = " " }', r"gives 'team' no value"),
        ('when = { api_key = "k" }\nset = {}', r"allocations\.0\.set"),
        ('when = {}\nset = { team = "a" }', r"says nothing, so it would fit every row"),
        ('when = { api_key = [] }\nset = { team = "a" }', r"allocations\.0\.when\.api_key"),
    ],
)
def test_an_allocation_that_would_do_nothing_or_too_much_is_refused(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(write(tmp_path, f"[[allocations]]\n{entry}\n"))


def test_one_value_of_an_allocation_is_a_list_of_one(tmp_path: Path) -> None:
    path = write(tmp_path, '[[allocations]]\nwhen = { api_key = "k", project = ["p", "q"] }\nset = { team = "a" }\n')
    (one,) = load_settings(path).allocations
    assert one.when.given == {"api_key": ("k",), "project": ("p", "q")}
    assert one.set == {"team": "a"}
