"""Splunk's indexer acknowledgements: one question for all batches that wait, asked again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome

Ask = Callable[[list[int]], Awaitable[dict[int, bool]]]
"""Which of these ids are acknowledged; an id that is missing, or false, may be so later."""

_MOST_AT_ONCE = 1000


@dataclass(slots=True)
class _Pending:
    ack_id: int
    expires: float
    arrived: asyncio.Event


class Acknowledgements:
    """Batches that Splunk has taken, until the indexers have them; `timeout` and `interval` in seconds.

    A batch that the pipeline gave up waiting for is remembered: sent again, it goes on to wait.
    """

    def __init__(self, ask: Ask, interval: float, timeout: float) -> None:
        self._ask = ask
        self._interval = interval
        self._timeout = timeout
        self._pending: WeakKeyDictionary[Batch, _Pending] = WeakKeyDictionary()
        self._asking: asyncio.Task[None] | None = None

    def expect(self, batch: Batch, ack_id: int) -> None:
        """Splunk has taken the batch, under this id."""
        expires = asyncio.get_running_loop().time() + self._timeout
        self._pending[batch] = _Pending(ack_id, expires, asyncio.Event())
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_on())

    def is_pending(self, batch: Batch) -> bool:
        """Whether the batch need not be sent."""
        return batch in self._pending

    async def wait(self, batch: Batch) -> Outcome:
        """Confirmed when the batch is acknowledged, to be sent again when its time is up."""
        pending = self._pending[batch]
        left = pending.expires - asyncio.get_running_loop().time()
        arrival = asyncio.ensure_future(pending.arrived.wait())
        try:
            await asyncio.wait({arrival}, timeout=max(0.0, left))
        finally:
            arrival.cancel()
        if not pending.arrived.is_set() and asyncio.get_running_loop().time() < pending.expires:
            return Outcome(Fate.RETRY, "the indexers have not acknowledged it yet")
        self._pending.pop(batch, None)
        if pending.arrived.is_set():
            return CONFIRMED
        return Outcome(Fate.RETRY, f"not acknowledged by the indexers within {self._timeout:g}s")

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask_on(self) -> None:
        while waiting := self._waiting():
            await asyncio.sleep(self._interval)
            for start in range(0, len(waiting), _MOST_AT_ONCE):
                some = waiting[start : start + _MOST_AT_ONCE]
                found = await self._ask([pending.ack_id for pending in some])
                for pending in some:
                    if found.get(pending.ack_id):
                        pending.arrived.set()

    def _waiting(self) -> list[_Pending]:
        return [pending for pending in self._pending.values() if not pending.arrived.is_set()]
