"""Scenes with faults: topics of their own, and nothing that fails unseen."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

_topics = itertools.count()


@pytest.fixture
def topic() -> str:
    return f"faults-{next(_topics)}"


@pytest.fixture(autouse=True)
async def nothing_escapes() -> AsyncIterator[None]:
    """No task, callback or future fails unseen."""
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    yield
    assert escaped == []
