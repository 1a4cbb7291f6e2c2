"""One sink of a pipeline: its open batch, when that goes out, and its delivery."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateways.pipeline.batch import Batcher, BatchLimits
from gateways.pipeline.counters import SinkCounters
from gateways.pipeline.delivery import Delivery, DeliveryLimits
from gateways.pipeline.ends import Ends
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import InOrder, Sink
from gateways.pipeline.watch import Show, as_sent
from nsqgw.message import Message

logger = logging.getLogger(__name__)

_TIMER_TOLERANCE = 0.001  # a timer may fire that much early
_SMALLER_FOR = 600.0  # seconds for which batches are smaller after one was too large


class Branch:
    """Runs until `stop`. `on_change` is called when messages left or the circuit changed, see `Delivery`."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        ends: Ends,
        *,
        batch: BatchLimits,
        delivery: DeliveryLimits,
        retry: RetryPolicy,
        on_change: Callable[[], None],
        on_gone: Callable[[Exception], None],
    ) -> None:
        self.name = name
        self.sink = sink
        self._ends = ends
        self._on_change = on_change
        self._limits = batch.within(sink.max_events, sink.max_bytes)
        self._batcher = Batcher(self._limits, sink.encode, sink.event_overhead)
        one_at_a_time = replace(delivery, concurrency=1, max_concurrency=1)
        self._delivery = Delivery(
            sink,
            retry,
            one_at_a_time if isinstance(sink, InOrder) else delivery,
            ends,
            on_change=on_change,
            on_too_large=self._make_smaller,
            on_gone=on_gone,
        )
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._smaller_until = 0.0

    # -- what may be known

    @property
    def counters(self) -> SinkCounters:
        """What the sink was sent."""
        return self._delivery.counters

    @property
    def trouble(self) -> str | None:
        """Why the sink takes nothing at the moment; None when it does."""
        return self._delivery.trouble

    @property
    def concurrency(self) -> int:
        """Batches that may be on their way to it at once, as of now."""
        return self._delivery.concurrency

    @property
    def is_open(self) -> bool:
        """Whether it failed for so long that nothing is to be taken in for it."""
        return self._delivery.circuit.is_open

    @property
    def probe_in(self) -> float:
        """Seconds until an open circuit may be tried with a message."""
        return self._delivery.circuit.delay(self._loop.time())

    @property
    def held_messages(self) -> int:
        """Messages it was given and is not done with."""
        waiting = self._batcher.open
        return self._delivery.held_messages + (len(waiting) if waiting else 0)

    @property
    def held_bytes(self) -> int:
        """Their size, encoded."""
        waiting = self._batcher.open
        return self._delivery.held_bytes + (waiting.size if waiting else 0)

    @property
    def memory_bytes(self) -> int:
        """Memory they take: events, bodies beside them, requests made of those on their way."""
        waiting = self._batcher.open
        return self.held_bytes + self._delivery.extra_bytes + (waiting.size if waiting else 0)

    @property
    def oldest(self) -> float | None:
        """When the oldest of them arrived."""
        waiting = self._batcher.open
        born = [waiting.born] if waiting else []
        if self._delivery.oldest is not None:
            born.append(self._delivery.oldest)
        return min(born, default=None)

    @property
    def oldest_age(self) -> float:
        """For how many seconds it has been held; 0 when nothing is."""
        return 0.0 if self.oldest is None else self._loop.time() - self.oldest

    def watch(self, show: Show | None) -> None:
        """Show what the sink confirms from now on; None when nobody watches any more."""
        self._delivery.on_confirmed = (
            None if show is None else lambda batch: show("sent", as_sent(batch), self.name)
        )

    # -- messages in

    def add(self, messages: Sequence[Message], views: Sequence[Message] | None = None) -> None:
        """Take messages in; `views` are what transforms made of them."""
        now = self._loop.time()
        if self._smaller_until and now >= self._smaller_until:
            self._smaller_until = 0.0
            self._batcher.max_bytes = self._limits.max_bytes
        for batch in self._batcher.add(messages, now, views):
            self._delivery.submit(batch)

    def flush_if_time(self, starved: Callable[[], bool]) -> None:
        """Send the open batch if it is old enough, or if nsqd sends no more before it is answered.

        Only when the sink has nothing to do; otherwise the batch goes on growing until it is full.
        """
        due = self._batcher.due_at
        # One reading of the clock: between two of them a batch could become due, unsent and without a timer.
        is_old = due is not None and due - self._loop.time() < _TIMER_TOLERANCE
        if due is not None and self._delivery.has_room and (is_old or starved()):
            self.flush()
            due = None
        self._set_timer(None if is_old else due)

    def flush(self) -> None:
        """Send the open batch."""
        batch = self._batcher.cut()
        if batch is not None:
            self._delivery.submit(batch)

    async def wait_while_useful(self) -> None:
        """Until everything taken in and flushed is done with, or waits for a person."""
        await self._delivery.wait_while_useful()

    async def stop(self) -> None:
        """End the tries under way; what is left is given up."""
        self.flush()
        for batch in await self._delivery.stop():
            self._ends.abandoned(batch)
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, due: float | None) -> None:
        """One timer, for the age of the open batch; none once it is old and waits for the sink."""
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._on_change()

    def _make_smaller(self, size: int) -> None:
        """The sink takes no batch of so many bytes: smaller ones for the next minutes."""
        smaller = max(1, size // 2)
        if smaller < self._batcher.max_bytes:
            self._batcher.max_bytes = smaller
            logger.warning("%s: %d bytes are too much at once, now at most %d", self.name, size, smaller)
        self._smaller_until = self._loop.time() + _SMALLER_FOR
