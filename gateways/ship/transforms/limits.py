"""`throttle` and `dedupe`: how many events of a kind go on in a time; memory is bounded by `max_keys`.

Both keep their figures in this process: another gateway on the channel has its own, and a start begins anew.
A message that nsqd delivers again is treated as it was the first time, as long as its key is remembered.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from gateways.pipeline.identity import event_id
from gateways.service.values import Seconds
from gateways.ship.fields import MISSING, FieldPath
from gateways.ship.template import as_text
from gateways.ship.transforms.edit import Path
from gateways.ship.transforms.transform import Record, Reject, StepSettings, Transform

Clock = Callable[[], float]


class _KeyedSettings(StepSettings):
    """What the two have in common."""

    by: tuple[Path, ...] = ()
    window: Seconds = Field(default=60.0, gt=0, le=86400)
    max_keys: int = Field(default=10_000, ge=1, le=1_000_000)

    @property
    def needs_fields(self) -> bool:
        """When the key is made of some."""
        return bool(self.by)

    def _key_of(self) -> Callable[[Record], str]:
        paths = [FieldPath(path) for path in self.by]
        return lambda record: "\0".join(
            [record.message.topic, *(as_text(path.get(record.fields)) for path in paths)]
        )


class Passed:
    """Which events of each key have passed since its window began; windows that are over take no memory."""

    def __init__(self, most: int, window: float, max_keys: int) -> None:
        self._most = most
        self._window = window
        self._max_keys = max_keys
        self._windows: OrderedDict[str, tuple[float, set[str]]] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        """Keys that are remembered."""
        return len(self._windows)

    def admits(self, key: str, event: str, now: float) -> bool:
        """Whether the event goes on, as one of the first of its key or because it did so before."""
        while self._windows and now - next(iter(self._windows.values()))[0] >= self._window:
            self._windows.popitem(last=False)
        found = self._windows.get(key)
        if found is None:
            found = self._windows[key] = now, set()
            if len(self._windows) > self._max_keys:
                self._windows.popitem(last=False)
        passed = found[1]
        if event not in passed and len(passed) >= self._most:
            return False
        passed.add(event)
        return True


class ThrottleSettings(_KeyedSettings):
    """The first events of a key in each `window` go on; the others are dropped on purpose.

    by        fields whose values make the key; without any all events of a topic have the same
    events    so many go on; they are what takes memory, about 100 bytes each
    window    from the first event of a key on
    max_keys  remembered at once; the one that began first is forgotten, and begins anew
    """

    type: Literal["throttle"] = "throttle"
    events: int = Field(ge=1, le=100_000)

    def build(self, clock: Clock = time.monotonic) -> Transform:
        """See `StepSettings.build`."""
        key_of, passed = self._key_of(), Passed(self.events, self.window, self.max_keys)

        def throttle(record: Record) -> Record | None:
            return record if passed.admits(key_of(record), event_id(record.message), clock()) else None

        return throttle


class DedupeSettings(_KeyedSettings):
    """Of events with the same key in a `window` the first one goes on; the others are dropped on purpose.

    by        fields whose values make the key; an event without one of them goes on
    window    from the first event of a key on
    max_keys  remembered at once; the one that began first is forgotten
    """

    type: Literal["dedupe"] = "dedupe"
    by: tuple[Path, ...] = Field(min_length=1)

    def build(self, clock: Clock = time.monotonic) -> Transform:
        """See `StepSettings.build`."""
        paths = [FieldPath(path) for path in self.by]
        once = ThrottleSettings(by=self.by, window=self.window, max_keys=self.max_keys, events=1).build(clock)

        def dedupe(record: Record) -> Record | Reject | None:
            if any(path.get(record.fields) is MISSING for path in paths):
                return record
            return once(record)

        return dedupe
