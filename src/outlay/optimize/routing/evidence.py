"""What a rule of the gateway rests on: an evaluation, written down.

``outlay route evaluate FILE --out EVIDENCE`` writes it as JSON, with the models' scores and, of each pair, the
thresholds and the classifier's weights. It holds no prompt. A gateway reads it at its start, without numpy.

The thresholds are those of prompts judged by fits that had not seen them; the weights are of a fit to all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.errors import UnreadableError
from outlay.optimize.routing import features
from outlay.optimize.routing.guess import Guess

if TYPE_CHECKING:
    from outlay.optimize.routing.evaluation import Evaluation
    from outlay.optimize.routing.pair import Pair

__all__ = ["Evidence", "PairEvidence", "evidence_of", "read_evidence"]

VERSION = 1
_MOST_BYTES = 16 * 1024 * 1024
_HINT = "Write it with: outlay route evaluate FILE --out EVIDENCE."


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """``thresholds``: by the part of the gap to recover, the chance from which a call needs the strong model.

    ``above_length``: whether the classifier was shown to be better than prompt length; None where there is no interval.
    """

    weak: str
    strong: str
    rows: int
    thresholds: Mapping[float, float]
    guess: Guess | None
    above_length: bool | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """``least`` is the lower end of the interval of each model's average score; None where it was too few prompts."""

    source: str
    rows: int
    scores: Mapping[str, float]
    least: Mapping[str, float | None]
    pairs: tuple[PairEvidence, ...]

    def pair(self, weak: str, strong: str) -> PairEvidence | None:
        """What is known of a pair."""
        return next((one for one in self.pairs if (one.weak, one.strong) == (weak, strong)), None)


def evidence_of(found: Evaluation) -> dict[str, Any]:
    """The document of an evaluation. Raises nothing: what could not be measured is null in it."""
    return {
        "outlay_routing": VERSION,
        "features": features.VERSION,
        "source": Path(found.source).name,
        "rows": found.dominance.rows,
        "models": [
            {"name": one.name, "score": one.quality, "interval": None if one.interval is None else list(one.interval)}
            for one in found.dominance.standings
        ],
        "pairs": [_pair(one) for one in found.pairs],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    way = next((one for one in pair.ways if one.name == "classifier"), None)
    guess = pair.guess
    above = None if way is None or way.above_length is None else way.above_length[0] > 0
    return {
        "weak": pair.weak,
        "strong": pair.strong,
        "rows": pair.rows,
        "classifier_above_length": above,
        "thresholds": [] if way is None else [{"recovered": t.recovered, "chance": t.threshold} for t in way.targets],
        "classifier": None
        if guess is None
        else {
            "intercept": guess.intercept,
            "weights": list(guess.weights),
            "means": list(guess.means),
            "spreads": list(guess.spreads),
        },
    }


def read_evidence(path: Path) -> Evidence:
    """The evidence of a file. Raises :class:`UnreadableError`."""
    try:
        with path.open("rb") as handle:
            raw = handle.read(_MOST_BYTES)
        found = json.loads(raw)
        if not isinstance(found, dict) or found.get("outlay_routing") != VERSION:
            raise UnreadableError("is no evidence that this version reads.", where=str(path), hint=_HINT)
        if found["features"] != features.VERSION:
            what = f"was made with features of version {found['features']}, and this is {features.VERSION}."
            raise UnreadableError(what, where=str(path), hint=_HINT)
        models: Sequence[Mapping[str, Any]] = found["models"]
        return Evidence(
            str(found["source"]),
            int(found["rows"]),
            {str(one["name"]): float(one["score"]) for one in models},
            {str(one["name"]): None if one["interval"] is None else float(one["interval"][0]) for one in models},
            tuple(_read_pair(one) for one in found["pairs"]),
        )
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror}.", where=str(path), hint=_HINT) from None
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise UnreadableError(f"is no evidence: {error}.", where=str(path), hint=_HINT) from None


def _read_pair(found: Mapping[str, Any]) -> PairEvidence:
    told, guess = found["classifier"], None
    if told is not None:
        guess = Guess(
            float(told["intercept"]),
            tuple(map(float, told["weights"])),
            tuple(map(float, told["means"])),
            tuple(map(float, told["spreads"])),
        )
    return PairEvidence(
        str(found["weak"]),
        str(found["strong"]),
        int(found["rows"]),
        {float(one["recovered"]): float(one["chance"]) for one in found["thresholds"]},
        guess,
        None if found["classifier_above_length"] is None else bool(found["classifier_above_length"]),
    )
