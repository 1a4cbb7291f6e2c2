"""Splunk's indexer acknowledgements: one question for all batches that wait, asked again and again.

Splunk numbers what it takes on a channel, in memory: after a restart it begins with 0 again, and the number
of a batch that was lost stands for another one. So a channel on which something failed gets no more batches.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome

Ask = Callable[[str, list[int]], Awaitable[dict[int, bool]]]
"""Which of these ids of a channel are acknowledged; an id that is missing, or false, may be so later."""

_MOST_AT_ONCE = 1000


@dataclass(slots=True)
class _Pending:
    channel: str
    ack_id: int
    expires: float
    told: asyncio.Event
    acknowledged: bool = False
    lost: str = ""  # why it never will be


class Acknowledgements:
    """Batches that Splunk has taken, until the indexers have them; `timeout` and `interval` in seconds.

    A batch that the pipeline gave up waiting for is remembered: sent again, it goes on to wait.
    """

    def __init__(self, ask: Ask, interval: float, timeout: float) -> None:
        self._ask = ask
        self._interval = interval
        self._timeout = timeout
        self._pending: WeakKeyDictionary[Batch, _Pending] = WeakKeyDictionary()
        self._sent_on: WeakKeyDictionary[Batch, str] = WeakKeyDictionary()
        self._channel = ""
        self.change_channel()
        self._asking: asyncio.Task[None] | None = None

    def change_channel(self) -> None:
        """Something failed: Splunk may have begun anew."""
        self._channel = str(uuid.uuid4())

    def channel_for(self, batch: Batch) -> str:
        """The channel to send a batch on."""
        self._sent_on[batch] = self._channel
        return self._channel

    def expect(self, batch: Batch, ack_id: int) -> None:
        """Splunk has taken the batch, under this id; a batch that had the same one before is lost."""
        now, channel = asyncio.get_running_loop().time(), self._sent_on.pop(batch)
        for other in self._waiting():
            if (other.channel, other.ack_id) == (channel, ack_id):
                other.lost = "Splunk was restarted before the indexers acknowledged it"
                other.told.set()
                self.change_channel()
        self._pending[batch] = _Pending(channel, ack_id, now + self._timeout, asyncio.Event())
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_on())

    def give_up(self, reason: str) -> None:
        """Nobody will say any more whether the indexers have what waits: it is sent again."""
        for pending in self._waiting():
            pending.lost = reason
            pending.told.set()

    def is_pending(self, batch: Batch) -> bool:
        """Whether the batch need not be sent."""
        return batch in self._pending

    async def wait(self, batch: Batch) -> Outcome:
        """Confirmed when the batch is acknowledged, to be sent again when its time is up."""
        pending = self._pending[batch]
        left = pending.expires - asyncio.get_running_loop().time()
        told = asyncio.ensure_future(pending.told.wait())
        try:
            await asyncio.wait({told}, timeout=max(0.0, left))
        finally:
            told.cancel()
        if not pending.told.is_set() and asyncio.get_running_loop().time() < pending.expires:
            return Outcome(Fate.RETRY, "the indexers have not acknowledged it yet")
        self._pending.pop(batch, None)
        if pending.acknowledged:
            return CONFIRMED
        if pending.lost:
            return Outcome(Fate.RETRY, pending.lost, unsure=True)
        return Outcome(Fate.RETRY, f"not acknowledged by the indexers within {self._timeout:g}s", unsure=True)

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask_on(self) -> None:
        while waiting := self._waiting():
            await asyncio.sleep(self._interval)
            for channel in dict.fromkeys(pending.channel for pending in waiting):
                await self._ask_about(channel, [each for each in waiting if each.channel == channel])

    async def _ask_about(self, channel: str, waiting: Sequence[_Pending]) -> None:
        for start in range(0, len(waiting), _MOST_AT_ONCE):
            some = waiting[start : start + _MOST_AT_ONCE]
            found = await self._ask(channel, [pending.ack_id for pending in some])
            if not found:
                self.change_channel()
            for pending in some:
                if found.get(pending.ack_id) and not pending.told.is_set():
                    pending.acknowledged = True
                    pending.told.set()

    def _waiting(self) -> list[_Pending]:
        return [pending for pending in self._pending.values() if not pending.told.is_set()]
