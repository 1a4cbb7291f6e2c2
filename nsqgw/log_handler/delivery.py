"""Takes records from the backlog and publishes them in batches, until nsqd has confirmed each."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nsqgw.deadline import within
from nsqgw.errors import BadBody, BadMessage, Closed, MessageTooBig, NSQError
from nsqgw.log_handler.backlog import Backlog, Waiting
from nsqgw.log_handler.complaint import complain
from nsqgw.producer import Producer

SPOOL_AFTER = 1.0
"""A batch unconfirmed for so many seconds means that nsqd is away: what is in memory goes to the spool."""

_RETRY_PAUSE = 0.2
_SPOOL_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is due: records, bytes of them, or seconds since the oldest, whichever comes first."""

    max_messages: int
    max_bytes: int
    max_age: float

    def pause(self, waiting: Waiting, now: float) -> float:
        """Seconds until a batch is due; 0 when one is, infinity while there is nothing."""
        if waiting.urgent or waiting.count >= self.max_messages or waiting.size >= self.max_bytes:
            return 0.0
        if not waiting.count:
            return math.inf
        return max(0.0, waiting.since + self.max_age - now)


class Delivery:
    """Everything here happens on one event loop. A batch whose fate is unknown is published again."""

    def __init__(
        self, topic: str, backlog: Backlog, limits: BatchLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._topic = topic
        self._backlog = backlog
        self._limits = limits
        self._clock = clock
        self._at_once = limits.max_messages
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Records were added: perhaps a batch is due, or memory fills up."""
        if self._backlog.half_full:
            self._backlog.spool_all()
        self._woken.set()

    async def run(self, producer: Producer) -> None:
        """Deliver until cancelled, or until the producer is stopped."""
        with contextlib.suppress(Closed):
            while True:
                await self._wait_due()
                try:
                    batch = self._backlog.peek(self._at_once, self._limits.max_bytes)
                except OSError as error:  # out of file descriptors, say
                    self._backlog.tell_spool_failed(error)
                    await asyncio.sleep(_SPOOL_PAUSE)
                    continue
                if batch:
                    await self._deliver(producer, batch)

    async def _wait_due(self) -> None:
        while (seconds := self._limits.pause(self._backlog.waiting(), self._clock())) > 0:
            self._woken.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(None if seconds == math.inf else seconds, self._woken.wait())

    async def _deliver(self, producer: Producer, batch: list[bytes]) -> None:
        try:
            with self._spooling_meanwhile():
                await producer.publish_many(self._topic, batch)
        except (BadMessage, BadBody, MessageTooBig) as error:
            self._refused(batch, error)
        except Closed:
            raise
        except NSQError:  # told as a fact by the producer
            self._backlog.spool_all()
            await asyncio.sleep(_RETRY_PAUSE)
        else:
            self._at_once = min(2 * self._at_once, self._limits.max_messages)
            self._backlog.done(batch)
            if self._backlog.half_full:
                self._backlog.spool_all()

    def _refused(self, batch: list[bytes], error: NSQError) -> None:
        """Find the record that is too large for this nsqd by ever smaller batches; that one is lost."""
        self._at_once = max(1, len(batch) // 2)
        if len(batch) == 1:
            complain(f"a record of {len(batch[0])} bytes is lost, nsqd refuses it: {error}")
            self._backlog.refused(batch[0])

    @contextlib.contextmanager
    def _spooling_meanwhile(self) -> Iterator[None]:
        """While a publish takes long, what is in memory goes to the spool once in a while."""
        self._spool_later()
        try:
            yield
        finally:
            self._spooling.cancel()

    def _spool_later(self) -> None:
        self._spooling = asyncio.get_running_loop().call_later(SPOOL_AFTER, self._spool)

    def _spool(self) -> None:
        self._backlog.spool_all()
        self._spool_later()
