"""The quotas that other gateways ask for: held once, settled once, never over, and for nobody without the secret."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlay.errors import UsageError
from outlay.gateway.run import clock
from outlay.operate.quotas.limit import whole
from tests.gateway.harness import KEY, PEER_SECRET, TAGS, Harness, gateway, until

QUOTAS: list[dict[str, Any]] = [{"id": "usd", "scope": {"team": "search"}, "limit": "0.03 USD/day"}]
PORT: dict[str, Any] = {"peers_listen": "127.0.0.1:0"}
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Say something."}]}
WANTED: dict[str, Any] = {"provider": "openai", "model": "gpt-4o-mini", "attributes": TAGS, "body": BODY}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100}
COST = "0.00021"


async def ask(peer: aiohttp.ClientSession, path: str, said: object, **options: Any) -> tuple[int, dict[str, Any]]:
    async with peer.post(path, json=said, **options) as answer:
        found: dict[str, Any] = await answer.json()
        return answer.status, found


async def hold(peer: aiohttp.ClientSession, **more: Any) -> dict[str, Any]:
    status, found = await ask(peer, "/quotas/hold", {**WANTED, **more})
    assert status == 200, found
    return found


async def settle(peer: aiohttp.ClientSession, held: dict[str, Any], **said: Any) -> dict[str, Any]:
    status, found = await ask(peer, "/quotas/settle", {"hold": held["hold"], **said})
    assert status == 200, found
    return found


def test_a_hold_is_settled_once_by_what_the_provider_said(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            held = await hold(peer)
            assert Decimal(held["bound"]["USD"]) * 8 <= Decimal("0.03") + Decimal("0.000001")
            assert await gate.standing("usd") == (0, whole(Decimal(held["bound"]["USD"])))
            found = await settle(peer, held, usage=USAGE, answered_model="gpt-4o-mini-2024-07-18", duration_ms=12)
            assert found == {"id": held["id"], "settled": "usage", "cost": COST, "currency": "USD", "counted": True}
            again = await settle(peer, held, usage={"prompt_tokens": 9_000_000, "completion_tokens": 0})
            assert (again["counted"], again["cost"]) == (False, None)
            assert await gate.standing("usd") == (whole(Decimal(COST)), 0)
            (event,) = await gate.told(1)
            assert (event["cost"], event["attributes"]["team"], event["duration"]) == (COST, "search", 12_000)
            await asyncio.sleep(0.1)
            assert len(gate.events()) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "settled", "counts"),
    [
        ({"status": "done"}, "bound", "bound"),
        ({"usage": {}}, "bound", "bound"),
        ({"usage": {"prompt_tokens": -1}}, "bound", "bound"),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, "bound", "bound"),
        ({"usage": {"what": "ever"}}, "bound", "bound"),
        ({"status": "unknown"}, "bound", "bound"),
        ({"status": "failed"}, "none", "0"),
        ({"status": "unsent"}, "none", "0"),
        ({"usage": USAGE}, "usage", COST),
        ({"usage": {"input_tokens": 1000, "output_tokens": 100}, "flavor": "responses"}, "usage", COST),
        ({"status": "broken", "usage": {"prompt_tokens": 10}}, "received", "more"),
    ],
)
def test_what_nobody_tells_counts_at_its_bound(tmp_path: Path, said: dict[str, Any], settled: str, counts: str) -> None:
    async def run() -> None:
        async with gateway(tmp_path, quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            held = await hold(peer, body={**BODY, "max_tokens": 100})
            found = await settle(peer, held, **said)
            bound = whole(Decimal(held["bound"]["USD"]))
            spent, still = await gate.standing("usd")
            assert (found["settled"], still) == (settled, 0)
            if counts == "more":
                assert 0 < spent <= bound
            else:
                assert spent == (bound if counts == "bound" else whole(Decimal(counts)))

    asyncio.run(run())


def test_a_hold_that_nobody_settles_counts_until_it_is_settled_late_after_a_restart(tmp_path: Path) -> None:
    days = [{**QUOTAS[0], "limit": "0.03 USD/30 days"}]

    async def run() -> None:
        async with gateway(tmp_path, quotas=days, **PORT) as gate, gate.peer() as peer:
            held, lost = await hold(peer), await hold(peer)
        bounds = [whole(Decimal(one["bound"]["USD"])) for one in (held, lost)]
        async with gateway(tmp_path, quotas=days, **PORT) as gate, gate.peer() as peer:
            assert await gate.standing("usd") == (0, sum(bounds))
            await settle(peer, held, usage=USAGE)
            assert await gate.standing("usd") == (whole(Decimal(COST)), bounds[1])
            await gate.running.quotas.sweep(clock() + 4_000_000)
            assert (await gate.standing("usd"))[0] == whole(Decimal(COST)) + bounds[1]
            found = await settle(peer, lost, usage=USAGE)
            assert found["counted"]
            assert await gate.standing("usd") == (2 * whole(Decimal(COST)), 0)

    asyncio.run(run())


def test_a_denial_says_which_budget_and_when_there_is_room_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            large = {**BODY, "max_tokens": 16_000}
            held = await hold(peer, body=large)
            async with peer.post("/quotas/hold", json={**WANTED, "body": large}) as answer:
                assert answer.status == 429
                assert int(answer.headers["retry-after"]) > 0
                said = (await answer.json())["error"]
            assert "the budget 'usd'" in said["message"]
            assert (said["outlay"]["held"], said["outlay"]["spent"]) == (held["bound"]["USD"], "0")
            assert said["outlay"]["resets_at"].endswith("Z")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("more", "status", "kind"),
    [
        ({"model": "nobody-knows-it"}, 400, "unbounded_call"),
        ({"provider": "nobody"}, 400, "unbounded_call"),
        ({"attributes": {"use_case": "chat"}}, 400, "missing_tag"),
        ({"attributes": {**TAGS, "model": "cheap"}}, 400, "bad_attributes"),
        ({"attributes": {**TAGS, "a b": "c"}}, 400, "bad_attributes"),
        ({"attributes": {**TAGS, "a": 1}}, 400, "bad_attributes"),
        ({"attributes": [1]}, 400, "bad_attributes"),
        ({"tags": "team=other"}, 400, "tag_of_key"),
        ({"tags": "model=other"}, 400, "bad_tags"),
        ({"tags": 5}, 400, "invalid_request"),
        ({"api": "telepathy"}, 400, "invalid_request"),
        ({"api": []}, 400, "invalid_request"),
        ({"body": {**BODY, "max_tokens": -5}}, 400, "invalid_request"),
        ({"body": {**BODY, "max_tokens": 1e308}}, 400, "invalid_request"),
        ({"body": 5}, 400, "invalid_request"),
        ({"body": None}, 400, "invalid_request"),
        ({"body": None, "input_tokens_at_most": "9"}, 400, "invalid_request"),
        ({"body": None, "input_tokens_at_most": 1 << 60}, 400, "invalid_request"),
        ({"model": None}, 400, "invalid_request"),
        ({"model": "a\nb"}, 400, "invalid_request"),
        ({"model": "a" * 300}, 400, "invalid_request"),
        ({"can_limit": False}, 400, "unbounded_call"),
    ],
)
def test_an_odd_question_is_refused_and_holds_nothing(
    tmp_path: Path, more: dict[str, Any], status: int, kind: str
) -> None:
    async def run() -> None:
        async with gateway(tmp_path, quotas=QUOTAS, required_tags=("team",), **PORT) as gate, gate.peer() as peer:
            found, said = await ask(peer, "/quotas/hold", {**WANTED, **more})
            assert (found, said["error"]["code"]) == (status, kind)
            assert await gate.standing("usd") == (0, 0)

    asyncio.run(run())


def test_bounds_that_a_gateway_vouches_for_stand_for_the_body(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            held = await hold(peer, body=None, input_tokens_at_most=500, max_output_tokens=200)
            assert (held["max_tokens"], held["bound"]["tokens"]) == (200, str(500 + 1024 + 200))
            assert (await settle(peer, held, usage=USAGE))["cost"] == COST
            held = await hold(peer, api="embeddings", model="text-embedding-3-small", body=None, input_tokens_at_most=9)
            assert held["max_tokens"] is None

    asyncio.run(run())


def test_a_text_that_was_not_granted_here_settles_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            held = await hold(peer)
            text = held["hold"]
            for wrong in (
                "",
                "x",
                "é",
                "=" * 50,
                text[:-2],
                text[4:],
                text + "AAAA",
                text[:30] + "A" + text[31:],
                "A" * 70_000,
            ):
                status, said = await ask(peer, "/quotas/settle", {"hold": wrong, "status": "unsent"})
                assert (status, said["error"]["code"]) == (
                    (400, "invalid_request") if not wrong else (404, "unknown_hold")
                )
            for odd in (
                {},
                {"hold": 5},
                {"hold": text, "status": 5},
                {"hold": text, "status": "paid"},
                {"hold": text, "usage": 5},
            ):
                assert (await ask(peer, "/quotas/settle", odd))[0] == 400
            for odd in ({"flavor": "sweet"}, {"http_status": "x"}, {"duration_ms": -1}, {"error": "a\nb"}):
                assert (await ask(peer, "/quotas/settle", {"hold": text, "usage": USAGE, **odd}))[0] == 400
            assert (await gate.standing("usd"))[0] == 0
            assert (await settle(peer, held, status="unsent"))["counted"]
        async with (
            gateway(
                tmp_path, quotas=QUOTAS, environment={"OUTLAY_PEERS_SECRET": "another-secret-altogether"}, **PORT
            ) as gate,
            gate.peer("another-secret-altogether") as peer,
        ):
            assert (await ask(peer, "/quotas/settle", {"hold": text}))[0] == 404

    asyncio.run(run())


def test_the_port_is_for_gateways_with_the_secret_alone(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, **PORT) as gate:
            for secret in ("", "wrong", PEER_SECRET[:-1], PEER_SECRET + "x"):
                async with gate.peer(secret) as peer:
                    for path in (
                        "/quotas/hold",
                        "/quotas/settle",
                        "/envoy/check/v1/models",
                        "/envoy/settle",
                        "/healthz",
                    ):
                        status, said = await ask(peer, path, WANTED)
                        assert (status, said["error"]["code"]) == (401, "not_a_peer")
            async with aiohttp.ClientSession(gate.url, headers={"x-outlay-peer": PEER_SECRET}) as caller:
                for path in ("/quotas/hold", "/quotas/settle", "/envoy/check/v1/chat/completions"):
                    status, _ = await ask(caller, path, WANTED, headers={"authorization": f"Bearer {KEY}"})
                    assert status == 404
            async with gate.peer() as peer:
                for path, status in (("/quotas", 404), ("/quotas/hold", 405), ("/healthz", 200), ("/metrics", 404)):
                    async with peer.get(path) as answer:
                        assert answer.status == status
                async with peer.post("/quotas/hold", data=b"no json") as answer:
                    assert answer.status == 400
                async with peer.post("/quotas/hold", data=b"[]") as answer:
                    assert answer.status == 400
            assert await gate.standing("usd") == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize("secret", ["", "short"])
def test_without_a_secret_the_port_is_not_opened(tmp_path: Path, secret: str) -> None:
    async def run() -> None:
        with pytest.raises(UsageError, match="needs a secret of 16 characters"):
            async with gateway(tmp_path, environment={"OUTLAY_PEERS_SECRET": secret}, **PORT):
                pass

    asyncio.run(run())


def test_a_quota_in_requests_alone_leaves_the_output_open(tmp_path: Path) -> None:
    async def run() -> None:
        rate = [{"id": "rate", "limit": "2 requests/hour"}]
        async with gateway(tmp_path, quotas=rate, **PORT) as gate, gate.peer() as peer:
            held = [await hold(peer, model="nobody-knows-it") for _ in range(2)]
            assert [one["max_tokens"] for one in held] == [None, None]
            assert (await ask(peer, "/quotas/hold", WANTED))[0] == 429
            await settle(peer, held[0], status="unsent")
            await settle(peer, held[1], status="failed")
            assert await gate.standing("rate") == (1, 0)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("clients", [8, 64, 256])
def test_a_hammer_of_gateways_and_callers_never_passes_a_budget(tmp_path: Path, clients: int) -> None:
    """Holds that are settled, forgotten, settled twice and given back, beside the gateway's own calls."""
    limit = whole(Decimal("0.03"))
    counted: list[Decimal] = []
    forgotten: list[Decimal] = []

    async def other(peer: aiohttp.ClientSession, dice: random.Random) -> None:
        for _ in range(max(2, 400 // clients)):
            body = {**BODY, "max_tokens": dice.choice([20, 200, 800])} if dice.random() < 0.6 else BODY
            status, held = await ask(peer, "/quotas/hold", {**WANTED, "body": body})
            if status == 429:
                continue
            assert status == 200, held
            await asyncio.sleep(dice.random() * 0.01)
            end, usage = (
                dice.random(),
                {"prompt_tokens": 30, "completion_tokens": dice.randrange(held["max_tokens"] + 1)},
            )
            if end < 0.1:
                forgotten.append(Decimal(held["bound"]["USD"]))
                continue
            said = {"usage": usage} if end < 0.8 else {"status": dice.choice(["unknown", "failed", "unsent"])}
            found = await asyncio.gather(*(settle(peer, held, **said) for _ in range(dice.choice([1, 1, 2]))))
            assert sum(one["counted"] for one in found) == 1
            counted.extend(Decimal(one["cost"]) for one in found if one["cost"] is not None)

    async def own(gate: Harness, session: aiohttp.ClientSession) -> None:
        for _ in range(20):
            body = {**BODY, "model": "gpt-4o-mini", "max_completion_tokens": 60}
            headers = {"authorization": f"Bearer {KEY}"}
            async with session.post(f"{gate.url}/v1/chat/completions", json=body, headers=headers) as answer:
                cost = answer.headers.get("x-outlay-cost")
                if cost is not None:
                    counted.append(Decimal(cost.split()[0]))

    async def watch(gate: Harness) -> None:
        while True:
            spent, held = await gate.standing("usd")
            assert spent + held <= limit
            await asyncio.sleep(0.001)

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            watching = asyncio.create_task(watch(gate))
            async with aiohttp.ClientSession() as session:
                await asyncio.gather(*(other(peer, random.Random(n)) for n in range(clients)), own(gate, session))
            assert not watching.done()
            watching.cancel()
            spent, held = await gate.standing("usd")
            assert spent == whole(sum(counted, Decimal(0)))
            assert held == whole(sum(forgotten, Decimal(0)))

            def all_told() -> bool:
                costs = [Decimal(one["cost"]) for one in gate.events() if one["cost"] is not None]
                return sum(costs, Decimal(0)) == sum(counted, Decimal(0))

            await until(all_told)

    asyncio.run(run())
