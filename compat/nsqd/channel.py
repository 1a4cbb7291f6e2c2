"""A channel: a queue of messages, the consumers who share it, and what is in flight or deferred.

All of it is policy without I/O: time is passed in, messages leave through Consumer.deliver, and `wake` tells
the owner that `hand_out` has something to do at the end of this loop turn.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence

from compat.nsqd.consumer import Consumer
from compat.nsqd.deferred import Deferred
from compat.nsqd.in_flight import InFlight
from compat.nsqd.latency import LatencyWindow
from compat.nsqd.message import Message
from nsqgw.protocol.names import is_ephemeral

HELPING_BYTES = 64 * 1024
"""What one consumer gets before the next in line has its turn and its socket is looked at again."""

_percent = random.Random().randrange


class Channel:
    """One channel of one topic."""

    def __init__(
        self,
        topic_name: str,
        name: str,
        *,
        mem_queue_size: int,
        max_msg_timeout: float,
        wake: Callable[[Channel], None],
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
        self._mem_queue_size = mem_queue_size
        self._wake = wake
        self._queue: deque[Message] = deque()
        self._in_flight = InFlight(max_msg_timeout)
        self._deferred = Deferred()
        self._line: deque[Consumer] = deque()

    @property
    def depth(self) -> int:
        """Messages waiting; neither in flight nor deferred."""
        return len(self._queue)

    @property
    def backend_depth(self) -> int:
        """The part of `depth` beyond mem-queue-size, which the original keeps on disk."""
        return max(0, len(self._queue) - self._mem_queue_size)

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
            if self._queue:
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

    def scan(self, now: float) -> None:
        """Put back what timed out, and what was deferred and is due."""
        expired = self._in_flight.take_expired(now)
        for message in expired:
            self.timeout_count += 1
            message.owner.in_flight_count -= 1
            self.refresh(message.owner)
        due = self._deferred.take_due(now)
        if expired or due:
            self._enqueue(expired + due)

    def hand_out(self, now: float) -> None:
        """Give the waiting messages to the consumers in line, in turn and in equal shares."""
        queue, line = self._queue, self._line
        while queue and line and not self.paused:
            share = -(-len(queue) // len(line))
            for _ in range(len(line)):
                if not queue:
                    break
                consumer = line.popleft()
                if (count := min(share, consumer.spare, len(queue))) > 0:
                    self._give(consumer, count, now)
                consumer.in_line = consumer.spare > 0
                if consumer.in_line:
                    line.append(consumer)
        if self.ephemeral:
            self._drop_surplus()

    def set_paused(self, paused: bool) -> None:
        """Pause or go on; answers, time-outs and arrivals are not affected."""
        self.paused = paused
        self._wake(self)

    def empty(self) -> None:
        """Drop everything: waiting, in flight and deferred."""
        self._queue.clear()
        self._in_flight.clear()
        self._deferred.clear()
        for consumer in self.consumers:
            consumer.in_flight_count = 0
            self.refresh(consumer)

    def _enqueue(self, messages: Sequence[Message]) -> None:
        self._queue.extend(messages)
        self._wake(self)

    def _give(self, consumer: Consumer, count: int, now: float) -> None:
        helping: list[Message] = []
        size, popleft = 0, self._queue.popleft
        while len(helping) < count and size < HELPING_BYTES:
            message = popleft()
            size += len(message.body)
            helping.append(message)
        if consumer.sample_rate:
            # nsqd draws 0..99 and keeps what is not above the rate; the rest is gone (nsqd-tcp section 13).
            helping = [message for message in helping if _percent(100) <= consumer.sample_rate]
        if helping:
            self._in_flight.start(helping, consumer, now)
            self.delivery_count += len(helping)
            consumer.in_flight_count += len(helping)
            consumer.message_count += len(helping)
            consumer.deliver(helping)

    def _drop_surplus(self) -> None:
        """An ephemeral queue has no disk behind it: what memory cannot hold is gone (nsqd-tcp section 14)."""
        while len(self._queue) > self._mem_queue_size:
            self._queue.pop()
