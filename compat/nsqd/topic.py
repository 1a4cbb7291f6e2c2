"""A topic: messages on their way to all of its channels.

Policy without I/O, like Channel: `wake` tells the owner that `pump` has something to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat

from compat.nsqd.channel import Channel
from compat.nsqd.message import Message
from compat.nsqd.message_ids import MessageIds
from nsqgw.protocol.names import is_ephemeral


class Topic:
    """One topic. It moves nothing before `started` is set: first its known channels must exist."""

    def __init__(self, name: str, node_id: int, mem_queue_size: int, wake: Callable[[Topic], None]) -> None:
        self.name = name
        self.ephemeral = is_ephemeral(name)
        self.started = False
        self.paused = False
        self.message_count = 0
        self.message_bytes = 0
        self.channels: dict[str, Channel] = {}
        self._ids = MessageIds(node_id)
        self._mem_queue_size = mem_queue_size
        self._wake = wake
        self._queue: deque[Message] = deque()

    @property
    def depth(self) -> int:
        """Messages that have not gone to the channels."""
        return len(self._queue)

    @property
    def backend_depth(self) -> int:
        """The part of `depth` beyond mem-queue-size, which the original keeps on disk."""
        return max(0, len(self._queue) - self._mem_queue_size)

    def put(self, bodies: Sequence[bytes], now_ns: int, deferral: float = 0.0) -> None:
        """Take published messages; `now_ns` becomes their timestamp, `deferral` is in seconds."""
        ids = self._ids.take(len(bodies), now_ns)
        self._queue.extend(map(Message, ids, repeat(now_ns), bodies, repeat(deferral)))
        self.message_count += len(bodies)
        self.message_bytes += sum(map(len, bodies))
        self._wake(self)

    def start(self) -> None:
        """The known channels exist: messages may flow."""
        self.started = True
        self._wake(self)

    def add_channel(self, channel: Channel) -> None:
        """A new channel; the first one receives what has piled up."""
        self.channels[channel.name] = channel
        self._wake(self)

    def set_paused(self, paused: bool) -> None:
        """Pause or go on; publishing is not affected."""
        self.paused = paused
        self._wake(self)

    def pump(self, now: float) -> None:
        """Move everything that waits to every channel; the first gets the originals, the others copies."""
        if self._queue and self.channels and self.started and not self.paused:
            messages = list(self._queue)
            self._queue.clear()
            first, *others = self.channels.values()
            for channel in others:
                self._pass_on([message.copy() for message in messages], channel, now)
            self._pass_on(messages, first, now)
        if self.ephemeral:
            self._drop_surplus()

    def empty(self) -> None:
        """Drop what has not gone to the channels."""
        self._queue.clear()

    @staticmethod
    def _pass_on(messages: list[Message], channel: Channel, now: float) -> None:
        at_once = [message for message in messages if not message.deferral]
        if len(at_once) < len(messages):
            for message in messages:
                if message.deferral:
                    channel.defer(message, now)
        if at_once:
            channel.put(at_once)

    def _drop_surplus(self) -> None:
        """An ephemeral queue has no disk behind it: what memory cannot hold is gone (nsqd-tcp section 14)."""
        while len(self._queue) > self._mem_queue_size:
            self._queue.pop()
