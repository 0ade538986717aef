"""Rules as they are declared: the rung of a ladder, the classifier of the evidence, and what is no rule."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from outlay.config.gateway import GatewaySettings, UpstreamSettings
from outlay.config.routing import RouteSettings
from outlay.errors import ConfigError, UnreadableError
from outlay.gateway.routes import Routes
from outlay.gateway.rules.declared import rules_of
from outlay.gateway.rules.rules import Rules
from outlay.optimize.routing.evaluation import evaluate
from outlay.optimize.routing.evidence import evidence_of
from tests.gateway.harness import gateway
from tests.gateway.test_rules import ask, asked
from tests.optimize.routing.logs import hard_prompts, logged

UPSTREAM = UpstreamSettings(id="all", provider="openai", base_url="http://127.0.0.1:1/v1")


def write(path: Path, document: Any) -> str:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path.name


def rules(folder: Path, **said: Any) -> Rules | None:
    settings = [RouteSettings.model_validate({"model": "large", **said})]
    return rules_of(settings, Routes([UPSTREAM], {}), folder)


def one(folder: Path, **said: Any) -> Any:
    found = rules(folder, **said)
    assert found is not None
    return found._rules[0]


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return evidence_of(evaluate(hard_prompts(400), resamples=100))


def test_no_rules_are_none(tmp_path: Path) -> None:
    assert rules_of((), Routes([UPSTREAM], {}), tmp_path) is None


@pytest.mark.parametrize(("at_least", "rung"), [("0.5", "tiny"), (0.7, "small"), ("0.7", "small"), ("0.99", "large")])
def test_the_first_model_that_is_good_enough_is_the_rung(tmp_path: Path, at_least: Any, rung: str) -> None:
    scores = {"tiny": "0.6", "small": 0.9, "large": 1}
    assert one(tmp_path, to=["tiny", "small", "large"], at_least=at_least, scores=scores).to == rung


def test_of_measured_scores_the_lower_end_of_the_interval_counts(tmp_path: Path, evidence: dict[str, Any]) -> None:
    name = write(tmp_path / "evidence.json", evidence)
    (least,) = [found["interval"][0] for found in evidence["models"] if found["name"] == "small"]
    (score,) = [found["score"] for found in evidence["models"] if found["name"] == "small"]
    assert least < score
    ladder = ["small", "large"]
    assert one(tmp_path, to=ladder, at_least=round(least - 0.001, 6), evidence=name).to == "small"
    assert one(tmp_path, to=ladder, at_least=round(score, 6), evidence=name).to == "large"


def test_a_threshold_that_no_model_meets_is_refused(tmp_path: Path, evidence: dict[str, Any]) -> None:
    name = write(tmp_path / "evidence.json", evidence)
    with pytest.raises(ConfigError, match="'large' comes nearest"):
        rules(tmp_path, to=["small", "large"], at_least="0.999", evidence=name)
    with pytest.raises(ConfigError, match="says nothing of 'smal'"):
        rules(tmp_path, to="smal", at_least="0.5", evidence=name)
    few = evidence_of(evaluate(logged({"small": [1.0] * 9, "large": [1.0] * 9}), resamples=100))
    with pytest.raises(ConfigError, match="too few prompts"):
        rules(tmp_path, to="small", at_least="0.5", evidence=write(tmp_path / "few.json", few))
    with pytest.raises(UnreadableError, match="No such file"):
        rules(tmp_path, to="small", at_least="0.5", evidence="none.json")


def test_a_classifier_that_the_evidence_has_not_is_refused(tmp_path: Path, evidence: dict[str, Any]) -> None:
    name = write(tmp_path / "evidence.json", evidence)
    with pytest.raises(ConfigError, match="no classifier between 'tiny' and 'large'"):
        rules(tmp_path, to="tiny", recover=0.8, evidence=name)
    with pytest.raises(ConfigError, match=r"no threshold for recover = 0\.7"):
        rules(tmp_path, to="small", recover=0.7, evidence=name)


def test_a_classifier_that_is_no_better_than_length_is_told_of(tmp_path: Path, evidence: dict[str, Any]) -> None:
    name = write(tmp_path / "good.json", evidence)
    good = rules(tmp_path, to="small", recover=0.8, evidence=name)
    assert good is not None
    assert good.notes == ()
    rng = np.random.default_rng(1)
    noise = logged(
        {"small": (rng.random(200) < 0.6).tolist(), "large": (rng.random(200) < 0.8).tolist()},
        prompts=[f"Prompt {n}" for n in range(200)],
    )
    bad = rules(tmp_path, to="small", recover=0.8, evidence=write(tmp_path / "bad.json", evidence_of(evaluate(noise))))
    assert bad is not None
    assert "not shown to be better than prompt length" in bad.notes[0]


def test_a_classifier_that_was_trained_on_logged_prompts_sends_the_easy_ones(
    tmp_path: Path, evidence: dict[str, Any]
) -> None:
    """What ``outlay route evaluate --out`` wrote is what the gateway follows."""
    text = json.dumps(evidence).replace('"small"', '"gpt-4o-mini"').replace('"large"', '"gpt-4o"')
    (tmp_path / "evidence.json").write_text(text, encoding="utf-8")
    rule = {"model": "gpt-4o", "to": "gpt-4o-mini", "recover": 0.95, "evidence": "evidence.json"}

    async def run() -> None:
        async with gateway(tmp_path, "openai", routes=[rule]) as gate:
            for n in range(5):
                await ask(gate, f"Please translate number {1000 + n} and so on", max_tokens=5)
                await ask(gate, f"Please prove number {2000 + n} and so on", max_tokens=5)
            assert asked(gate) == ["gpt-4o-mini", "gpt-4o"] * 5
            events = await gate.told(10)
            assert {event["route"]["kind"] for event in events} == {"classifier"}
            assert [event["route"]["outcome"] for event in events] == ["routed", "needs_strong"] * 5

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"to": ["a", "b"]}, "at_least which score"),
        ({"to": "a", "at_least": 0.5}, "or the score of 'a'"),
        ({"to": "a", "scores": {"a": 0.5}}, "at_least, which is not given"),
        ({"to": "a", "at_least": 0.5, "scores": {"a": 0.5}, "evidence": "e"}, "one of the two"),
        ({"to": "a", "recover": 0.8}, "recover needs evidence"),
        ({"to": "a", "recover": 0.8, "evidence": "e", "model": "g*"}, "one model without"),
        ({"to": "a", "evidence": "e"}, "neither is given"),
        ({"to": "g*"}, "without \\*"),
        ({"to": "a", "scope": {"model": "b"}}, "goes into model"),
        ({"to": "a", "id": "a\r\nx: y"}, "can't be printed"),
        ({"to": "a", "checks": ["length"]}, "cascade"),
        ({"to": "a", "mode": "cascade", "checks": []}, "at least 1"),
        ({"to": "a", "mode": "cascade", "checks": ["rude"]}, "length"),
        ({"to": "a", "share": 0}, "share above 0"),
        ({"to": "a", "share": 1.1}, "share above 0"),
    ],
)
def test_what_is_no_rule_is_refused(said: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        RouteSettings.model_validate({"model": "large", **said})


def test_rules_lead_to_models_that_are_served_and_have_names_of_their_own() -> None:
    served = UpstreamSettings(id="o", provider="openai", base_url="http://127.0.0.1:1/v1", models=("gpt-*",))
    small = {"model": "gpt-4o", "to": "gpt-4o-mini"}
    assert GatewaySettings(upstreams=(served,), routes=(RouteSettings.model_validate(small),)).routes
    with pytest.raises(ValidationError, match="which no upstream serves"):
        GatewaySettings.model_validate({"upstreams": [served], "routes": [{**small, "to": "claude-haiku-4-5"}]})
    with pytest.raises(ValidationError, match="two routes are called"):
        GatewaySettings.model_validate({"upstreams": [served], "routes": [small, {**small, "share": 0.5}]})
