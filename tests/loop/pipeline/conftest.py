"""Pipelines that are started for a test, and drained after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateways.pipeline.pipeline import Pipeline

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
