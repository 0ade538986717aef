"""An upstream of each kind, running beside the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.upstreams import Upstream, upstream


@pytest.fixture
def openai() -> Iterator[Upstream]:
    with upstream("openai").in_thread() as running:
        yield running


@pytest.fixture
def compatible() -> Iterator[Upstream]:
    with upstream("compatible").in_thread() as running:
        yield running


@pytest.fixture
def anthropic() -> Iterator[Upstream]:
    with upstream("anthropic").in_thread() as running:
        yield running


@pytest.fixture
def azure() -> Iterator[Upstream]:
    with upstream("azure").in_thread() as running:
        yield running


@pytest.fixture
def gemini() -> Iterator[Upstream]:
    with upstream("gemini").in_thread() as running:
        yield running


@pytest.fixture
def bedrock() -> Iterator[Upstream]:
    with upstream("bedrock").in_thread() as running:
        yield running
