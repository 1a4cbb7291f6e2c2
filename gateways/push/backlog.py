"""What waits for one browser that does not take its messages now, and what happens when it gets too much.

A backlog is pure: frames and a clock reading in, decisions out. It holds references to the bytes that all
browsers share, never copies. One browser's bytes are bounded over all its channels; each channel has a
queue that keeps the bound by the policy of the channel.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from gateways.push.frame import Burst, Encoding
from gateways.push.pattern import covers
from gateways.push.policy import Lag, Policy

ENTRY_BYTES = 200
"""What it costs to keep one piece of data, whatever its length; it counts towards the bound."""


@dataclass
class Waiting:
    """Bytes that wait, and how many messages of the channel were lost right before them."""

    channel: str
    data: bytes
    lost: int
    torn: bool
    """More were lost, and nobody knows how many."""
    order: int
    since: float

    @property
    def size(self) -> int:
        """What it takes from the bound."""
        return len(self.data) + ENTRY_BYTES


class _Queue:
    """What waits of one channel, in order."""

    __slots__ = ("entries", "lost", "policy", "torn")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.entries: OrderedDict[Hashable, Waiting] = OrderedDict()
        self.lost = 0
        """Messages lost after the last entry."""
        self.torn = False


class Backlog:
    """The queues of one browser: `max_bytes` at most, and under `disconnect` nothing older than `max_age`.

    Times are in seconds, by the event loop's clock. `patience` is how long the transport may take nothing.
    """

    __slots__ = (
        "_max_age",
        "_max_bytes",
        "_order",
        "_patience",
        "_policy_of",
        "_queues",
        "_stalled_at",
        "size",
    )

    def __init__(
        self, policy_of: Callable[[str], Policy], *, max_bytes: int, max_age: float, patience: float
    ) -> None:
        self._policy_of = policy_of
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._patience = patience
        self._stalled_at = math.inf
        self._queues: dict[str, _Queue] = {}
        self._order = 0
        self.size = 0
        """Bytes that wait, and what it costs to keep them."""

    def tear(self, channel: str) -> None:
        """Messages of `channel` were lost after what waits, nobody knows how many."""
        self._queue(channel).torn = True

    def add(self, burst: Burst, encoding: Encoding, now: float) -> bool:
        """Queue `burst` as this browser gets it; False when the browser has to go instead."""
        queue = self._queue(burst.channel)
        if queue.policy.lag is Lag.DISCONNECT:
            data = burst.encoded(encoding)
            if not self._fits(data) or self.overdue(now):
                return False
            self._append(queue, None, burst.channel, data, now)
            return True
        for frame in burst.frames:
            data = frame.encoded(encoding)
            key: Hashable = None
            if queue.policy.conflating and frame.conflated:
                key = frame.encoded(queue.policy.key)
                self._replace(queue, key)
            elif queue.policy.lag is Lag.DROP_NEW and not self._fits(data):
                queue.lost += 1
                continue
            self._make_room(queue, data)
            if not self._fits(data):
                queue.lost += 1
            else:
                self._append(queue, key, burst.channel, data, now)
        return True

    def forget(self, name: str) -> None:
        """Drop what waits of the channel or pattern `name`: the browser no longer wants it."""
        for channel in [channel for channel in self._queues if covers(name, channel)]:
            dropped = self._queues.pop(channel)
            self.size -= sum(waiting.size for waiting in dropped.entries.values())

    def stall(self, now: float) -> None:
        """The transport takes nothing more from `now` on, until it has written what it holds."""
        self._stalled_at = now

    def overdue(self, now: float) -> bool:
        """Whether what waits, in here or in the transport, has waited too long: the browser has to go."""
        if now - self._stalled_at > self._patience:
            return True
        return any(
            now - next(iter(queue.entries.values())).since > self._max_age
            for queue in self._queues.values()
            if queue.entries and queue.policy.lag is Lag.DISCONNECT
        )

    def take(self) -> Waiting | None:
        """What is to be written next, the oldest of all channels, or None when nothing waits."""
        first: _Queue | None = None
        oldest = math.inf
        for channel, queue in self._queues.items():
            if queue.entries:
                order = next(iter(queue.entries.values())).order
                if order < oldest:
                    first, oldest = queue, order
            elif queue.lost or queue.torn:
                rest = Waiting(channel, b"", queue.lost, queue.torn, self._order, self._stalled_at)
                queue.lost, queue.torn = 0, False
                return rest
        if first is None:
            return None
        waiting = first.entries.popitem(last=False)[1]
        self.size -= waiting.size
        return waiting

    def _queue(self, channel: str) -> _Queue:
        queue = self._queues.get(channel)
        if queue is None:
            queue = self._queues[channel] = _Queue(self._policy_of(channel))
        return queue

    def _fits(self, data: bytes) -> bool:
        return self.size + len(data) + ENTRY_BYTES <= self._max_bytes

    def _append(self, queue: _Queue, key: Hashable, channel: str, data: bytes, now: float) -> None:
        self._order += 1
        queue.entries[self._order if key is None else key] = Waiting(
            channel, data, queue.lost, queue.torn, self._order, now
        )
        queue.lost, queue.torn = 0, False
        self.size += len(data) + ENTRY_BYTES

    def _replace(self, queue: _Queue, key: Hashable) -> None:
        """Take away what waits under `key`; losses told with it stay to be told."""
        replaced = queue.entries.pop(key, None)
        if replaced is not None:
            self.size -= replaced.size
            queue.lost += replaced.lost
            queue.torn |= replaced.torn

    def _make_room(self, queue: _Queue, data: bytes) -> None:
        """Drop the oldest of the channel until `data` fits, or nothing of it is left."""
        while queue.entries and not self._fits(data):
            dropped = queue.entries.popitem(last=False)[1]
            self.size -= dropped.size
            follower = next(iter(queue.entries.values()), None)
            heir = queue if follower is None else follower
            heir.lost += dropped.lost + 1
            heir.torn |= dropped.torn
