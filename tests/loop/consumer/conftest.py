"""A scripted nsqd for the tests of consumers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from harness.scripted import ScriptedNsqd


@pytest.fixture
async def fake() -> AsyncIterator[ScriptedNsqd]:
    async with ScriptedNsqd() as server:
        yield server
