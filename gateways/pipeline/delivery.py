"""One sink's delivery: several batches under way, tried again until they pass or their time is up.

A message is finished after the sink confirmed it, and in no other case. The consumer puts off the time-outs
of the messages held (auto_touch).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from gateways.pipeline.answers import finish, requeue
from gateways.pipeline.batch import Batch
from gateways.pipeline.counters import Counters
from gateways.pipeline.retry import Backoff, Random, RetryPolicy, requeue_delay
from gateways.pipeline.sink import Fate, Outcome, Sink, SinkGone
from nsqgw.deadline import within

logger = logging.getLogger(__name__)

_HOLDING = {
    Fate.RETRY: "trying again",
    Fate.REJECTED: "the data is refused, holding it and trying again",
    Fate.TOO_LARGE: "the batch is too large, holding it and trying again",
    Fate.BLOCKED: "somebody has to mend this, holding everything and trying again",
}


class Delivery:
    """Workers that take batches from a queue to the sink; the consumers' max_in_flight bounds what is queued.

    `concurrency` batches are under way at once; while the endpoint fails, only one at a time tries it.
    `send_timeout` bounds one try, in seconds. `on_settled` is called when a batch has left.
    """

    def __init__(
        self,
        sink: Sink,
        policy: RetryPolicy,
        counters: Counters,
        *,
        concurrency: int,
        send_timeout: float,
        on_settled: Callable[[], None],
        chance: Random = random.random,
    ) -> None:
        self._sink = sink
        self._policy = policy
        self._counters = counters
        self._concurrency = concurrency
        self._send_timeout = send_timeout
        self._on_settled = on_settled
        self._chance = chance
        self._clock = asyncio.get_running_loop().time
        self._backoff = Backoff(policy, chance)
        self._probe = asyncio.Lock()
        self._queue: asyncio.Queue[Batch] = asyncio.Queue()
        self._held: dict[Batch, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.workers: list[asyncio.Task[None]] = []
        self.held_messages = 0
        self.held_bytes = 0
        self.trouble: str | None = None
        """Why the last try failed; None after one that passed."""

    @property
    def has_idle_worker(self) -> bool:
        """Whether a batch submitted now would be sent at once."""
        return len(self._held) < self._concurrency

    @property
    def oldest(self) -> float | None:
        """When the oldest message held arrived."""
        return min((batch.born for batch in self._held), default=None)

    def start(self) -> None:
        """Begin to deliver."""
        self.workers = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]

    def submit(self, batch: Batch) -> None:
        """Take responsibility for a batch."""
        self._hold(batch)
        self._queue.put_nowait(batch)

    async def wait_empty(self) -> None:
        """Until everything submitted is confirmed or given back."""
        await self._empty.wait()

    async def stop(self) -> None:
        """End the tries under way and give back at once what is still held."""
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)
        for batch in list(self._held):
            requeue(batch.messages, self._counters, reason="drain", delay=lambda message: 0.0)
            self._release(batch)

    # -- one batch's way

    async def _work(self) -> None:
        while True:
            batch: Batch | None = await self._queue.get()
            first = True
            while batch is not None:
                outcome = await self._try_in_turn(batch, first)
                if outcome is None:
                    self._expire(batch)
                    break
                batch = self._settle(batch, outcome)
                first = False
            self._on_settled()

    async def _try_in_turn(self, batch: Batch, first: bool) -> Outcome | None:
        """One try, when the endpoint's backoff allows it; None when the batch's time was up before."""
        while self._backoff.failing:
            async with self._probe:
                if self._backoff.failing:
                    return await self._try(batch, first) if await self._wait(batch) else None
        return None if self._time_left(batch) <= 0 else await self._try(batch, first)

    async def _wait(self, batch: Batch) -> bool:
        """Sit out the backoff; False when the batch's time is up first."""
        while (left := self._time_left(batch)) > 0:
            delay = self._backoff.delay(self._clock())
            if delay <= 0:
                return True
            await asyncio.sleep(min(delay, left))
        return False

    def _time_left(self, batch: Batch) -> float:
        return batch.born + self._policy.budget - self._clock()

    async def _try(self, batch: Batch, first: bool) -> Outcome:
        started = self._clock()
        self._counters.retries += not first
        try:
            outcome = await within(self._send_timeout, self._sink.send(batch))
        except SinkGone:
            raise
        except asyncio.TimeoutError:
            outcome = Outcome(Fate.RETRY, f"no answer within {self._send_timeout:g}s")
        except Exception as error:
            # A mistake in a sink must not cost a message, nor stop the others.
            logger.exception("%s: unexpected error", self._sink.describe())
            outcome = Outcome(Fate.RETRY, f"unexpected {type(error).__name__}: {error}")
        if outcome.per_event is not None and len(outcome.per_event) != len(batch):
            outcome = Outcome(Fate.RETRY, f"answered for {len(outcome.per_event)} of {len(batch)} events")
        self._note(batch, outcome, started)
        return outcome

    def _note(self, batch: Batch, outcome: Outcome, started: float) -> None:
        """Keep the endpoint's state, the figures and the log."""
        self._counters.batches[outcome.fate.value] += 1
        where = self._sink.describe()
        if outcome.fate is Fate.CONFIRMED:
            self._backoff.succeeded(started)
            if self.trouble is not None and not self._backoff.failing:
                logger.info("%s: delivering again", where)
                self.trouble = None
            return
        now = self._clock()
        self._backoff.failed(started, now, outcome.retry_after)
        self.trouble = f"{where}: {outcome.reason}"
        logger.warning(
            "%s: %s; %s in %.1fs", where, outcome.reason, _HOLDING[outcome.fate], self._backoff.delay(now),
            extra={"events": len(batch), "bytes": batch.size},
        )  # fmt: skip

    # -- a batch's end

    def _settle(self, batch: Batch, outcome: Outcome) -> Batch | None:
        """Finish what is confirmed; the rest, to be tried again."""
        fates = outcome.per_event or [outcome.fate] * len(batch)
        confirmed, rest = batch.divide(fates)
        finish(confirmed, self._counters)
        self._counters.events_sent += len(confirmed)
        self._counters.bytes_sent += batch.size - (rest.size if rest is not None else 0)
        if confirmed or rest is None:
            if rest is not None:
                self._hold(rest)
            self._release(batch)
            return rest
        return batch  # the same object: a sink may know it again

    def _expire(self, batch: Batch) -> None:
        logger.warning(
            "%s: held for %gs, giving the messages back", self._sink.describe(), self._policy.budget,
            extra={"events": len(batch)},
        )  # fmt: skip
        requeue(
            batch.messages,
            self._counters,
            reason="budget",
            delay=lambda message: requeue_delay(message.attempts, self._chance),
        )
        self._release(batch)

    def _hold(self, batch: Batch) -> None:
        self._held[batch] = None
        self.held_messages += len(batch)
        self.held_bytes += batch.size
        self._empty.clear()

    def _release(self, batch: Batch) -> None:
        del self._held[batch]
        self.held_messages -= len(batch)
        self.held_bytes -= batch.size
        if not self._held:
            self._empty.set()
