"""What sinks with blocking writes have in common: a thread, and no batch written twice at once."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import Outcome
from nsqgw.deadline import within
from nsqgw.message import Message
from nsqgw.service.lane import Lane

_CLOSE_TIMEOUT = 1.0


class ThreadSink(abc.ABC):
    """Each body as it is, and a newline. Subclasses open, write and close, all three in the sink's thread.

    With `gather_for` a write waits so many seconds for more batches to come, up to `gather_up_to` of them.
    """

    name: str
    together = True
    """Batches that wait together are written together, so that they share one fsync or commit."""

    event_overhead = len(b"\n")
    max_events = 0
    max_bytes = 0

    def __init__(self, gather_for: float = 0.0, gather_up_to: int = 1) -> None:
        self._gather_for = gather_for
        self._gather_up_to = gather_up_to
        self._lane: Lane | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._waiting: dict[Batch, asyncio.Future[Outcome]] = {}
        self._outcomes: WeakKeyDictionary[Batch, asyncio.Future[Outcome]] = WeakKeyDictionary()

    async def open(self) -> None:
        """Open the target. Raises SinkUnusable."""
        self._lane = Lane(f"sink {self.name}")
        await self._lane.submit(self._open)

    def encode(self, message: Message) -> bytes:
        """The body itself."""
        return message.body

    async def send(self, batch: Batch) -> Outcome:
        """Write the batch; what `_write` says of it.

        Cancelled before the write began, it never begins: the batch may go back to nsqd and come again from
        there. A write under way cannot be stopped. When the pipeline sends the same batch again, that waits
        for the write: the batch is not written twice.
        """
        outcome = self._outcomes.get(batch)
        if outcome is None:
            outcome = asyncio.get_running_loop().create_future()
            self._outcomes[batch] = self._waiting[batch] = outcome
            self._write_if_time()
        try:
            result = await asyncio.shield(outcome)
        except asyncio.CancelledError:
            if self._waiting.pop(batch, None) is not None:
                del self._outcomes[batch]
            raise
        except Exception:  # whatever a write raises: the next try writes anew
            self._outcomes.pop(batch, None)
            raise
        self._outcomes.pop(batch, None)
        return result

    async def close(self) -> None:
        """Close the target after the writes under way, waiting for moments only."""
        if self._timer is not None:
            self._timer.cancel()
        if self._lane is not None:
            closed = self._lane.submit(self._close)
            self._lane.close()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(_CLOSE_TIMEOUT, asyncio.shield(closed))

    # -- batches to the thread, in the loop

    def _write_if_time(self) -> None:
        if self._writing or not self._waiting:
            return
        if self._gather_for <= 0 or len(self._waiting) >= self._gather_up_to:
            self._begin()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_for, self._begin)

    def _begin(self) -> None:
        assert self._lane is not None, "the sink was not opened"
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batches = list(self._waiting) if self.together else list(self._waiting)[:1]
        if not batches:
            return
        outcomes = [self._waiting.pop(batch) for batch in batches]
        self._writing = True
        write = self._lane.submit(lambda: self._write(batches))
        write.add_done_callback(lambda done: self._written(done, outcomes))

    def _written(
        self, write: asyncio.Future[Sequence[Outcome]], outcomes: list[asyncio.Future[Outcome]]
    ) -> None:
        self._writing = False
        error = write.exception()
        for index, outcome in enumerate(outcomes):
            if error is None:
                outcome.set_result(write.result()[index])
            else:
                outcome.set_exception(error)
                outcome.exception()  # nobody may be waiting: the pipeline gave it up, or gave the batch back
        self._write_if_time()

    # -- what subclasses do, in the thread

    @abc.abstractmethod
    def describe(self) -> str:
        """See `Sink.describe`."""

    @abc.abstractmethod
    def _open(self) -> None: ...

    @abc.abstractmethod
    def _write(self, batches: Sequence[Batch]) -> Sequence[Outcome]:
        """Write all, make them as durable as the sink promises, and say of each batch what became of it."""

    @abc.abstractmethod
    def _close(self) -> None: ...
