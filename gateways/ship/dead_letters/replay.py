"""Letters to where they belong: their own topics again, or a sink. Done with is what that confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from gateways.pipeline.sink import Fate, Sink
from gateways.ship.dead_letters.envelope import Letter
from gateways.ship.dead_letters.sending import batches_of, send_apart
from gateways.ship.dead_letters.source import Found, Source
from nsqgw import Producer
from nsqgw.errors import NSQError

TOGETHER = 100


class Target(Protocol):
    """Where letters go."""

    async def take(self, letters: Sequence[Letter]) -> list[str]:
        """Why each was not taken, "" for those that are confirmed."""


class OriginalTopic:
    """The topic each letter was published to, through `producer`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def take(self, letters: Sequence[Letter]) -> list[str]:
        """Publish each with the body it had."""
        results = await asyncio.gather(
            *(self._producer.publish(letter.topic, letter.body) for letter in letters), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, NSQError):
                raise result
        return ["" if result is None else str(result) for result in results]


class IntoSink:
    """A sink that is open; transforms are not applied."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def take(self, letters: Sequence[Letter]) -> list[str]:
        """Send the messages that they were."""
        reasons: list[str] = []
        for batch in batches_of(self._sink, [letter.message() for letter in letters]):
            outcome, fates = await send_apart(self._sink, batch)
            refused = outcome.reason or "refused"
            reasons += ["" if fate is Fate.CONFIRMED else refused for fate in fates]
        return reasons


class Pace:
    """At most `rate` letters a second; 0 for as fast as it goes."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = 0.0

    @property
    def step(self) -> int:
        """How many to send together, so that a second is not used up at once."""
        return TOGETHER if self._rate <= 0 else max(1, min(TOGETHER, int(self._rate / 10)))

    async def wait(self, count: int) -> None:
        """Until so many more may go."""
        if self._rate <= 0:
            return
        now = asyncio.get_running_loop().time()
        begin = max(now, self._next)
        self._next = begin + count / self._rate
        await asyncio.sleep(begin - now)


@dataclass(slots=True)
class Tally:
    """What came of a replay; `failed` and `unreadable` stay where they were. `reasons` has the first few."""

    replayed: int = 0
    left: int = 0
    failed: int = 0
    unreadable: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """All that were looked at."""
        return self.replayed + self.left + self.failed + self.unreadable

    def fail(self, reason: str) -> None:
        """One more that was not taken."""
        self.failed += 1
        if reason not in self.reasons and len(self.reasons) < 5:
            self.reasons.append(reason)


async def replay(
    source: Source,
    target: Target | None,
    *,
    wanted: Callable[[Letter], bool],
    rate: float = 0.0,
    limit: int = 0,
    on_progress: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Send all wanted letters of an open source, at most `limit` (0 for all); without a target count them.

    Interrupted at any point it loses none: a letter is done with only after the target confirmed it.
    """
    run = _Run(source, target, Pace(rate), on_progress)
    tally = run.tally
    async with aclosing(source.letters()) as letters:
        async for found in letters:
            if found.letter is None:
                tally.unreadable += 1
                await source.left([found])
            elif not wanted(found.letter):
                tally.left += 1
                await source.left([found])
            else:
                await run.add(found)
            if limit and tally.replayed + tally.failed + len(run.waiting) >= limit:
                break
        await run.send()
    return tally


class _Run:
    """One replay: the letters that go together next, and what came of those before."""

    def __init__(
        self, source: Source, target: Target | None, pace: Pace, on_progress: Callable[[Tally], None]
    ) -> None:
        self._source = source
        self._target = target
        self._pace = pace
        self._on_progress = on_progress
        self.tally = Tally()
        self.waiting: list[Found] = []

    async def add(self, found: Found) -> None:
        """Send this one, with others."""
        self.waiting.append(found)
        if len(self.waiting) >= self._pace.step:
            await self.send()

    async def send(self) -> None:
        """Send those that wait now."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        if self._target is None:
            self.tally.replayed += len(waiting)
            await self._source.left(waiting)
        else:
            await self._pace.wait(len(waiting))
            reasons = await self._target.take([found.letter for found in waiting if found.letter is not None])
            await self._note(waiting, reasons)
        self._on_progress(self.tally)

    async def _note(self, sent: Sequence[Found], reasons: Sequence[str]) -> None:
        done = [found for found, reason in zip(sent, reasons, strict=True) if not reason]
        await self._source.replayed(done)
        await self._source.left([found for found, reason in zip(sent, reasons, strict=True) if reason])
        self.tally.replayed += len(done)
        for reason in filter(None, reasons):
            self.tally.fail(reason)
