"""The way of messages from consumers to sinks: taken in, transformed, batched, delivered, answered.

Bounds: messages by the consumers' max_in_flight; bytes by `max_bytes_held`, to which max_in_flight is fitted
as messages grow, and above which the consumers are paused (what nsqd has sent by then still comes in). They
are paused, too, while a required sink has failed for long: nsqd keeps what is not asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateways.pipeline.answers import Answers
from gateways.pipeline.batch import BatchLimits
from gateways.pipeline.branch import Branch
from gateways.pipeline.burial import Burial
from gateways.pipeline.counters import Counters, runs
from gateways.pipeline.dead_letters import DeadLetters
from gateways.pipeline.delivery import DeliveryLimits
from gateways.pipeline.doubt import MAX_RATIO
from gateways.pipeline.fan_out import FanOut, Route
from gateways.pipeline.intake import Intake
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sifting import Sifting
from gateways.pipeline.transforms import Transforms
from gateways.pipeline.watch import Show
from nsqgw.errors import ConfigError
from nsqgw.message import Message

logger = logging.getLogger(__name__)

_STOP_MARGIN = 1.0  # seconds a consumer may take longer than the deadline: its messages are answered by then
_PROBE = 1  # messages in flight, for each consumer, to find out whether a sink is back


class Source(Protocol):
    """What the pipeline needs of a consumer that was started; `nsqgw.Consumer` has it."""

    topic: str
    channel: str

    def batches(
        self, *, max_messages: int, max_bytes: int, max_wait: float
    ) -> AsyncIterator[Sequence[Message]]: ...
    @property
    def is_starved(self) -> bool: ...
    def set_max_in_flight(self, count: int) -> None: ...
    async def stop(self, timeout: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """How much is under way.

    batch            when a batch is cut
    concurrency      batches on the way to each sink at once, in the beginning
    max_bytes_held   bytes of messages in hand at which the consumers are paused
    send_timeout     for one try of one batch, seconds
    max_concurrency  most that `concurrency` adapts to; 0 leaves it as it is
    max_in_flight    messages in flight, for each consumer
    dedup            events remembered as confirmed, so as not to be sent again; 0 is none
    max_refused      share of the events that a sink may refuse as data; above it all are held
    """

    batch: BatchLimits = field(default_factory=BatchLimits)
    concurrency: int = 4
    max_bytes_held: int = 256 * 1024 * 1024
    send_timeout: float = 30.0
    max_concurrency: int = 0
    max_in_flight: int = 2500
    dedup: int = 0
    max_refused: float = MAX_RATIO

    def delivery(self) -> DeliveryLimits:
        """The part of one sink."""
        return DeliveryLimits(
            self.concurrency,
            max(self.concurrency, self.max_concurrency),
            self.send_timeout,
            max_refused=self.max_refused,
        )


class Pipeline:
    """Runs from `start` to `drain`; made inside a running event loop, with sinks that are open.

    At least one route must be required. `transforms` are applied to every message; what they reject, and what
    a required sink refuses, goes to `dead_letters`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        routes: Sequence[Route],
        limits: PipelineLimits,
        retry: RetryPolicy,
        *,
        transforms: Transforms | None = None,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        required = sum(route.required for route in routes)
        if not required:
            raise ConfigError("no sink is required: messages would be finished whatever becomes of them")
        self._sources = sources
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self.counters = Counters()
        self._answers = Answers(self.counters, required, limits.dedup)
        self._burial: Burial | None = None
        if dead_letters is not None:
            self._burial = Burial(dead_letters, self._answers, self.counters, retry, limits.send_timeout)
        self._sifting: Sifting | None = None
        if transforms is not None:
            self._sifting = Sifting(transforms, self._answers, self.counters, self._burial)
        self._fan_out = self._branch_out(routes, retry)
        self._intake = Intake(limits.max_in_flight, limits.max_bytes_held, len(sources))
        self._in_flight = limits.max_in_flight  # what the consumers were told last
        self._intakes: list[asyncio.Task[None]] = []
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._probe_timer: asyncio.TimerHandle | None = None
        self._last_resort: set[asyncio.TimerHandle] = set()
        self._draining = False
        self._show: Show | None = None

    def _branch_out(self, routes: Sequence[Route], retry: RetryPolicy) -> FanOut:
        return FanOut(
            routes,
            self._answers,
            self.counters,
            self._burial,
            batch=self._limits.batch,
            delivery=self._limits.delivery(),
            retry=retry,
            on_change=self._after_change,
            on_gone=self._fail,
        )

    # -- what may be known

    @property
    def branches(self) -> Sequence[Branch]:
        """The sinks, with their figures, in the order of the routes."""
        return self._fan_out.branches

    @property
    def trouble(self) -> str | None:
        """Why a required sink, or the dead letters, take nothing at the moment; None when all do."""
        troubles = [branch.trouble for branch in self._fan_out.required]
        troubles += [self._burial.trouble] if self._burial is not None else []
        return "; ".join(trouble for trouble in troubles if trouble is not None) or None

    @property
    def held_messages(self) -> int:
        """Messages taken in and not answered; one that several sinks lack counts for each."""
        buried = self._burial.held_messages if self._burial is not None else 0
        return buried + sum(branch.held_messages for branch in self._fan_out.required)

    @property
    def held_bytes(self) -> int:
        """Memory they take: as events, as bodies beside them, as requests made of them."""
        buried = self._burial.held_bytes if self._burial is not None else 0
        return buried + sum(branch.memory_bytes for branch in self._fan_out.required)

    @property
    def oldest_age(self) -> float:
        """For how many seconds the oldest of them has been held."""
        born = [branch.oldest for branch in self._fan_out.required]
        born += [self._burial.oldest] if self._burial is not None else []
        now = self._loop.time()
        return now - min((each for each in born if each is not None), default=now)

    def watch(self, show: Show | None) -> None:
        """Show messages from now on at all stages; None when nobody watches any more."""
        self._show = show
        for branch in self.branches:
            branch.watch(show)

    # -- life

    def start(self) -> None:
        """Begin to take messages in."""
        if self._burial is not None:
            self._burial.start()
        self._intakes = [asyncio.create_task(self._take_in(source)) for source in self._sources]

    async def wait_closed(self) -> None:
        """Until the pipeline cannot go on; raises why (SinkGone), or returns after `drain`."""
        done, _ = await asyncio.wait([self._gone, *self._intakes], return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled():
                task.result()

    async def drain(self, timeout: float) -> None:
        """Stop taking in, deliver what is here for at most `timeout` seconds, give back the rest at once."""
        deadline = self._loop.time() + timeout
        self._draining = True
        stops = [asyncio.create_task(source.stop(timeout + _STOP_MARGIN)) for source in self._sources]
        try:
            await self._flush(deadline)
        finally:
            for timer in [*self._last_resort, *filter(None, [self._probe_timer])]:
                timer.cancel()
            await asyncio.gather(*(branch.stop() for branch in self.branches))
            if self._burial is not None:
                await self._burial.stop()
            for task in self._intakes:
                task.cancel()
            results = await asyncio.gather(*stops, *self._intakes, return_exceptions=True)
            self._gone.cancel()
        for error in results:
            if isinstance(error, Exception):
                logger.warning("while stopping: %s", error)

    def give_back_within(self, messages: Iterable[Message], seconds: float) -> None:
        """After so many seconds nsqd delivers these again: give back before what is unanswered by then.

        With half of the time left, but at most 30 seconds.
        """

        def give_back() -> None:
            self._last_resort.discard(timer)
            self._answers.give_back_aged(kept)

        kept = list(messages)
        timer = self._loop.call_later(max(0.0, seconds - min(30.0, seconds / 2)), give_back)
        self._last_resort.add(timer)

    async def _flush(self, deadline: float) -> None:
        """Until all is delivered, the deadline passes, or a sink is gone."""
        if self._intakes:
            await asyncio.wait(self._intakes, timeout=deadline - self._loop.time())
        await self._until(self._delivered(), deadline)
        if self._burial is not None:
            await self._until(self._burial.wait_empty(), deadline)

    async def _delivered(self) -> None:
        for branch in self.branches:
            branch.flush()
        await asyncio.gather(*(branch.wait_while_useful() for branch in self.branches))

    async def _until(self, step: Awaitable[None], deadline: float) -> None:
        """Until the step is done, the deadline passes, or a sink is gone."""
        task = asyncio.ensure_future(step)
        try:
            await asyncio.wait(
                {task, self._gone}, timeout=deadline - self._loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            task.cancel()
            await asyncio.wait({task})

    def _fail(self, error: Exception) -> None:
        if not self._gone.done():
            self._gone.set_exception(error)

    # -- messages in

    async def _take_in(self, source: Source) -> None:
        limits = self._limits.batch
        chunks = source.batches(max_messages=limits.max_messages, max_bytes=limits.max_bytes, max_wait=0.0)
        async for chunk in chunks:
            self._count(chunk)
            show = self._show
            if show is not None:
                show("received", chunk)
            kept: Sequence[Message] = chunk
            views = None
            if self._sifting is not None:
                kept, views = self._sifting.sift(chunk, self._loop.time())
            if show is not None:
                show("transformed", kept if views is None else views)
            self._fan_out.add(kept, views)
            self._after_change()

    def _count(self, chunk: Sequence[Message]) -> None:
        counters = self.counters
        for stream, run in runs(chunk):
            sizes = [len(message.body) for message in run]
            self._intake.arrived(max(sizes))
            counters.received[stream] += len(run)
            counters.received_bytes[stream] += sum(sizes)

    def _after_change(self) -> None:
        """Messages came or left, or a circuit changed: send what is due, keep the bounds."""
        for branch in self.branches:
            branch.flush_if_time(self._is_starved)
        if not self._draining:
            self._set_in_flight(self._allowance())

    def _is_starved(self) -> bool:
        return any(source.is_starved for source in self._sources)

    # -- the consumers' pace

    def _allowance(self) -> int:
        """Messages that each consumer may have in flight now."""
        opened = [branch for branch in self._fan_out.required if branch.is_open]
        if not opened:
            return self._intake.allowance(self.held_bytes)
        if any(branch.held_messages for branch in opened):
            return 0  # they are what tries the sink
        wait = max(branch.probe_in for branch in opened)
        if wait > 0:
            self._probe_later(wait)
            return 0
        return _PROBE

    def _set_in_flight(self, count: int) -> None:
        if count == self._in_flight:
            return
        if not count or not self._in_flight:
            logger.info("consumers are %s", "going on" if count else "paused: nsqd keeps what comes now")
        self._in_flight = count
        for source in self._sources:
            source.set_max_in_flight(count)

    def _probe_later(self, seconds: float) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        self._probe_timer = self._loop.call_later(seconds, self._after_change)
