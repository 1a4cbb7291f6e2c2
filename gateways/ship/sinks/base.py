"""What sinks with blocking writes have in common: lines, a thread, and no batch written twice at once."""

from __future__ import annotations

import abc
import asyncio
from weakref import WeakKeyDictionary

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from nsqgw.message import Message
from nsqgw.service.lane import Lane


class LineSink(abc.ABC):
    """Each body as it is, and a newline. Subclasses open, write and close, all three in the sink's thread."""

    name: str
    event_overhead = len(b"\n")
    max_events = 0
    max_bytes = 0

    def __init__(self) -> None:
        self._lane: Lane | None = None
        self._writes: WeakKeyDictionary[Batch, asyncio.Future[None]] = WeakKeyDictionary()

    async def open(self) -> None:
        """Open the target. Raises SinkUnusable."""
        self._lane = Lane(f"sink {self.name}")
        await self._lane.submit(self._open)

    def encode(self, message: Message) -> bytes:
        """The body itself."""
        return message.body

    async def send(self, batch: Batch) -> Outcome:
        """Write the batch; confirmed once `_write` has returned.

        Cancelled before the write began, it never begins: the batch may go back to nsqd and come again from
        there. A write under way cannot be stopped. When the pipeline sends the same batch again, that waits
        for the write: the batch is not written twice.
        """
        assert self._lane is not None, "the sink was not opened"
        write = self._writes.get(batch)
        if write is None:
            events = batch.events
            write = self._lane.submit(lambda: self._write(b"\n".join(events) + b"\n"))
            write.add_done_callback(_outcome_seen)
            self._writes[batch] = write
        try:
            await asyncio.shield(write)
        except OSError as error:
            del self._writes[batch]
            return Outcome(Fate.RETRY, error.strerror or str(error))
        except asyncio.CancelledError:
            if self._lane.give_up(write):
                del self._writes[batch]
            raise
        return CONFIRMED

    async def close(self) -> None:
        """Close the target after the writes under way, without waiting for them."""
        if self._lane is not None:
            self._lane.submit(self._close)
            self._lane.close()

    @abc.abstractmethod
    def describe(self) -> str:
        """See `Sink.describe`."""

    @abc.abstractmethod
    def _open(self) -> None: ...

    @abc.abstractmethod
    def _write(self, data: bytes) -> None:
        """Write all of `data` and make it as durable as the sink promises; OSError when that failed."""

    @abc.abstractmethod
    def _close(self) -> None: ...


def _outcome_seen(write: asyncio.Future[None]) -> None:
    """Nobody may be waiting for a write that failed: the pipeline gave it up, or gave the batch back."""
    if not write.cancelled():
        write.exception()
