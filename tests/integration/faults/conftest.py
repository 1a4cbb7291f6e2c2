"""Scenes with faults: a topic they share, and nothing that fails unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness.scripted import ScriptedNsqd


@pytest.fixture
def topic() -> str:
    """One for all: the original looks for time-outs in a new channel only after five seconds."""
    return "faults"


@pytest.fixture
async def fake() -> AsyncIterator[ScriptedNsqd]:
    async with ScriptedNsqd() as server:
        yield server


@pytest.fixture(autouse=True)
async def nothing_escapes() -> AsyncIterator[None]:
    """No task, callback or future fails unseen."""
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    yield
    assert escaped == []
