"""GPU telemetry of the last two weeks, as a Prometheus that scrapes DCGM exporter answers a range query.

The machines are the bill's: the host is the ``ResourceId``, a card is there while the bill has the machine on. Training
machines are not here (their time is in Slurm's accounting), nor those of managed services, which show no cards.

Planted: how much each team's cards work; a card that works for nobody (*idle*), and notebooks that work in office
hours only; a card that is free by night (*unallocated*); a morning without the exporter on the machine that always
serves (*no telemetry*, which is not idleness).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from outlay.demo.chance import identity, key_of, mix
from outlay.demo.lines import ALWAYS, Calendar, Line, day_text
from outlay.money import plain

__all__ = ["STEP_SECONDS", "write_telemetry"]

STEP_SECONDS = 900
_DAYS, _MOST_MACHINES = 14, 40
_STEPS = 3600 // STEP_SECONDS
"""Scrapes an hour."""

_STANDS_FOR = 3
"""Steps that a scrape stands for before a card counts as not seen: Outlay's rule for missing telemetry."""

_METRIC = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
_IDLE_BELOW = 50
_GAP_DAY, _GAP_HOURS = 5, (2, 10)
"""The day, counted from the last, and the hours without the exporter."""

_CARDS = {
    "g5": "NVIDIA A10G",
    "g6": "NVIDIA L4",
    "g6e": "NVIDIA L40S",
    "p3": "Tesla V100-SXM2-16GB",
    "p4d": "NVIDIA A100-SXM4-40GB",
    "p5": "NVIDIA H100 80GB HBM3",
    "azure-vm": "NVIDIA H100 NVL",
    "gce": "NVIDIA A100-SXM4-40GB",
}
_LEVELS = {
    "answer-ranking": 380,
    "forgotten": 0,
    "image-search": 520,
    "image-tagging": 460,
    "index": 710,
    "llm-serving": 640,
    "notebook": 550,
    "query-understanding": 290,
    "voice": 340,
}
"""Thousandths of activity while at work, by pool; others 430."""

_OFFICE, _NIGHT = (9, 17), (20, 6)


@dataclass(slots=True)
class _Hours:
    """Steps of a team's cards by what they were, and activity x steps in thousandths."""

    busy: int = 0
    idle: int = 0
    unseen: int = 0
    active: int = 0


@dataclass(slots=True)
class _Planted:
    """What was written: by team (empty: no team's label), and of nobody's cards."""

    teams: dict[str, _Hours] = field(default_factory=lambda: defaultdict(_Hours))
    pools: dict[str, _Hours] = field(default_factory=lambda: defaultdict(_Hours))
    unallocated: int = 0
    cards: int = 0
    samples: int = 0


def write_telemetry(
    folder: Path, lines: Sequence[Line], calendar: Calendar, seed: int
) -> tuple[list[Path], dict[str, object]]:
    """Writes the answers, a line a machine and one of the pods' labels; returns the file and what it holds."""
    since = max(calendar.first_day, calendar.last_day - _DAYS)
    machines = [line for line in lines if _has_cards(line)][:_MOST_MACHINES]
    planted = _Planted()
    path = folder / "synthetic-dcgm-prometheus.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for line in machines:
            file.write(_answer(_series(line, since, calendar.last_day, seed, planted)))
        file.write(_answer(_pod_labels(line, since, calendar.last_day) for line in machines))
    return [path], {"prometheus": _told(planted, machines, since, calendar.last_day)}


def _has_cards(line: Line) -> bool:
    """A machine whose cards the company can see, in use: not training, not managed, not an unused commitment."""
    used = line.charge_category == "Usage" and line.commitment_status != "Unused" and line.counts == "hours"
    training = (line.tags or {}).get("workload") == "training"
    return used and not training and "GpuCount" in line.sku.details and line.sku.service != "sagemaker"


def _answer(result: Iterator[Mapping[str, object]]) -> str:
    document = {"status": "success", "data": {"resultType": "matrix", "result": list(result)}}
    return json.dumps(document, separators=(",", ":")) + "\n"


def _pool(line: Line) -> str:
    return line.name.rpartition("-")[0]


def _stretches(line: Line, since: int, until: int) -> Iterator[tuple[int, int]]:
    """Hours ``[from, to)`` for which the bill has the machine on."""
    first, last = max(line.first_hour, since * 24), min(line.last_hour, until * 24)
    if line.schedule == ALWAYS:
        if first < last:
            yield first, last
        return
    for day in range(first // 24, (last + 23) // 24):
        start, end = line.schedule.span(day, line.chance)
        start, end = max(first, day * 24 + start), min(last, day * 24 + end)
        if start < end:
            yield start, end


def _series(line: Line, since: int, until: int, seed: int, planted: _Planted) -> Iterator[dict[str, object]]:
    """Of each card, a series for each of its holders. A machine that was off comes back with other cards."""
    gap_day = until - _GAP_DAY
    gap = range((gap_day * 24 + _GAP_HOURS[0]) * _STEPS, (gap_day * 24 + _GAP_HOURS[1]) * _STEPS)
    lost = gap if _pool(line) == "llm-serving" and line.schedule == ALWAYS and gap_day > since else range(0)
    for start, end in _stretches(line, since, until):
        for index in range(int(line.sku.details["GpuCount"])):
            planted.cards += 1
            labels = _labels(line, start, index, seed)
            chance = key_of(seed, line.name, index)
            held: list[list[object]] = []
            free: list[list[object]] = []
            for step in range(start * _STEPS, end * _STEPS + 1):
                if step in lost:
                    continue
                closing = step == end * _STEPS
                nobody = _is_free(line, index, step)
                activity = 0 if nobody else _activity(line, step, chance)
                (free if nobody else held).append([step * STEP_SECONDS, f"0.{activity:03d}"])
                if not closing:
                    _book(planted, line, activity, nobody=nobody)
            if lost and start * _STEPS < lost.start and lost.stop <= end * _STEPS:
                _lose(planted, line, _activity(line, lost.start - 1, chance), len(lost))
            planted.samples += len(held) + len(free)
            if held:
                yield {"metric": {**labels, **_holder(line)}, "values": held}
            if free:
                yield {"metric": labels, "values": free}


def _book(planted: _Planted, line: Line, activity: int, *, nobody: bool) -> None:
    """A step from one scrape to the next."""
    if nobody:
        planted.unallocated += 1
        return
    for into in (planted.teams[_team(line)], planted.pools[_pool(line)]):
        into.busy += activity >= _IDLE_BELOW
        into.idle += activity < _IDLE_BELOW
        into.active += activity


def _lose(planted: _Planted, line: Line, activity: int, steps: int) -> None:
    """The exporter's silence: the scrape before it stands for a while, and then nothing is known."""
    stands = _STANDS_FOR - 1
    for into in (planted.teams[_team(line)], planted.pools[_pool(line)]):
        into.busy += stands * (activity >= _IDLE_BELOW)
        into.idle += stands * (activity < _IDLE_BELOW)
        into.active += stands * activity
        into.unseen += steps - stands


def _is_free(line: Line, index: int, step: int) -> bool:
    """The last card of the pool for query understanding is given back by night."""
    hour = step // _STEPS % 24
    night = hour >= _NIGHT[0] or hour < _NIGHT[1]
    return night and _pool(line) == "query-understanding" and index == int(line.sku.details["GpuCount"]) - 1


def _activity(line: Line, step: int, chance: int) -> int:
    """Thousandths: around the pool's level; notebooks are at work in office hours only."""
    pool = _pool(line)
    hour, day = step // _STEPS % 24, step // _STEPS // 24
    office = (day + 3) % 7 < 5 and _OFFICE[0] <= hour < _OFFICE[1]
    level = 0 if pool == "notebook" and not office else _LEVELS.get(pool, 430)
    return level and level - 100 + mix(chance, step) % 201


def _team(line: Line) -> str:
    return (line.tags or {}).get("team", "")


def _labels(line: Line, start: int, index: int, seed: int) -> dict[str, str]:
    """What DCGM exporter says of a card."""
    mark = identity(seed, "gpu", line.name, start, index, digits=24)
    family = str(line.sku.details.get("InstanceType", "")).partition(".")[0]
    return {
        "__name__": _METRIC,
        "Hostname": str(line.resource_id),
        "UUID": f"GPU-5e000000-{mark[:4]}-{mark[4:8]}-{mark[8:12]}-{mark[12:]}",
        "device": f"nvidia{index}",
        "gpu": str(index),
        "job": "synthetic-dcgm-exporter",
        "modelName": _CARDS.get(line.sku.service) or _CARDS[family],
    }


def _holder(line: Line) -> dict[str, str]:
    return {"pod": line.name, "namespace": _team(line) or "default", "container": "server"}


def _pod_labels(line: Line, since: int, until: int) -> dict[str, object]:
    """kube-state-metrics' series of the pod's labels: the tags that the machine has on the bill."""
    tags = {**(line.tags or {}), "synthetic": "true"}
    labels = {f"label_{name}": value for name, value in tags.items()}
    held = _holder(line)
    return {
        "metric": {"__name__": "kube_pod_labels", "pod": held["pod"], "namespace": held["namespace"], **labels},
        "values": [[since * 86_400, "1"], [until * 86_400, "1"]],
    }


def _told(planted: _Planted, machines: Sequence[Line], since: int, until: int) -> dict[str, object]:
    teams = planted.teams.values()
    return {
        "since": day_text(since),
        "until": day_text(until - 1),
        "metric": _METRIC,
        "machines": len(machines),
        "cards": planted.cards,
        "samples": planted.samples,
        "allocated_hours": _hours(sum(team.busy + team.idle + team.unseen for team in teams)),
        "busy_hours": _hours(sum(team.busy for team in teams)),
        "idle_hours": _hours(sum(team.idle for team in teams)),
        "no_telemetry_hours": _hours(sum(team.unseen for team in teams)),
        "unallocated_hours": _hours(planted.unallocated),
        "active_hours": _hours(sum(team.active for team in teams), 1000),
        "by_team": {team: _of(hours) for team, hours in sorted(planted.teams.items())},
        "by_team_is": "by the pod's label team; empty: a pod without",
        "idle_holders": {pool: _hours(hours.idle) for pool, hours in sorted(planted.pools.items()) if hours.idle},
    }


def _of(hours: _Hours) -> dict[str, str]:
    return {
        "busy_hours": _hours(hours.busy),
        "idle_hours": _hours(hours.idle),
        "no_telemetry_hours": _hours(hours.unseen),
        "active_hours": _hours(hours.active, 1000),
    }


def _hours(steps: int, of: int = 1) -> str:
    return plain(Decimal(steps) / (_STEPS * of))
