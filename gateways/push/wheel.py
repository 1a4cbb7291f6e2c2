"""One timer for all connections: each sits in one of a few slots, and every tick looks at one slot.

Each connection is thus seen once a turn of the wheel, at even cost for the event loop; a timer or a task
per connection would cost more than the connection itself. Pure: whoever owns the wheel ticks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Wheel(Generic[T]):
    """Connections spread evenly over `slots`."""

    def __init__(self, slots: int) -> None:
        self._slots: tuple[dict[T, None], ...] = tuple({} for _ in range(slots))
        self._place: dict[T, int] = {}
        self._current = 0
        self._next_place = 0

    def __len__(self) -> int:
        return len(self._place)

    def __iter__(self) -> Iterator[T]:
        """Everything on the wheel, as it is now."""
        return iter(tuple(self._place))

    def add(self, item: T) -> None:
        """Put `item` into the next slot in turn."""
        self._place[item] = self._next_place
        self._slots[self._next_place][item] = None
        self._next_place = (self._next_place + 1) % len(self._slots)

    def discard(self, item: T) -> None:
        """Take `item` off; it may be unknown."""
        place = self._place.pop(item, None)
        if place is not None:
            del self._slots[place][item]

    def tick(self) -> tuple[T, ...]:
        """What sits in the current slot; the wheel moves on by one."""
        due = tuple(self._slots[self._current])
        self._current = (self._current + 1) % len(self._slots)
        return due
