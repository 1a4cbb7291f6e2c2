"""A scripted nsqd for the classes that are shaped as Perl's, and a record of what they call back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from harness.scripted import ScriptedNsqd


class Record:
    """Callbacks that note their name and arguments in `calls`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, name: str, then: Callable[..., object] | None = None) -> Callable[..., None]:
        def note(*arguments: Any) -> None:
            self.calls.append((name, *arguments))
            if then is not None:
                then(*arguments)

        return note

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of this name."""
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
async def fake() -> AsyncIterator[ScriptedNsqd]:
    async with ScriptedNsqd() as server:
        yield server
