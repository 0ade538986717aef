"""``outlay keys`` shows a secret once and only when it is made; its JSON is what scripts rely on."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outlay.cli import main
from outlay.operate.keys.secret import PATTERN, is_well_formed

TAGS = ("--team", "search", "--use-case", "chat", "--environment", "prod")


def keys(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """One run in the folder: exit status, stdout, stderr. In this process, as there are many."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        patch.setattr(sys, "argv", ["outlay", "keys", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), err.getvalue()


def answer(folder: Path, *arguments: str) -> Any:
    status, out, err = keys(folder, *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def test_a_key_from_its_making_to_its_end(tmp_path: Path) -> None:
    made = answer(tmp_path, "create", *TAGS, "--tag", "cost_center=47=11", "--name", "bot", "--model", "gpt-5*")
    assert is_well_formed(made["key"])
    assert made["tags"] == {"team": "search", "use_case": "chat", "environment": "prod", "cost_center": "47=11"}
    assert (made["name"], made["models"], made["upstreams"], made["expires"]) == ("bot", ["gpt-5*"], [], None)

    turned = answer(tmp_path, "rotate", made["id"], "--grace", "2h", "--by", "bob")
    assert (turned["id"], turned["state"]) == (made["id"], "rotating")
    assert turned["key"] != made["key"]
    rotated, until = (datetime.fromisoformat(turned[name]) for name in ("rotated", "old_until"))
    assert until - rotated == timedelta(hours=2)

    (one,) = answer(tmp_path, "list")["keys"]
    assert one == {name: value for name, value in turned.items() if name != "key"}

    ended = answer(tmp_path, "revoke", made["id"], "--why", "leaked", "--by", "eve")
    assert (ended["id"], ended["state"]) == (made["id"], "revoked")

    log = answer(tmp_path, "audit")
    assert log["intact"] is True
    assert [(one["action"], one["id"]) for one in log["entries"]] == [
        (action, made["id"]) for action in ("created", "rotated", "revoked")
    ]
    assert [one["who"] for one in log["entries"]][1:] == ["bob", "eve"]
    assert log["entries"][2]["detail"] == {"why": "leaked"}


def test_the_secret_alone_is_on_stdout(tmp_path: Path) -> None:
    status, out, err = keys(tmp_path, "create", *TAGS, "--expires", "90d")
    assert status == 0
    assert re.fullmatch(PATTERN + "\n", out)
    assert "it is not shown again" in err
    secret = out.strip()

    for arguments in (("list",), ("audit",), ("list", "--json"), ("audit", "--json"), ("revoke", secret), ("list",)):
        status, out, err = keys(tmp_path, *arguments)
        assert status == 0
        assert secret[15:] not in out + err
        assert secret[4:14] in out
    assert "revoked" in out


def test_rotating_on_the_terminal(tmp_path: Path) -> None:
    id = answer(tmp_path, "create", *TAGS)["id"]

    status, out, err = keys(tmp_path, "rotate", id)
    assert (status, out[:15]) == (0, f"olk_{id}_")
    assert "The one before it works until" in err
    status, _, err = keys(tmp_path, "rotate", id, "--grace", "0", "--expires", "2999-01-01")
    assert status == 0
    assert "The secret before it works no more." in err
    (one,) = answer(tmp_path, "list")["keys"]
    assert (one["state"], one["expires"], one["old_until"]) == ("active", "2999-01-01T00:00:00Z", None)


def test_required_tags_are_those_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "outlay.toml").write_text('[tags]\nrequired = ["model", "team", "cost_center"]\n', encoding="utf-8")

    status, out, err = keys(tmp_path, "create", "--team", "search")
    assert (status, out) == (2, "")
    assert "the key lacks required tags: cost_center. Give --tag cost_center=VALUE; or --allow-missing-tags" in err
    assert not (tmp_path / "outlay-keys.db").exists()
    assert keys(tmp_path, "create", "--team", "search", "--tag", "cost_center=1")[0] == 0
    status, _, err = keys(tmp_path, "create", "--team", "search", "--allow-missing-tags")
    assert status == 0
    assert "Each call has to bring cost_center itself" in err


def test_the_database_lies_beside_the_settings(tmp_path: Path) -> None:
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    (elsewhere / "outlay.toml").write_text("", encoding="utf-8")
    answer(tmp_path, "create", *TAGS, "--config", "etc/outlay.toml")

    assert [one.name for one in tmp_path.iterdir()] == ["etc"]
    assert len(answer(elsewhere, "list")["keys"]) == 1


def test_without_a_key_yet(tmp_path: Path) -> None:
    assert answer(tmp_path, "list") == {"keys": []}
    status, out, err = keys(tmp_path, "list")
    assert (status, out) == (0, "")
    assert "No keys yet in outlay-keys.db. `outlay keys create` makes one." in err
    for arguments in (("revoke", "kq3v7n2mxa"), ("rotate", "kq3v7n2mxa"), ("audit",)):
        status, _, err = keys(tmp_path, *arguments)
        assert status == 2
        assert "outlay-keys.db: is not there. `outlay keys create` makes it" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", *TAGS, "--expires", "soon"), "--expires: 'soon' is not a date."),
        (("create", *TAGS, "--expires", "2020-01-01"), "would have expired already, at 2020-01-01 00:00 UTC"),
        (("create", *TAGS, "--expires", "999999999d"), "is too far off"),
        (("create", *TAGS, "--expires", "999999999w"), "is too long"),
        (("create", *TAGS, "--tag", "x"), "--tag: 'x' is no tag."),
        (("create", *TAGS, "--tag", "team=x"), "the tag 'team' is given twice."),
        (("create", *TAGS, "--tag", "model=gpt"), "'model' can't be a tag of a key."),
        (("create", *TAGS, "--name", "a\nb"), "the name has a character that can't be printed: 'a\\nb'"),
        (("create", *TAGS, "--by", ""), "who does it is empty"),
        (("rotate", "kq3v7n2mxa", "--grace", "long"), "--grace: 'long' is no time."),
        (("rotate", "kq3v7n2mxa", "--grace", "91d"), "--grace: is not between 0 and 90 days"),
        (("rotate", "kq3v7n2mxa"), "there is no key kq3v7n2mxa."),
        (("revoke", "sk-proj-secret"), "that is no id of a key."),
    ],
)
def test_wrong_use_says_what_to_do_and_changes_nothing(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    if arguments[0] != "create":
        answer(tmp_path, "create", *TAGS)
    before = answer(tmp_path, "list")
    status, out, err = keys(tmp_path, *arguments)

    assert (status, out) == (2, "")
    assert said in err
    assert "sk-proj-secret" not in err
    assert answer(tmp_path, "list") == before


def test_a_log_that_was_changed_is_a_no(tmp_path: Path) -> None:
    answer(tmp_path, "create", *TAGS)
    database = sqlite3.connect(tmp_path / "outlay-keys.db")
    with database:
        database.execute("UPDATE outlay_key_audit SET who = 'nobody'")
    database.close()
    status, out, err = keys(tmp_path, "audit")

    assert status == 1
    assert "(does not fit)" in out
    assert "The log was changed" in err


def test_without_sqlalchemy_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sqlalchemy.py").write_text("raise ImportError('hidden by the test')\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "outlay", "keys", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "virtual keys need the package sqlalchemy. Run: pip install 'outlay[gateway]'" in done.stderr
