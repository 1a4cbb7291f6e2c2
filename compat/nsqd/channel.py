"""A channel: a queue of messages, the consumers who share it, and what is in flight or deferred.

All of it is policy without I/O: time is passed in, messages leave through Consumer.deliver, and `wake` tells
the owner that `hand_out` has something to do at the end of this loop turn.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence

from compat.nsqd.backend import Backend, BackendFailed
from compat.nsqd.consumer import Consumer
from compat.nsqd.deferred import Deferred
from compat.nsqd.in_flight import InFlight
from compat.nsqd.latency import LatencyWindow
from compat.nsqd.message import Message
from compat.nsqd.message_queue import MessageQueue
from nsqgw.protocol.names import is_ephemeral

HELPING_BYTES = 64 * 1024
"""What one consumer gets before the next in line has its turn and its socket is looked at again."""

_percent = random.Random().randrange


class Channel:
    """One channel of one topic.

    `open_backend` opens what is behind the memory of a queue, by the queue's name, and is told how to find
    a message that is in flight or deferred; an ephemeral channel has no use for it.
    """

    def __init__(
        self,
        topic_name: str,
        name: str,
        *,
        mem_queue_size: int,
        max_msg_timeout: float,
        wake: Callable[[Channel], None],
        open_backend: Callable[[str, Callable[[bytes], Message | None]], Backend],
        latencies: LatencyWindow | None = None,
    ) -> None:
        self.topic_name = topic_name
        self.name = name
        self.ephemeral = is_ephemeral(name)
        self.paused = False
        self.message_count = 0
        self.delivery_count = 0
        self.requeue_count = 0
        self.timeout_count = 0
        self.consumers: dict[Consumer, None] = {}
        self.latencies = latencies
        self._wake = wake
        self._in_flight = InFlight(max_msg_timeout)
        self._deferred = Deferred()
        backend = None if self.ephemeral else open_backend(f"{topic_name}:{name}", self._find)
        self._queue = MessageQueue(mem_queue_size, backend)
        self._line: deque[Consumer] = deque()

    @property
    def depth(self) -> int:
        """Messages waiting; neither in flight nor deferred."""
        return len(self._queue)

    @property
    def backend_depth(self) -> int:
        """The part of `depth` that memory had no room for."""
        return self._queue.backend_depth

    @property
    def overfull(self) -> bool:
        """Whether it holds what the backend did not take, and wants no more at the moment."""
        return not self.ephemeral and self._queue.overfull

    def find_unstored(self, message_id: bytes) -> Message | None:
        """The message, if it came from the topic and the backend did not take it."""
        return None if self.ephemeral else self._queue.find_unstored(message_id)

    @property
    def in_flight_count(self) -> int:
        return len(self._in_flight)

    @property
    def deferred_count(self) -> int:
        return len(self._deferred)

    def put(self, messages: Sequence[Message]) -> None:
        """Messages from the topic."""
        self.message_count += len(messages)
        self._enqueue(messages)

    def defer(self, message: Message, now: float) -> None:
        """A message from the topic that is to wait for `message.deferral` seconds."""
        self.message_count += 1
        self._deferred.put(message, now + message.deferral)
        self._queue.defer(message)
        self._wake(self)

    def add_consumer(self, consumer: Consumer) -> None:
        """A connection subscribed. Its RDY is 0, so nothing is delivered yet."""
        self.consumers[consumer] = None

    def remove_consumer(self, consumer: Consumer) -> None:
        """A connection ended. What it has in flight waits for its time-out (nsqd-tcp section 11)."""
        consumer.rdy = 0
        self.consumers.pop(consumer, None)

    def refresh(self, consumer: Consumer) -> None:
        """`consumer` may take more than before: RDY, an answer, or a socket that drained."""
        if consumer.spare > 0 and not consumer.in_line:
            consumer.in_line = True
            self._line.append(consumer)
            if len(self._queue):
                self._wake(self)

    def finish(self, message_ids: Sequence[bytes], consumer: Consumer) -> list[tuple[bytes, str]]:
        """FIN of many messages; the ids that failed, each with nsqd's reason."""
        if self.latencies is not None:
            self.latencies.record(self._in_flight.timestamps(message_ids, consumer))
        finished, failed = self._in_flight.finish(message_ids, consumer)
        consumer.in_flight_count -= finished
        consumer.finish_count += finished
        self.refresh(consumer)
        return failed

    def requeue(self, message_id: bytes, consumer: Consumer, delay: float, now: float) -> None:
        """REQ: to the tail of the queue, at once or after `delay` seconds. Raises NotInFlight."""
        message = self._in_flight.take(message_id, consumer)
        self.requeue_count += 1
        consumer.requeue_count += 1
        consumer.in_flight_count -= 1
        if delay > 0:
            self._deferred.put(message, now + delay)
        else:
            self._enqueue((message,))
        self.refresh(consumer)

    def touch(self, message_id: bytes, consumer: Consumer, now: float) -> None:
        """TOUCH: restart the message's time-out. Raises NotInFlight."""
        self._in_flight.touch(message_id, consumer, now)

    def scan(self, now: float) -> bool:
        """Put back what timed out, and what was deferred and is due. Whether anything is left to look at."""
        expired = self._in_flight.take_expired(now)
        for message in expired:
            self.timeout_count += 1
            message.owner.in_flight_count -= 1
            self.refresh(message.owner)
        due = self._deferred.take_due(now)
        if expired or due:
            self._enqueue(expired + due)
        if self.overfull:
            self._queue.relieve()
        unread = bool(self._queue.backend_depth and self._line and not self.paused)
        if unread:
            self._wake(self)  # it was not readable
        return bool(unread or self._in_flight or self._deferred or self.overfull)

    def hand_out(self, now: float) -> None:
        """Give the waiting messages to the consumers in line, in turn and in equal shares."""
        self._serve_line(now)
        if self.ephemeral:
            self._queue.drop_surplus()

    def set_paused(self, paused: bool) -> None:
        """Pause or go on; answers, time-outs and arrivals are not affected."""
        self.paused = paused
        self._wake(self)

    def empty(self) -> None:
        """Drop everything: waiting, in flight and deferred."""
        self._queue.empty()
        self._in_flight.clear()
        self._deferred.clear()
        for consumer in self.consumers:
            consumer.in_flight_count = 0
            self.refresh(consumer)

    def delete(self) -> None:
        """Drop everything for good, files and all."""
        self.empty()
        self._queue.delete()

    def store(self) -> int:
        """Write what waits in memory, is in flight or deferred to the backend, as nsqd does at its end.

        How many messages the backend did not take, which are lost.
        """
        if self.ephemeral:
            return 0
        lost = self._queue.store([*self._in_flight.messages(), *self._deferred.messages()])
        self._in_flight.clear()
        self._deferred.clear()
        return lost

    def _find(self, message_id: bytes) -> Message | None:
        return self._in_flight.find(message_id) or self._deferred.find(message_id)

    def _enqueue(self, messages: Sequence[Message]) -> None:
        try:
            self._queue.put(messages)
        except BackendFailed:
            self._queue.keep(messages)  # nsqd logs and loses them; here the topic waits until there is room
        self._wake(self)

    def _serve_line(self, now: float) -> None:
        queue, line = self._queue, self._line
        while line and not self.paused and (depth := len(queue)):
            share = -(-depth // len(line))
            for _ in range(len(line)):
                consumer = line.popleft()
                count = min(share, consumer.spare)
                if count > 0 and not self._give(consumer, count, now):
                    line.appendleft(consumer)
                    return  # no more in the queue, or not readable now
                consumer.in_line = consumer.spare > 0
                if consumer.in_line:
                    line.append(consumer)

    def _give(self, consumer: Consumer, count: int, now: float) -> bool:
        """Hand over up to `count`; whether there was something."""
        helping = taken = self._queue.take(count, HELPING_BYTES)
        if consumer.sample_rate:
            # nsqd draws 0..99 and keeps what is not above the rate; the rest is gone (nsqd-tcp section 13).
            helping = [message for message in helping if _percent(100) <= consumer.sample_rate]
        if helping:
            in_flight_before = len(self._in_flight)
            self._in_flight.start(helping, consumer, now)
            self.delivery_count += len(helping)
            consumer.in_flight_count += len(helping)
            consumer.message_count += len(helping)
            if len(self._in_flight) - in_flight_before != len(helping):
                self._count_in_flight()
            consumer.deliver(helping)
        return bool(taken)

    def _count_in_flight(self) -> None:
        """Some message is in flight twice, which a disk queue brings after a crash; only the last counts."""
        for consumer in self.consumers:
            consumer.in_flight_count = 0
        for message in self._in_flight.messages():
            message.owner.in_flight_count += 1
