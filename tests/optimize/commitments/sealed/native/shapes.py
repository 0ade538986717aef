"""Requests held against the shapes that the providers' libraries give: known members, required ones, types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.sealed.native.request import Request
from outlay.optimize.commitments.sealed.native.requests import native_request
from outlay.optimize.commitments.sealed.purchase import Purchase

__all__ = ["bought", "request_of", "unlike"]

_FIXTURES = Path(__file__).resolve().parents[4] / "fixtures/commitment_requests"


def bought(offer: Offer, quantity: str | int = 16, *, step: int = 1, by_money: bool = False) -> Purchase:
    """The first step of a pool's ladder."""
    nanos = int(Decimal(quantity) * NANOS)
    on = date(2026, 11, 23)
    return Purchase("H100", (), by_money, offer, step, 0, on, nanos, nanos, "all at once", "2026-11-23")


def request_of(purchase: Purchase) -> Request:
    """Its request; there must be one."""
    found = native_request(purchase)
    assert isinstance(found, Request), found
    return found


def unlike(request: Request) -> list[str]:
    """What in ``request`` is not as the provider's library has it. A null must be among what is missing."""
    shapes = json.loads((_FIXTURES / f"{request.provider}.json").read_text(encoding="utf-8"))
    nulls: list[str] = []
    found = _against(request.body, shapes[request.operation], "", request.numbers, nulls)
    nulls += [name for name, value in request.parameters.items() if value is None]
    told = [one.field for one in request.missing]
    return [*found, *(f"{name} is null and not missing" for name in nulls if name not in told)] + [
        f"{name} is missing and not null" for name in told if name not in nulls
    ]


def _against(value: Any, shape: Any, path: str, numbers: tuple[str, ...], nulls: list[str]) -> list[str]:
    if value is None:
        nulls.append(path)
        return []
    if isinstance(shape, Mapping):
        found = [f"{path}: no {name}" for name in shape["required"] if name not in value]
        for name, one in value.items():
            inner = f"{path}.{name}" if path else name
            if name not in shape["members"]:
                found.append(f"{inner} is unknown")
            else:
                found += _against(one, shape["members"][name], inner, numbers, nulls)
        return found
    if isinstance(shape, list) and isinstance(shape[0], Mapping):
        return [
            fault
            for number, one in enumerate(value)
            for fault in _against(one, shape[0], f"{path}[{number}]", numbers, nulls)
        ]
    return [] if _is(value, shape, path in numbers) else [f"{path} is {value!r}, not {shape}"]


def _is(value: Any, kind: str | list[str], number: bool) -> bool:
    if isinstance(kind, list):
        return value in kind
    if kind == "double":
        return number and isinstance(value, str) and Decimal(value).is_finite()
    if kind == "int64":
        return isinstance(value, str) and value.isdecimal()
    if kind == "map":
        return all(isinstance(one, str) for pair in value.items() for one in pair)
    types: dict[str, type] = {"string": str, "integer": int, "boolean": bool}
    return type(value) is types[kind] and not number
