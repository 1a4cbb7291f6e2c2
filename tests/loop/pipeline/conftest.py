"""Pipelines that are started for a test, and drained after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateways.pipeline.pipeline import Pipeline
from harness.pipeline import FakeSource

Run = Callable[..., Pipeline]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Makes a pipeline of what `Pipeline` takes, and starts it."""
    running: list[Pipeline] = []

    def run_one(*arguments: Any, **options: Any) -> Pipeline:
        pipeline = Pipeline(*arguments, **options)
        pipeline.start()
        running.append(pipeline)
        return pipeline

    yield run_one
    for pipeline in running:
        await pipeline.drain(0.0)


@pytest.fixture
def source() -> FakeSource:
    """One that has no more to give, so that batches are cut at once."""
    starved = FakeSource()
    starved.is_starved = True
    return starved
