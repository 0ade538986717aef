"""Where LiteLLM's map and the list differ, the difference is found, on the right meter, context and size."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UnreadableError
from outlay.prices.cross_check import CrossCheck, cross_check
from outlay.prices.litellm_map import LitellmMap, read_litellm

_FILE = Path(__file__).parents[1] / "fixtures/prices/litellm/model_prices_and_context_window.json"
_AT = datetime(2026, 11, 1)


@pytest.fixture(scope="module")
def litellm() -> LitellmMap:
    return read_litellm(_FILE)


def found(done: CrossCheck) -> dict[tuple[str, str, int | None], tuple[Decimal, Decimal]]:
    """Per million tokens: ours and theirs."""
    return {
        (one.meter, one.context, one.above): (one.ours * 1_000_000, one.theirs * 1_000_000)
        for one in done.disagreements
    }


def pairs(**prices: tuple[str, str]) -> dict[str, tuple[Decimal, Decimal]]:
    return {meter: (Decimal(ours), Decimal(theirs)) for meter, (ours, theirs) in prices.items()}


def test_the_map_is_read_exactly(litellm: LitellmMap) -> None:
    by_key = {model.key: model for model in litellm.models}
    assert "sample_spec" not in by_key
    assert "azure/standard/1024-x-1024/dall-e-3" not in by_key
    gpt = by_key["gpt-5"]
    assert (gpt.provider, gpt.model) == ("openai", "gpt-5")
    assert gpt.prices["cache_read", "service_tier=flex", None] == Decimal("0.0000000625")
    assert gpt.source == "https://developers.openai.com/api/docs/pricing"
    sol = by_key["gpt-5.6-sol"].prices
    assert sol["cache_write_5m", "processing=batch", 272_000] == Decimal("0.000005")
    bedrock = by_key["global.anthropic.claude-sonnet-4-5-20250929-v1:0"]
    assert (bedrock.provider, bedrock.deprecated) == ("aws", date(2027, 4, 8))
    assert bedrock.prices["cache_write_1h", "", 200_000] == Decimal("0.000012")
    gemini = by_key["gemini/gemini-2.5-pro"]
    assert (gemini.provider, gemini.model) == ("google", "gemini-2.5-pro")


def test_a_tier_that_the_list_lacks_is_a_disagreement_above_its_size(litellm: LitellmMap) -> None:
    """Bedrock's claude-sonnet-4-5 above 200,000 tokens."""
    done = cross_check(litellm, _AT, provider="aws")
    assert (done.models, done.agreements) == (1, 5)
    expected = pairs(
        input=("3", "6"),
        output=("15", "22.5"),
        cache_read=("0.3", "0.6"),
        cache_write_5m=("3.75", "7.5"),
        cache_write_1h=("6", "12"),
    )
    assert found(done) == {(meter, "", 200_000): prices for meter, prices in expected.items()}
    one = done.disagreements[0]
    assert (one.key, one.ratio) == ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Decimal(2))
    assert one.our_source.startswith("genai-prices ")
    assert one.their_source == f"{litellm.version} (https://aws.amazon.com/bedrock/pricing/)"


def test_a_tier_that_the_map_lacks_is_one_too(litellm: LitellmMap) -> None:
    done = cross_check(litellm, _AT, provider="anthropic")
    assert found(done)["input", "", 200_000] == (Decimal(6), Decimal(3))
    assert {above for _, _, above in found(done)} == {200_000}


def test_prices_that_agree_are_counted(litellm: LitellmMap) -> None:
    """gpt-5: input, output and cached input; ordinary, batch, flex and priority."""
    done = cross_check(litellm, _AT, provider="openai", model="gpt-5")
    assert {one.key for one in done.disagreements} == set()
    gpt = cross_check(_only(litellm, "gpt-5"), _AT)
    assert (gpt.agreements, gpt.only_our_prices, gpt.only_their_prices) == (12, 0, 0)


def test_as_of_a_day_before_batch_prices_were_noticed_they_are_the_maps_alone(litellm: LitellmMap) -> None:
    early = cross_check(_only(litellm, "gpt-5"), datetime(2026, 10, 13))
    assert (early.agreements, early.only_their_prices) == (9, 3)


def test_the_day_decides(litellm: LitellmMap) -> None:
    """gpt-5.6-sol's input went from 5 to 4 on 2026-08-21."""
    sol = _only(litellm, "gpt-5.6-sol")
    assert found(cross_check(sol, datetime(2026, 8, 20)))["input", "", None] == (Decimal(5), Decimal(4))
    assert cross_check(sol, _AT).disagreements == ()


def test_an_alias_that_has_moved_on(litellm: LitellmMap) -> None:
    done = cross_check(litellm, _AT, provider="mistral")
    expected = pairs(input=("2", "0.5"), output=("6", "1.5"))
    assert found(done) == {(meter, "", None): prices for meter, prices in expected.items()}
    assert done.only_their_prices == 1  # cached input: ours would be taken as input


def test_a_reseller_whose_batch_prices_are_not_known(litellm: LitellmMap) -> None:
    done = cross_check(litellm, _AT, provider="azure")
    assert (done.agreements, done.disagreements, done.only_their_prices) == (3, (), 6)


def test_what_only_one_has_is_told(litellm: LitellmMap) -> None:
    done = cross_check(litellm, _AT)
    assert done.only_their_models == ("dashscope/qwen-max", "snowflake/claude-3-5-sonnet")
    assert "openai gpt-4o" in done.only_our_models
    assert "openai gpt-5" not in done.only_our_models


def test_what_is_deprecated_by_then_is_left_out(litellm: LitellmMap) -> None:
    old = _only(litellm, "gpt-3.5-turbo")
    assert [cross_check(old, at).models for at in (datetime(2026, 10, 22), datetime(2026, 10, 23))] == [1, 0]


def _only(litellm: LitellmMap, key: str) -> LitellmMap:
    return LitellmMap(tuple(model for model in litellm.models if model.key == key), litellm.version)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"gpt-5": {"input_cost_per_token": 1e-6}}', "\x00", "7"])
def test_another_file_is_unreadable(content: str, tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableError, match=r"map\.json"):
        read_litellm(path)


_ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.dictionaries(
        st.sampled_from(["input_cost_per_token", "deprecation_date", "source", "litellm_provider", "x"]), _ODD
    )
)
def test_an_odd_entry_is_left_out_and_never_raises(entry: dict[str, object]) -> None:
    import tempfile

    sound = {"litellm_provider": "openai", "input_cost_per_token": 0.00000125, "deprecation_date": "soon", "source": 7}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.json"
        path.write_text(json.dumps({"odd": entry, "none": None, "gpt-5": sound}), encoding="utf-8")
        read = read_litellm(path)
    (model,) = (one for one in read.models if one.key == "gpt-5")
    assert (model.deprecated, model.source) == (None, None)
    cross_check(read, _AT, model="odd")
