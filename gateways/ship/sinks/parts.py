"""Batches whose events do not all go to the same place: one request for each place, one outcome for all.

The place of an event (its tags, labels, URL) is known when it is encoded, after the transforms: it travels
with the encoded bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
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


async def send_parts(
    batch: Batch,
    parts: Sequence[tuple[str, Sequence[int]]],
    send: Send,
    *,
    at_once: int,
    refused: Mapping[int, Failure],
) -> Outcome:
    """Send each part, `at_once` of them together; `refused` are the events that are in none.

    A part that is refused as a whole is halved until the bad event is alone: the pipeline could not do so
    without sending again what the other parts have delivered.
    """
    failures = dict(refused)
    waits: list[float] = []
    free = asyncio.Semaphore(at_once)

    async def one(place: str, indexes: Sequence[int]) -> None:
        async with free:
            outcome = await send(place, batch.pick(indexes))
        if outcome.retry_after is not None:
            waits.append(outcome.retry_after)
        halved = outcome.per_event is None and outcome.fate in (Fate.REJECTED, Fate.TOO_LARGE)
        if halved and len(indexes) > 1:
            middle = len(indexes) // 2
            await one(place, indexes[:middle])
            await one(place, indexes[middle:])
            return
        failures.update(_failures(outcome, indexes))

    tasks = [asyncio.create_task(one(place, indexes)) for place, indexes in parts]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    outcome = outcome_of(len(batch), failures)
    return replace(outcome, retry_after=max(waits)) if waits else outcome


def _failures(outcome: Outcome, indexes: Sequence[int]) -> dict[int, Failure]:
    fates = outcome.per_event or [outcome.fate] * len(indexes)
    reasons = outcome.reasons or {}
    return {
        index: (Fate.REJECTED if fate is Fate.TOO_LARGE else fate, reasons.get(number, outcome.reason))
        for number, (index, fate) in enumerate(zip(indexes, fates, strict=True))
        if fate is not Fate.CONFIRMED
    }
