"""A topic: messages on their way to all of its channels.

Policy without I/O, like Channel: `wake` tells the owner that `pump` has something to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

from compat.nsqd.backend import Backend
from compat.nsqd.channel import Channel
from compat.nsqd.message import Message
from compat.nsqd.message_ids import MessageIds
from compat.nsqd.message_queue import MessageQueue
from nsqgw.protocol.names import is_ephemeral

PUMP_MESSAGES = 2000
PUMP_BYTES = 256 * 1024
"""What goes from the backend to the channels in one turn of the loop; others have theirs in between."""


class Topic:
    """One topic. It moves nothing before `started` is set: first its known channels must exist.

    `open_backend` opens what is behind the memory of its queue, by the queue's name; an ephemeral topic has
    no use for it. Where memory is to hold nothing, it is told how to find a message that a channel could not
    store: until then the topic's file has the only copy that outlives a crash.
    """

    def __init__(
        self,
        name: str,
        node_id: int,
        mem_queue_size: int,
        wake: Callable[[Topic], None],
        open_backend: Callable[[str, Callable[[bytes], Message | None] | None], Backend],
    ) -> None:
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
        find = None if mem_queue_size else self._find_unstored
        backend = None if self.ephemeral else open_backend(name, find)
        self._queue = MessageQueue(mem_queue_size, backend)

    @property
    def depth(self) -> int:
        """Messages that have not gone to the channels."""
        return len(self._queue)

    @property
    def backend_depth(self) -> int:
        """The part of `depth` that memory had no room for."""
        return self._queue.backend_depth

    def put(self, bodies: Sequence[bytes], now_ns: int, deferral: float = 0.0) -> None:
        """Take published messages; `now_ns` becomes their timestamp, `deferral` is in seconds.

        Raises BackendFailed: then none of them was taken. One that goes to disk loses its deferral, so with
        mem-queue-size 0 deferred ones stay in memory if they can leave at once, as in nsqd.
        """
        ids = self._ids.take(len(bodies), now_ns)
        messages = list(map(Message, ids, repeat(now_ns), bodies, repeat(deferral)))
        if deferral and not self._mem_queue_size and self._flows:
            self._queue.keep(messages)
        else:
            self._queue.put(messages)
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
        """Move what waits to every channel; the first gets the originals, the others copies.

        It stands still while a channel cannot store what it has: better here than nowhere.
        """
        if self._flows and len(self._queue) and not any(each.overfull for each in self.channels.values()):
            messages = self._queue.take_memory(PUMP_MESSAGES, PUMP_BYTES)
            first, *others = self.channels.values()
            for channel in others:
                self._pass_on([message.copy() for message in messages], channel, now)
            self._pass_on(messages, first, now)
            if self._queue.backend_depth and messages:
                self._wake(self)
        if self.ephemeral:
            self._queue.drop_surplus()

    def scan(self) -> bool:
        """Try again what a full channel or an unreadable disk held up; whether there is any."""
        stuck = self._flows and len(self._queue) > 0
        if stuck:
            self._wake(self)
        return stuck

    def store(self) -> int:
        """Stand still for good, and write what is in memory to the backend.

        How many messages it did not take, which are lost.
        """
        self.started = False
        return 0 if self.ephemeral else self._queue.store()

    def empty(self) -> None:
        """Drop what has not gone to the channels."""
        self._queue.empty()

    def delete(self) -> None:
        """Drop it for good, files and all."""
        self._queue.delete()

    @property
    def _flows(self) -> bool:
        return bool(self.channels) and self.started and not self.paused

    def _find_unstored(self, message_id: bytes) -> Message | None:
        for channel in self.channels.values():
            message = channel.find_unstored(message_id)
            if message is not None:
                return message
        return None

    @staticmethod
    def _pass_on(messages: list[Message], channel: Channel, now: float) -> None:
        at_once = [message for message in messages if not message.deferral]
        if len(at_once) < len(messages):
            for message in messages:
                if message.deferral:
                    channel.defer(message, now)
        if at_once:
            channel.put(at_once)
