"""Which events a sink has already: a bounded memory of event keys, the least recent forgotten first."""

from __future__ import annotations

from collections.abc import Iterable

from gateways.pipeline.identity import EventKey


class Seen:
    """At most `capacity` keys; 0 remembers nothing. About 200 bytes each."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._keys: dict[EventKey, None] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: EventKey) -> bool:
        """Whether it is remembered; asking makes it the most recent one."""
        if key not in self._keys:
            return False
        del self._keys[key]
        self._keys[key] = None
        return True

    def add(self, keys: Iterable[EventKey]) -> None:
        """Remember these, as the most recent ones."""
        for key in keys:
            self._keys.pop(key, None)
            self._keys[key] = None
        while len(self._keys) > self._capacity:
            del self._keys[next(iter(self._keys))]
