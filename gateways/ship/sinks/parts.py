"""Batches whose events do not all go to the same place: one request for each place, one outcome for all.

The place of an event (its tags, labels, URL) is known when it is encoded, after the transforms: it travels
with the encoded bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import Fate, Outcome
from gateways.ship.sinks.outcomes import Failure, outcome_of

Send = Callable[[str, Batch], Awaitable[Outcome]]


class Addressed(bytes):
    """An encoded event that knows its place."""

    place: str


def addressed(event: bytes, place: str) -> Addressed:
    """`event`, to go to `place`."""
    made = Addressed(event)
    made.place = place
    return made


def by_place(events: Sequence[bytes], indexes: Sequence[int]) -> dict[str, list[int]]:
    """Which of these events go where; "" for those that do not say."""
    places: dict[str, list[int]] = {}
    for index in indexes:
        event = events[index]
        places.setdefault(event.place if isinstance(event, Addressed) else "", []).append(index)
    return places


Settled = dict[int, "Failure | None"]
"""The events of a batch, by their indexes, that need not be sent again: None confirmed, else why refused."""


_MOST_BLOCKED = 8
"""At one place; then it is no single event that is wrong: services lock out who tries too often."""

Part = tuple[str, Sequence[int]]
"""A place, and the events of a batch that go there."""


async def send_parts(
    batch: Batch, lanes: Sequence[Sequence[Part]], send: Send, *, at_once: int, settled: Settled
) -> Outcome:
    """Send the parts of each lane one after the other, `at_once` lanes together.

    A part that is not taken holds back the later ones to the same place in its lane: nothing overtakes it.
    `settled` are the events that are in no part.

    What comes to its end is added to `settled` at once: a batch that is cut off at its deadline goes on from
    there. A part that is refused as a whole is halved until the bad event is alone: the pipeline could not
    do so without sending again what the other parts have delivered.
    """
    sending = _Sending(batch, send, at_once, settled)
    tasks = [asyncio.create_task(sending.send_lane(lane)) for lane in lanes]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    refused = {index: failure for index, failure in settled.items() if failure is not None}
    outcome = outcome_of(len(batch), {**sending.failures, **refused})
    if sending.sent_again:
        outcome = replace(outcome, sent_again=sending.sent_again)
    if not sending.failures:
        return outcome
    return replace(outcome, retry_after=max(sending.waits, default=None), unsure=sending.unsure)


class _Sending:
    """One try. When the far side asks to be left alone, or fails again and again, the rest is not sent."""

    def __init__(self, batch: Batch, send: Send, at_once: int, settled: Settled) -> None:
        self._batch = batch
        self._send = send
        self._free = asyncio.Semaphore(at_once)
        self._bearable = at_once
        self._settled = settled
        self._in_vain = 0  # parts not taken since one was
        self._blocked: Counter[str] = Counter()  # parts that need a person, by their place
        self.failures: dict[int, Failure] = {}
        self.waits: list[float] = []
        self.unsure = False
        self.sent_again = 0

    async def send_lane(self, lane: Sequence[Part]) -> None:
        """Its parts, in their order."""
        held: set[str] = set()
        for place, indexes in lane:
            if place in held:
                self.failures |= dict.fromkeys(indexes, (Fate.RETRY, "not sent: an earlier one is not taken"))
                continue
            await self.send(place, indexes)
            if not self.failures.keys().isdisjoint(indexes):
                held.add(place)

    async def send(self, place: str, indexes: Sequence[int]) -> None:
        """One part, in its turn."""
        async with self._free:
            if self.waits or self._in_vain >= self._bearable or self._blocked[place] >= _MOST_BLOCKED:
                self.failures |= dict.fromkeys(indexes, (Fate.RETRY, "not sent: others were not taken"))
                return
            outcome = await self._send(place, self._batch.pick(indexes))
        if outcome.retry_after is not None:
            self.waits.append(outcome.retry_after)
        self.unsure |= outcome.unsure
        self.sent_again += outcome.sent_again
        self._in_vain = self._in_vain + 1 if outcome.fate is Fate.RETRY else 0
        self._blocked[place] += outcome.fate is Fate.BLOCKED
        halved = outcome.per_event is None and outcome.fate in (Fate.REJECTED, Fate.TOO_LARGE)
        if halved and len(indexes) > 1:
            middle = len(indexes) // 2
            await self.send(place, indexes[:middle])
            await self.send(place, indexes[middle:])
            return
        self._note(outcome, indexes)

    def _note(self, outcome: Outcome, indexes: Sequence[int]) -> None:
        fates = outcome.per_event or [outcome.fate] * len(indexes)
        reasons = outcome.reasons or {}
        for number, (index, fate) in enumerate(zip(indexes, fates, strict=True)):
            reason = reasons.get(number, outcome.reason)
            if fate is Fate.CONFIRMED:
                self._settled[index] = None
            elif fate in (Fate.REJECTED, Fate.TOO_LARGE):
                self._settled[index] = (Fate.REJECTED, reason)
            else:
                self.failures[index] = (fate, reason)
