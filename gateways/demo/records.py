"""Log records as messages: a logging handler that never waits, and the task that publishes what it took.

The handler only appends to a bounded queue. What does not fit is dropped, counted, and said in a record of
its own. Records about the publishing itself are left out: each would cause the next.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque

from nsqgw import Producer
from nsqgw.errors import NSQError
from nsqgw.instrument import Fact

logger = logging.getLogger(__name__)

CAPACITY = 1000
PUBLISH_TIMEOUT = 5.0


class RecordQueue(logging.Handler):
    """Takes records from any thread and keeps up to `capacity` of them as JSON bodies."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__()
        self._bodies: deque[bytes] = deque()
        self._capacity = capacity
        self._dropped_since = 0
        self.dropped = 0
        """Records lost so far, because the queue was full or nsqd was away."""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging under the handler's lock."""
        if record.name == __name__:
            return
        if len(self._bodies) >= self._capacity:
            self._drop(1)
            return
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # logging's own handlers report the mistake in the call
            text = str(record.msg)
        self._bodies.append(_body(record.created, record.levelname, record.name, text))

    def take(self) -> list[bytes]:
        """Everything queued; the last says how many were dropped, if any were."""
        with self.lock:  # type: ignore[union-attr]  # createLock() has made one
            bodies = list(self._bodies)
            self._bodies.clear()
            dropped, self._dropped_since = self._dropped_since, 0
        if dropped:
            text = f"{dropped} log records were dropped: more came than could be published"
            bodies.append(_body(time.time(), "WARNING", __name__, text))
        return bodies

    def lost(self, count: int) -> None:
        """Records that were taken could not be published."""
        with self.lock:  # type: ignore[union-attr]
            self._drop(count)

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._dropped_since += count


async def publish_records(queue: RecordQueue, producer: Producer, topic: str) -> None:
    """Publish what `queue` holds now, and say when that does not work."""
    bodies = queue.take()
    if not bodies:
        return
    try:
        await producer.publish_many(topic, bodies, timeout=PUBLISH_TIMEOUT)
    except NSQError as error:
        queue.lost(len(bodies))
        logger.warning("%d log records were not published: %s", len(bodies), error)


def note_quietly(fact: Fact) -> None:
    """The producer's facts, on the logger whose records are not published."""
    logger.info("%s", fact)


def _body(created: float, level: str, name: str, text: str) -> bytes:
    return json.dumps({"time": created, "level": level.lower(), "logger": name, "text": text}).encode()
