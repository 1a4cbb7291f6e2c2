"""The way of messages from consumers to one sink: taken in, batched over all topics, delivered, answered.

Bounds: messages by the consumers' max_in_flight; bytes by `max_bytes_held`, above which the consumers are
paused (what nsqd has sent by then still comes in).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateways.pipeline.batch import Batch, Batcher, BatchLimits
from gateways.pipeline.counters import Counters
from gateways.pipeline.delivery import Delivery
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import Sink
from nsqgw.message import Message

logger = logging.getLogger(__name__)

_RESUME_BELOW = 0.5  # of max_bytes_held: pausing and resuming for every batch would cost a RDY each
_TIMER_TOLERANCE = 0.001  # a timer may fire that much early
_STOP_MARGIN = 1.0  # seconds a consumer may take longer than the deadline: its messages are answered by then


class Source(Protocol):
    """What the pipeline needs of a consumer that was started; `nsqgw.Consumer` has it."""

    topic: str
    channel: str

    def batches(
        self, *, max_messages: int, max_bytes: int, max_wait: float
    ) -> AsyncIterator[Sequence[Message]]: ...
    @property
    def is_starved(self) -> bool: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    async def stop(self, timeout: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """How much is under way.

    batch            when a batch is cut
    concurrency      batches on the way to the sink at once
    max_bytes_held   bytes of messages in hand at which the consumers are paused
    send_timeout     for one try of one batch, seconds
    """

    batch: BatchLimits = field(default_factory=BatchLimits)
    concurrency: int = 4
    max_bytes_held: int = 256 * 1024 * 1024
    send_timeout: float = 30.0


class Pipeline:
    """Runs from `start` to `drain`; made inside a running event loop, with a sink that is open."""

    def __init__(
        self, sources: Sequence[Source], sink: Sink, limits: PipelineLimits, retry: RetryPolicy
    ) -> None:
        self._sources = sources
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._batcher = Batcher(limits.batch, sink.encode, sink.event_overhead)
        self.counters = Counters()
        self._delivery = Delivery(
            sink,
            retry,
            self.counters,
            concurrency=limits.concurrency,
            send_timeout=limits.send_timeout,
            on_settled=self._after_change,
        )
        self._intakes: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    @property
    def trouble(self) -> str | None:
        """Why the sink takes nothing at the moment; None when it does."""
        return self._delivery.trouble

    @property
    def held_messages(self) -> int:
        """Messages taken in and not answered."""
        waiting = self._batcher.open
        return self._delivery.held_messages + (len(waiting) if waiting else 0)

    @property
    def held_bytes(self) -> int:
        """Their size, encoded."""
        waiting = self._batcher.open
        return self._delivery.held_bytes + (waiting.size if waiting else 0)

    @property
    def oldest_age(self) -> float:
        """For how many seconds the oldest of them has been held."""
        waiting = self._batcher.open
        born = [waiting.born] if waiting else []
        if self._delivery.oldest is not None:
            born.append(self._delivery.oldest)
        return self._loop.time() - min(born) if born else 0.0

    def start(self) -> None:
        """Begin to take messages in."""
        self._delivery.start()
        self._intakes = [asyncio.create_task(self._take_in(source)) for source in self._sources]

    async def wait_closed(self) -> None:
        """Until the pipeline cannot go on; raises why (SinkGone), or returns after `drain`."""
        tasks = [*self._delivery.workers, *self._intakes]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled():
                task.result()

    async def drain(self, timeout: float) -> None:
        """Stop taking in, deliver what is here for at most `timeout` seconds, give back the rest at once."""
        deadline = self._loop.time() + timeout
        stops = [asyncio.create_task(source.stop(timeout + _STOP_MARGIN)) for source in self._sources]
        try:
            await self._flush(deadline)
        finally:
            self._submit(self._batcher.cut())
            await self._delivery.stop()
            for task in self._intakes:
                task.cancel()
            results = await asyncio.gather(*stops, *self._intakes, return_exceptions=True)
            if self._timer is not None:
                self._timer.cancel()
        for error in results:
            if isinstance(error, Exception):
                logger.warning("while stopping: %s", error)

    async def _flush(self, deadline: float) -> None:
        """Until all is delivered, the deadline passes, or the sink is gone."""
        if self._intakes:
            await asyncio.wait(self._intakes, timeout=deadline - self._loop.time())
        self._submit(self._batcher.cut())
        failed = asyncio.create_task(self._wait_failed())
        emptied = asyncio.create_task(self._delivery.wait_empty())
        try:
            await asyncio.wait(
                {failed, emptied}, timeout=deadline - self._loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            failed.cancel()
            emptied.cancel()

    async def _wait_failed(self) -> None:
        await asyncio.wait(self._delivery.workers, return_when=asyncio.FIRST_EXCEPTION)

    # -- messages in

    async def _take_in(self, source: Source) -> None:
        stream = (source.topic, source.channel)
        limits = self._limits.batch
        chunks = source.batches(max_messages=limits.max_messages, max_bytes=limits.max_bytes, max_wait=0.0)
        async for chunk in chunks:
            self.counters.received[stream] += len(chunk)
            self.counters.received_bytes[stream] += sum(len(message.body) for message in chunk)
            for batch in self._batcher.add(chunk, self._loop.time()):
                self._submit(batch)
            self._after_change()

    def _after_change(self) -> None:
        """Messages came or left: cut the open batch if it is time, keep the bounds."""
        if self._delivery.has_idle_worker and self._is_time():
            self._submit(self._batcher.cut())
        self._keep_bounds()
        self._set_timer()

    def _is_time(self) -> bool:
        """Whether the open batch is old enough, or nsqd sends no more before it is answered.

        Asked only when the sink has nothing to do; otherwise the batch goes on growing until it is full.
        """
        due = self._batcher.due_at
        if due is None:
            return False
        return due - self._loop.time() < _TIMER_TOLERANCE or any(
            source.is_starved for source in self._sources
        )

    def _submit(self, batch: Batch | None) -> None:
        if batch is not None:
            self._delivery.submit(batch)

    def _keep_bounds(self) -> None:
        held, limit = self.held_bytes, self._limits.max_bytes_held
        if not self._paused and held >= limit:
            self._paused = True
            for source in self._sources:
                source.pause()
        elif self._paused and held < limit * _RESUME_BELOW:
            self._paused = False
            for source in self._sources:
                source.resume()

    def _set_timer(self) -> None:
        """One timer, for the age of the open batch; none once it is old and waits for the sink."""
        due = self._batcher.due_at
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None and due - self._loop.time() >= _TIMER_TOLERANCE:
            self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._after_change()
