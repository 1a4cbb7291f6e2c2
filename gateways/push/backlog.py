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

from gateways.push.frame import Burst, Encoding, Frame
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

    __slots__ = ("channel", "entries", "lost", "policy", "torn")

    def __init__(self, channel: str, policy: Policy) -> None:
        self.channel = channel
        self.policy = policy
        self.entries: OrderedDict[Hashable, Waiting] = OrderedDict()
        self.lost = 0
        """Messages lost after the last entry."""
        self.torn = False


class Backlog:
    """The queues of one browser: `max_bytes` at most, and under `disconnect` nothing older than `max_age`.

    Times are in seconds, by the event loop's clock. `patience` is how long the transport may take nothing.
    What a piece of data costs does not depend on how many channels wait.
    """

    __slots__ = (
        "_in_order",
        "_max_age",
        "_max_bytes",
        "_order",
        "_patience",
        "_policy_of",
        "_queues",
        "_since",
        "_stalled_at",
        "_tails",
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
        """By channel, as long as there is something in them."""
        self._in_order: OrderedDict[int, tuple[_Queue, Hashable]] = OrderedDict()
        """All entries of all queues, the oldest first."""
        self._since: OrderedDict[int, float] = OrderedDict()
        """When those came that must not get too old."""
        self._tails: dict[str, _Queue] = {}
        """Queues that have nothing but losses."""
        self._order = 0
        self.size = 0
        """Bytes that wait, and what it costs to keep them."""

    def tear(self, channel: str) -> None:
        """Messages of `channel` were lost after what waits, nobody knows how many."""
        queue = self._queue(channel)
        queue.torn = True
        self._settle(queue)

    def add(self, burst: Burst, encoding: Encoding, now: float) -> bool:
        """Queue `burst` as this browser gets it; False when the browser has to go instead."""
        queue = self._queue(burst.channel)
        if queue.policy.lag is Lag.DISCONNECT:
            data = burst.encoded(encoding)
            if not self._fits(data) or self.overdue(now):
                return False
            self._append(queue, None, data, now)
            return True
        for frame in burst.frames:
            self._add(queue, frame, encoding, now)
        self._settle(queue)
        return True

    def forget(self, name: str) -> None:
        """Drop what waits of the channel or pattern `name`: the browser no longer wants it."""
        for queue in [queue for channel, queue in self._queues.items() if covers(name, channel)]:
            for key in tuple(queue.entries):
                self._remove(queue, key)
            self._let_go(queue)

    def stall(self, now: float) -> None:
        """The transport takes nothing more from `now` on, until it has written what it holds."""
        self._stalled_at = now

    def overdue(self, now: float) -> bool:
        """Whether what waits, in here or in the transport, has waited too long: the browser has to go."""
        if now - self._stalled_at > self._patience:
            return True
        return bool(self._since) and now - next(iter(self._since.values())) > self._max_age

    def take(self) -> Waiting | None:
        """What is to be written next, the oldest of all channels, or None when nothing waits."""
        if self._tails:
            queue = next(iter(self._tails.values()))
            self._let_go(queue)
            return Waiting(queue.channel, b"", queue.lost, queue.torn, self._order, self._stalled_at)
        if not self._in_order:
            return None
        queue, key = next(iter(self._in_order.values()))
        waiting = self._remove(queue, key)
        self._settle(queue)
        return waiting

    def _add(self, queue: _Queue, frame: Frame, encoding: Encoding, now: float) -> None:
        """Queue a frame where some may be lost."""
        data = frame.encoded(encoding)
        key: Hashable = None
        if queue.policy.conflating and frame.conflated:
            key = frame.encoded(queue.policy.key)
            self._replace(queue, key)
        elif queue.policy.lag is Lag.DROP_NEW and not self._fits(data):
            queue.lost += 1
            return
        self._make_room(queue, data)
        if self._fits(data):
            self._append(queue, key, data, now)
        else:
            queue.lost += 1

    def _queue(self, channel: str) -> _Queue:
        queue = self._queues.get(channel)
        if queue is None:
            queue = self._queues[channel] = _Queue(channel, self._policy_of(channel))
        return queue

    def _fits(self, data: bytes) -> bool:
        return self.size + len(data) + ENTRY_BYTES <= self._max_bytes

    def _append(self, queue: _Queue, key: Hashable, data: bytes, now: float) -> None:
        self._order += 1
        key = self._order if key is None else key
        queue.entries[key] = Waiting(queue.channel, data, queue.lost, queue.torn, self._order, now)
        queue.lost, queue.torn = 0, False
        self._tails.pop(queue.channel, None)
        self._in_order[self._order] = queue, key
        if queue.policy.lag is Lag.DISCONNECT:
            self._since[self._order] = now
        self.size += len(data) + ENTRY_BYTES

    def _remove(self, queue: _Queue, key: Hashable) -> Waiting:
        waiting = queue.entries.pop(key)
        del self._in_order[waiting.order]
        self._since.pop(waiting.order, None)
        self.size -= waiting.size
        return waiting

    def _settle(self, queue: _Queue) -> None:
        """Keep a queue without entries only to tell of its losses."""
        if queue.entries:
            return
        if queue.lost or queue.torn:
            self._tails[queue.channel] = queue
        else:
            self._let_go(queue)

    def _let_go(self, queue: _Queue) -> None:
        self._queues.pop(queue.channel, None)
        self._tails.pop(queue.channel, None)

    def _replace(self, queue: _Queue, key: Hashable) -> None:
        """Take away what waits under `key`; losses told with it stay to be told."""
        if key in queue.entries:
            replaced = self._remove(queue, key)
            queue.lost += replaced.lost
            queue.torn |= replaced.torn

    def _make_room(self, queue: _Queue, data: bytes) -> None:
        """Drop the oldest of the channel until `data` fits, or nothing of it is left."""
        while queue.entries and not self._fits(data):
            dropped = self._remove(queue, next(iter(queue.entries)))
            follower = next(iter(queue.entries.values()), None)
            heir = queue if follower is None else follower
            heir.lost += dropped.lost + 1
            heir.torn |= dropped.torn
