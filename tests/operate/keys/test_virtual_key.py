"""A key's secret can be told from a lookalike, and what a key is to be is checked before it is made."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.operate.keys.secret import PATTERN, Secret, id_in, is_well_formed, new_id
from outlay.operate.keys.virtual_key import NewKey, VirtualKey
from tests.operate.keys.contract import NOW


def test_a_secret_has_its_form_and_256_bits_of_chance() -> None:
    made = [Secret.new(new_id()).reveal() for _ in range(2000)]

    assert all(re.fullmatch(PATTERN, one) and is_well_formed(one) for one in made)
    assert len({len(one) for one in made}) == 1
    assert len({one[15:-6] for one in made}) == len(made)
    for place in range(16, 58):  # the first of the 43 digits can't be as large as the rest
        assert len({one[place] for one in made}) == 62
    assert all(id_in(one) == one[4:14] for one in made)


def test_the_checksum_is_crc32_in_base_62() -> None:
    body = "olk_kq3v7n2mxa_" + "0" * 43
    left, digits = zlib.crc32(body.encode()), ""
    while left:
        left, digit = divmod(left, 62)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[digit] + digits

    assert is_well_formed(body + digits.rjust(6, "0"))


@given(place=st.integers(15, 63), other=st.sampled_from("0Az"))
def test_one_wrong_character_is_seen(place: int, other: str) -> None:
    secret = Secret.new("kq3v7n2mxa").reveal()
    changed = secret[:place] + other + secret[place + 1 :]

    assert is_well_formed(changed) == (changed == secret)
    assert not is_well_formed(secret[:place])


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret.new("kq3v7n2mxa")

    assert repr(secret) == str(secret) == f"{secret}" == "Secret(olk_kq3v7n2mxa_...)"
    assert secret.hint == secret.reveal()[-4:]


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r", "\x1b[31mred", "\x00", "a\u202eb", "a\u200bb", "\ud800", "tab\t", "\x85", "x" * 201]
)
def test_text_that_could_deceive_a_reader_is_refused(text: str) -> None:
    long = text + "x" * 56
    for name, tags, models in ((text, {}, ()), ("", {"team": long}, ()), ("", {long: "x"}, ()), ("", {}, (text,))):
        with pytest.raises(UsageError) as told:
            NewKey(name, tags, models)
        assert str(told.value).isprintable()


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"key": "x"}, "'key' can't be a tag of a key"),
        ({"Model": "x"}, "'Model' can't be a tag of a key"),
        ({"upstream": "x"}, "'upstream' can't be a tag of a key"),
        ({"use_case": "a", "Use-Case": "b"}, "'use_case' and 'Use-Case' are one tag"),
        ({"": "x"}, "a tag's name is empty"),
        ({"team": " "}, "the tag 'team' is empty"),
        ({f"t{number}": "x" for number in range(33)}, "a key has 32 tags at most, not 33"),
    ],
)
def test_tags_that_would_mislead_a_quota_are_refused(tags: Mapping[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        NewKey(tags=tags)


def test_a_star_stands_at_the_end_of_a_pattern_alone() -> None:
    with pytest.raises(UsageError, match=r"'gpt\*mini' has a \* before its end"):
        NewKey(models=("gpt*mini",))
    with pytest.raises(UsageError, match="the models are 101, and 100 are allowed"):
        NewKey(models=("m",) * 101)
    assert NewKey(models=("*", "gpt-5*")).models == ("*", "gpt-5*")


def test_what_a_key_is_not_for_is_told() -> None:
    key = VirtualKey("kq3v7n2mxa", "", {}, ("gpt-5*", "o3"), ("openai",), NOW)

    assert key.barred(model="gpt-5-mini", upstream="openai") is None
    assert key.barred(model="o3") is None
    assert key.barred(model="o3-pro") == "the key kq3v7n2mxa is not for the model 'o3-pro', but for gpt-5* or o3"
    assert key.barred(model="o3", upstream="x") == "the key kq3v7n2mxa is not for the upstream 'x', but for openai"
    assert VirtualKey("kq3v7n2mxa", "", {}, (), (), NOW).barred(model="any", upstream="any") is None
