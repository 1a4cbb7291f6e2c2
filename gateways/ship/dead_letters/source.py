"""Where letters are read from again: what the commands ask of a file or a topic."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateways.ship.dead_letters.envelope import BadLetter, Letter, read_letter


@dataclass(frozen=True, slots=True)
class Found:
    """One letter of a source.

    place   by which `show` names it: the number of its line, or the id of its message
    letter  None when what stands there is no letter; `problem` says why
    handle  the source's own
    """

    place: str
    letter: Letter | None
    problem: str
    handle: object


class Source(Protocol):
    """A file or a topic; an async context manager."""

    @property
    def total(self) -> int | None:
        """How many there are to read, about; None when nobody knows."""

    def letters(self) -> AsyncGenerator[Found, None]:
        """Those that were not replayed yet, and what is no letter."""

    async def replayed(self, found: Sequence[Found]) -> None:
        """They are where they should be: they do not come again. Durable when it returns."""

    async def left(self, found: Sequence[Found]) -> None:
        """They stay."""

    async def __aenter__(self) -> Source: ...
    async def __aexit__(self, *error: object) -> None: ...


def read_found(place: str, data: bytes, handle: object) -> Found:
    """What stands at a place of a source."""
    try:
        return Found(place, read_letter(data), "", handle)
    except BadLetter as error:
        return Found(place, None, str(error), handle)
