"""The local classifier: what it learns, that it is judged on prompts it has not seen, and that it is the same again."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.optimize.routing.classifier import fitted, folds_of, judged, seen
from outlay.optimize.routing.features import FEATURES, both, dense, words
from outlay.optimize.routing.guess import Guess


def _prompts(rows: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(3)
    needs = rng.random(rows) < 0.5
    return [f"{'prove' if one else 'list'} the case {n}" for n, one in enumerate(needs)], needs


def test_it_learns_a_word() -> None:
    prompts, needs = _prompts(200)
    features = seen(prompts)
    chances = judged(features, needs, folds_of(np.arange(200), np.random.default_rng(0)))
    assert chances is not None
    assert chances[needs].min() > chances[~needs].max()


def test_it_does_not_see_what_it_is_judged_on() -> None:
    """Labels by chance can't be foreseen. Fitted to all of them it seems to know them."""
    rng = np.random.default_rng(5)
    needs = rng.random(300) < 0.5
    prompts = [" ".join(rng.choice(list("abcdefghijklmnopqrst"), 8)) for _ in range(300)]
    features = seen(prompts)
    chances = judged(features, needs, folds_of(np.arange(300), np.random.default_rng(0)))
    assert chances is not None
    assert _ranked(chances, needs) == pytest.approx(0.5, abs=0.1)
    guess = fitted(features, needs)
    assert _ranked(np.array([guess.chance(one) for one in prompts]), needs) > 0.6


def test_a_text_that_was_logged_twice_is_in_one_fold() -> None:
    groups = np.array([0, 1, 0, 2, 3, 1, 4, 5, 6, 7])
    folds = folds_of(groups, np.random.default_rng(0))
    assert folds[0] == folds[2]
    assert folds[1] == folds[5]
    assert set(folds.tolist()) == set(range(5))


def test_the_guess_without_numpy_is_that_of_the_fit() -> None:
    prompts, needs = _prompts(80)
    features = seen(prompts)
    guess = fitted(features, needs)
    alone = [guess.chance(one) for one in prompts]
    folds = np.repeat([0, 1], 40)
    swapped = fitted(features.of(folds == 1), needs[folds == 1])
    told = judged(features, needs, folds)
    assert told is not None
    assert [swapped.chance(one) for one in prompts[:40]] == pytest.approx(told[:40].tolist())
    assert all(0 < one < 1 for one in alone)


def test_the_fit_is_a_minimum() -> None:
    """At the minimum of the penalised loss each slope is 0: the sums of the features balance the weights."""
    prompts, needs = _prompts(120)
    features = seen(prompts)
    guess = fitted(features, needs)
    off = np.array([guess.chance(one) for one in prompts]) - needs
    looks = (features.looks - np.array(guess.means)) / np.array(guess.spreads)
    slopes = np.hstack([looks, features.bags]).T @ off + np.array(guess.weights)
    assert np.abs(slopes).max() < 1e-3
    assert abs(off.sum()) < 1e-3


def test_too_few_of_a_kind_teach_nothing() -> None:
    needs = np.zeros(60, dtype=bool)
    needs[:9] = True
    assert judged(seen([f"p {n}" for n in range(60)]), needs, np.arange(60) % 5) is None


def test_the_features_by_hand() -> None:
    found = dict(zip(FEATURES, dense("Why is 12 > 3?\n```\nx = [1]\n```"), strict=True))
    assert found["log_chars"] == pytest.approx(np.log1p(30))
    assert found["log_lines"] == pytest.approx(np.log1p(3))
    assert found["digits"] == pytest.approx(4 / 30)
    assert found["log_questions"] == pytest.approx(np.log1p(1))
    assert found["question_words"] == pytest.approx(1 / 6)
    assert found["code_fence"] == 1
    assert found["beyond_ascii"] == 0
    assert dict(zip(FEATURES, dense("grüße"), strict=True))["beyond_ascii"] == pytest.approx(2 / 5)
    assert dict(zip(FEATURES, dense("Which?\nA. one\nB. two"), strict=True))["choices"] == 1


@given(st.text(max_size=300))
def test_any_text_has_features(text: str) -> None:
    assert all(np.isfinite(dense(text)))
    found = words(text)
    assert not found or sum(one * one for one in found.values()) == pytest.approx(1)


def test_features_are_the_same_in_another_process() -> None:
    code = "from outlay.optimize.routing.features import words; print(sorted(words('the quick brown fox').items()))"
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "99", **_path()},
    )
    assert told.stdout.strip() == str(sorted(words("the quick brown fox").items()))


def test_a_guess_and_its_features_need_no_numpy() -> None:
    code = "import sys, outlay.optimize.routing.evidence; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=_path())


def _path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV")}


@pytest.mark.parametrize(("intercept", "weights"), [(float("nan"), (0.0,) * 269), (0.0, (0.0,) * 3)])
def test_weights_that_are_none_are_refused(intercept: float, weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Guess(intercept, weights, (0.0,) * 13, (1.0,) * 13)


def _ranked(chances: np.ndarray, needs: np.ndarray) -> float:
    """How often one that needs it stands before one that does not."""
    above = [(a > b) + (a == b) / 2 for a in chances[needs] for b in chances[~needs]]
    return float(np.mean(above))


@given(st.one_of(st.text(st.characters(codec="ascii"), max_size=200), st.text(max_size=200)))
def test_features_are_what_they_are_called_in_any_script(prompt: str) -> None:
    found = dict(zip(FEATURES, dense(prompt), strict=True))
    size = max(1, len(prompt))
    assert found["digits"] == sum(one.isdigit() for one in prompt) / size
    assert found["capitals"] == sum(one.isupper() for one in prompt) / size
    assert found["code_marks"] == sum(one in "{}[]();<>=_`#\\" for one in prompt) / size
    assert found["maths_marks"] == sum(one in "+-*/^%=$<>" for one in prompt) / size
    assert found["beyond_ascii"] == sum(ord(one) > 127 for one in prompt) / size
    assert both(prompt) == (dense(prompt), words(prompt))
    assert words(prompt + " é") == words("É " + prompt.lower() if prompt.isascii() else prompt + " é")
