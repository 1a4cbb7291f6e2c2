"""Sinks that are closed when a test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateways.pipeline.sink import Sink
from harness.stores import make_sink


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[dict[str, Any]], Awaitable[Sink]]]:
    """Opens sinks, given by their part of a config file."""
    sinks: list[Sink] = []

    async def open_sink(config: dict[str, Any]) -> Sink:
        sink = make_sink(config)
        await sink.open()
        sinks.append(sink)
        return sink

    yield open_sink
    for sink in sinks:
        await sink.close()
