"""An evaluation: dominance first, then each way of routing, with intervals and the reasons where there is none."""

from __future__ import annotations

import itertools
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from outlay.errors import UnreadableError, UsageError
from outlay.optimize.routing.document import document
from outlay.optimize.routing.evaluation import evaluate
from outlay.optimize.routing.evidence import evidence_of, read_evidence
from outlay.optimize.routing.pair import CLASSIFIER, LENGTH, ORACLE, RANDOM
from outlay.optimize.routing.wording import dominance_line, sentences
from tests.optimize.routing.logs import hard_prompts, logged


def test_a_small_file_by_hand() -> None:
    found = evaluate(
        logged(
            {"small": [0, 1, 0, 1], "large": [1, 1, 1, 0]},
            {"small": ["0.1", "0.1", "0.1", "0.1"], "large": ["1", "2", "3", "4"]},
            ["aaaa", "b", "ccc", "dd"],
        )
    )
    assert found.dominance.model is None
    (pair,) = found.pairs
    assert (pair.weak, pair.strong, pair.gap) == ("small", "large", 0.25)
    assert (pair.weak_cost, pair.strong_cost) == (Decimal("0.1"), Decimal("2.5"))
    by_length = pair.way(LENGTH)
    # Longest first: gains 1, 1, -1, 0. Half of the gap of 1/4 is half a call of four.
    assert by_length.targets[0].share == pytest.approx(0.125)
    # Half of the first call goes to 'large': (0.4 + 0.9 / 2) / 4.
    assert by_length.targets[0].cost == Decimal("0.2125")
    assert by_length.targets[0].saved == Decimal("2.2875")
    assert by_length.targets[0].saved_share == Decimal("0.915")
    assert pair.way(RANDOM).targets[0].cost == Decimal("1.3")
    assert pair.way(CLASSIFIER).why is not None
    assert pair.way(ORACLE).targets[2].share == pytest.approx(0.2375)
    assert pair.gap_interval is None
    assert any("too few for an interval" in one for one in pair.why)


def test_a_model_that_dominates_is_said_first() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.9
    wrong = right & (rng.random(400) < 0.8)
    found = evaluate(logged({"a": wrong.tolist(), "b": right.tolist()}, {"a": ["0.02"] * 400, "b": ["0.01"] * 400}))
    assert found.dominance.model == "b"
    assert found.dominance.confidence == 1
    assert "Switch to it: there is nothing to route." in dominance_line(found)
    assert found.pairs == ()
    assert found.dominance.standings[0].dominated_by == "b"


def test_dominance_that_may_be_luck_is_said_so() -> None:
    a, b = [1.0, 0.0] * 20, [1.0, 0.0] * 19 + [1.0, 1.0]
    found = evaluate(logged({"a": a, "b": b}, {"a": ["0.01"] * 40, "b": ["0.01"] * 40}))
    assert found.dominance.model == "b"
    # Better on one prompt of 40: a resample without that one is no difference, so the averages are equal in the rest.
    assert found.dominance.confidence == 1
    c = [0.0, 1.0] * 19 + [1.0, 1.0]
    luck = evaluate(logged({"a": a, "c": c}, {"a": ["0.01"] * 40, "c": ["0.01"] * 40}))
    assert luck.dominance.model == "c"
    assert luck.dominance.confidence is not None
    assert luck.dominance.confidence < 0.95
    assert "not sure enough" in dominance_line(luck)


def test_equal_models_do_not_dominate_each_other() -> None:
    found = evaluate(logged({"a": [1, 0], "b": [1, 0]}, {"a": ["1", "1"], "b": ["1", "1"]}))
    assert found.dominance.model is None
    assert found.pairs == ()
    assert found.why == "no model is weaker than 'a': there is no gap to recover."


def test_the_classifier_stands_beside_the_baseline() -> None:
    found = evaluate(hard_prompts(600), resamples=300)
    (pair,) = found.pairs
    mine, length, oracle = pair.way(CLASSIFIER), pair.way(LENGTH), pair.way(ORACLE)
    assert mine.apgr is not None
    assert length.apgr is not None
    assert mine.above_length is not None
    assert mine.above_length[0] > 0
    assert sentences(pair)[0].startswith("The classifier is better than prompt length alone")
    assert "Prompt length is not shown to be better than sending calls at random (0.5)." in sentences(pair)
    for way in (mine, length, oracle):
        for target in way.targets:
            assert target.share_interval is not None
            assert target.share_interval[0] <= target.share <= target.share_interval[1]
            assert target.saved_interval is not None
            assert target.saved_share is not None
            assert target.saved_interval[0] <= float(target.saved_share) <= target.saved_interval[1]
    for best, other in itertools.product([oracle], [mine, length, pair.way(RANDOM)]):
        assert all(a.share <= b.share for a, b in zip(best.targets, other.targets, strict=True))


def test_a_classifier_that_is_no_better_is_said_so() -> None:
    rng = np.random.default_rng(1)
    prompts = ["x" * int(n) for n in rng.integers(1, 400, 500)]
    weak = (rng.random(500) < 0.6).astype(float).tolist()
    (pair,) = evaluate(logged({"w": weak, "s": [0.95] * 500}, None, prompts), resamples=300).pairs
    assert sentences(pair)[0].startswith("The classifier is not shown to be better than prompt length alone")


def test_a_classifier_that_is_worse_is_said_so() -> None:
    rng = np.random.default_rng(1)
    prompts = ["x" * int(n) for n in rng.integers(1, 400, 500)]
    hard = np.array([len(one) > 200 for one in prompts])
    weak = np.where(hard, rng.random(500) < 0.4, rng.random(500) < 0.9).astype(float).tolist()
    (pair,) = evaluate(logged({"w": weak, "s": [0.95] * 500}, None, prompts), resamples=300).pairs
    assert sentences(pair)[0].startswith("The classifier is worse than prompt length alone")


def test_it_is_the_same_again_and_another_seed_deals_anew() -> None:
    one, two, other = (document(evaluate(hard_prompts(200), resamples=100, seed=seed)) for seed in (1, 1, 2))
    assert one == two
    assert one["pairs"][0]["ways"][2]["apgr"] != other["pairs"][0]["ways"][2]["apgr"]
    assert one["pairs"][0]["ways"][1]["apgr"] == other["pairs"][0]["ways"][1]["apgr"]
    assert json.loads(json.dumps(one)) == one


def test_the_frontier_costs_more_as_it_gets_better() -> None:
    (pair,) = evaluate(hard_prompts(300), resamples=100).pairs
    for a, b in itertools.pairwise(pair.frontier):
        assert a.cost is not None
        assert b.cost is not None
        assert a.cost < b.cost
        assert a.quality < b.quality


def test_missing_scores_are_left_out_and_said() -> None:
    nan = math.nan
    found = evaluate(
        logged(
            {"a": [0, nan, 0, 1], "b": [1, 1, nan, 1], "c": [nan, 1, 1, 1]},
            {"a": ["1"] * 4, "b": ["2"] * 4, "c": ["3"] * 4},
        ),
        weak="a",
        strong="b",
    )
    assert found.dominance.rows == 1
    (pair,) = found.pairs
    assert (pair.rows, pair.weak_quality, pair.strong_quality) == (2, 0.5, 1.0)
    assert "2 prompts lack a score of one of the two and are left out." in pair.why


def test_models_that_share_no_prompt_are_not_compared() -> None:
    found = evaluate(logged({"a": [1, math.nan], "b": [math.nan, 1]}, {"a": ["1"] * 2, "b": ["1"] * 2}))
    assert found.dominance.why == "No prompt has a score of every model and a cost."
    assert found.pairs == ()
    named = evaluate(logged({"a": [1, math.nan], "b": [math.nan, 1]}), weak="a", strong="b")
    assert named.why == "no prompt has a score of 'a' and of 'b'."


def test_one_model_and_no_gap() -> None:
    assert evaluate(logged({"a": [1, 0]}, {"a": ["1", "1"]})).why == "there is one model only."
    found = evaluate(logged({"a": [1, 0], "b": [0, 1]}, {"a": ["1", "1"], "b": ["2", "2"]}), weak="a", strong="b")
    (pair,) = found.pairs
    assert pair.ways == ()
    assert pair.why == ("'b' is not better than 'a' on these prompts: there is no gap to recover.",)


def test_without_costs_shares_are_told_and_no_savings() -> None:
    found = evaluate(logged({"a": [0, 1, 0], "b": [1, 1, 1]}))
    assert found.dominance.why == "Whether one model dominates can't be told: 'a' has no costs."
    (pair,) = found.pairs
    assert pair.way(RANDOM).targets[1].share == pytest.approx(0.8)
    assert pair.way(RANDOM).targets[1].saved is None
    assert any("costs are unknown: 3 of 3" in one for one in pair.why)


def test_a_gap_that_may_be_none_gives_no_interval() -> None:
    rng = np.random.default_rng(2)
    weak, strong = rng.random(60), rng.random(60) + 0.01
    (pair,) = evaluate(logged({"w": weak.tolist(), "s": np.minimum(strong, 1).tolist()}), resamples=200).pairs
    assert pair.gap_interval is not None
    assert pair.gap_interval[0] < 0
    assert any("the gap itself is not sure" in one for one in pair.why)
    assert pair.way(RANDOM).targets[0].share_interval is None


def test_a_pair_of_one_model_is_refused() -> None:
    with pytest.raises(UsageError, match="both the weak and the strong"):
        evaluate(logged({"a": [1]}), weak="a", strong="a")


def test_what_was_logged_twice_does_not_narrow_the_interval() -> None:
    once = hard_prompts(100)
    (single,) = evaluate(once, resamples=200).pairs
    prompts = [one for one in once.prompts if one is not None]
    scores = {model.name: np.tile(model.scores, 4).tolist() for model in once.models}
    (repeated,) = evaluate(logged(scores, None, prompts * 4), resamples=200).pairs
    assert single.gap_interval is not None
    assert repeated.gap_interval == pytest.approx(single.gap_interval)


def test_evidence_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = evaluate(hard_prompts(300), resamples=100)
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(evidence_of(found)), encoding="utf-8")
    read = read_evidence(path)
    pair = read.pair("small", "large")
    assert pair is not None
    assert pair.guess == found.pairs[0].guess
    assert pair.thresholds == {one.recovered: one.threshold for one in found.pairs[0].way(CLASSIFIER).targets}
    assert pair.above_length is True
    assert read.scores["large"] == found.dominance.standings[1].quality
    assert read.pair("large", "small") is None
    assert "prove" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"outlay_routing": 1}', '{"outlay_routing": 1, "features": 0}'])
def test_what_is_no_evidence_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evidence.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableError, match=r"outlay route evaluate FILE --out"):
        read_evidence(path)
