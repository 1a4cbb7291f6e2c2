"""One sink's delivery: several batches under way, tried again until they pass or their time is up.

What is confirmed, refused or given up is told to `Ends`; no message is answered here.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateways.pipeline.batch import Batch
from gateways.pipeline.circuit import Circuit
from gateways.pipeline.concurrency import Concurrency
from gateways.pipeline.counters import SinkCounters, retry_reason
from gateways.pipeline.doubt import MAX_RATIO, Doubt
from gateways.pipeline.ends import Ends
from gateways.pipeline.parcel import Parcel
from gateways.pipeline.rate import NO_LIMITS, Rate, RateLimits, TakesRequests
from gateways.pipeline.retry import Random, RetryPolicy
from gateways.pipeline.sink import Fate, Outcome, Sink, SinkGone
from nsqgw.deadline import within

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How much is under way to one sink.

    concurrency      batches at once in the beginning
    max_concurrency  most that the adaptive limit grows to; equal to `concurrency` it is a fixed number
    send_timeout     for one try of one batch, seconds
    rate             most that is sent in a second
    max_refused      share of a minute's events, of a hundred at least; above it no refusal is believed
    """

    concurrency: int = 4
    max_concurrency: int = 64
    send_timeout: float = 30.0
    rate: RateLimits = NO_LIMITS
    max_refused: float = MAX_RATIO


class Delivery:
    """Takes batches to the sink; the consumers' max_in_flight bounds what is queued.

    While the endpoint fails, only one batch at a time tries it. `on_change` is called when a batch has left
    and when a try failed, `on_too_large` with a size that was too much for a batch, unless a single event was
    to blame, `on_gone` when the sink is gone for good; what is held then stays here until `stop`.
    """

    def __init__(
        self,
        sink: Sink,
        policy: RetryPolicy,
        limits: DeliveryLimits,
        ends: Ends,
        *,
        on_change: Callable[[], None],
        on_too_large: Callable[[int], None],
        on_gone: Callable[[Exception], None],
        chance: Random = random.random,
    ) -> None:
        self._sink = sink
        self._policy = policy
        self._limits = limits
        self._ends = ends
        self._on_change = on_change
        self._on_too_large = on_too_large
        self._on_gone = on_gone
        self._clock = asyncio.get_running_loop().time
        self._concurrency = Concurrency(limits.concurrency, limits.max_concurrency)
        self._doubt = Doubt(limits.max_refused)
        self._rate = Rate(limits.rate) if limits.rate != NO_LIMITS else None
        self._turn = asyncio.Lock()  # to be sent next, when there is a rate
        self._probe = asyncio.Lock()
        self._queue: deque[Parcel] = deque()
        self._under_way: dict[asyncio.Task[None], Parcel] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._blocked = asyncio.Event()
        """Set while a person has to act before anything is delivered."""
        self._stopping = False
        self.circuit = Circuit(policy, chance)
        self.counters = SinkCounters()
        self.held_messages = 0
        self.held_bytes = 0
        self.extra_bytes = 0
        """Memory beside the events: bodies they were made of, and requests made of them."""
        self.trouble: str | None = None
        """Why the last try failed; None after one that passed."""
        self.on_confirmed: Callable[[Batch], None] | None = None
        """Shown what the sink confirmed, while somebody watches."""

    @property
    def has_room(self) -> bool:
        """Whether a batch submitted now would be sent at once."""
        return not self._queue and len(self._under_way) < self._concurrency.limit

    @property
    def concurrency(self) -> int:
        """Batches that may be under way at once, as of now."""
        return self._concurrency.limit

    @property
    def oldest(self) -> float | None:
        """When the oldest message held arrived."""
        return min((parcel.born for parcel in self._parcels()), default=None)

    def submit(self, batch: Batch) -> None:
        """Take responsibility for a batch."""
        self.held_messages += len(batch)
        self.held_bytes += batch.size
        self._empty.clear()
        parcel = Parcel(batch)
        self.extra_bytes += parcel.extra_bytes
        self._queue.append(parcel)
        self._send_more()

    async def wait_empty(self) -> None:
        """Until everything submitted is confirmed, refused or given up, or the sink is gone."""
        await self._empty.wait()

    async def wait_while_useful(self) -> None:
        """The same, or until a person has to act: then to wait for longer would deliver nothing."""
        ends = [asyncio.ensure_future(event.wait()) for event in (self._empty, self._blocked)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def stop(self) -> list[Batch]:
        """End the tries under way; what is still held, with nobody responsible for it any more."""
        self._stopping = True
        for task in self._under_way:
            task.cancel()
        left = self._parcels()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._queue.clear()
        rest = [piece for parcel in left for piece in parcel.rest()]
        self.held_messages = self.held_bytes = self.extra_bytes = 0
        self._empty.set()
        return rest

    # -- tries

    def _parcels(self) -> list[Parcel]:
        return [*self._under_way.values(), *self._queue]

    def _send_more(self) -> None:
        while self._queue and len(self._under_way) < self._concurrency.limit and not self._stopping:
            parcel = self._queue.popleft()
            size = sum(piece.size for piece in parcel.rest())
            parcel.extra_bytes += size
            self.extra_bytes += size
            task = asyncio.create_task(self._deliver(parcel))
            self._under_way[task] = parcel
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._stopping:
            return
        error = task.exception()
        if isinstance(error, Exception):
            # Its parcel stays where it is: `stop` finds it there.
            self._empty.set()
            self._on_gone(error)
            return
        self.extra_bytes -= self._under_way.pop(task).extra_bytes
        self._send_more()
        if not self._under_way:
            self._empty.set()
        self._on_change()

    async def _deliver(self, parcel: Parcel) -> None:
        while parcel.current is not None:
            if not await self._try_in_turn(parcel):
                self._expire(parcel)
                return

    async def _try_in_turn(self, parcel: Parcel) -> bool:
        """One try, when the rate and the backoff allow it; False when the parcel's time was up before."""
        if self._rate is not None and not await self._in_rate(parcel, self._rate):
            return False
        while self.circuit.failing:
            async with self._probe:
                if self.circuit.failing:
                    in_time = await self._wait(parcel)
                    if in_time:
                        await self._try(parcel)
                    return in_time
        if self._time_left(parcel) <= 0:
            return False
        await self._try(parcel)
        return True

    async def _in_rate(self, parcel: Parcel, rate: Rate) -> bool:
        """Wait until the parcel's piece may be sent; False when its time is up first."""
        async with self._turn:
            while (delay := rate.delay(self._clock())) > 0:
                left = self._time_left(parcel)
                if left <= 0:
                    return False
                await asyncio.sleep(min(delay, left))
            piece = parcel.current
            if piece is not None:
                requests = self._sink.requests_of(piece) if isinstance(self._sink, TakesRequests) else 1
                rate.spend(self._clock(), events=len(piece), size=piece.size, requests=requests)
            return True

    async def _wait(self, parcel: Parcel) -> bool:
        """Sit out the backoff; False when the parcel's time is up first."""
        while (left := self._time_left(parcel)) > 0:
            delay = self.circuit.delay(self._clock())
            if delay <= 0:
                return True
            await asyncio.sleep(min(delay, left))
        return False

    def _time_left(self, parcel: Parcel) -> float:
        return parcel.born + self._policy.budget - self._clock()

    async def _try(self, parcel: Parcel) -> None:
        piece = self._next_piece(parcel)
        if piece is None:
            return
        if parcel.again is not None:
            self.counters.retries[parcel.again] += 1
        outcome = await self._send(piece, proven=parcel.is_proven)
        parcel.again = retry_reason(outcome) or parcel.again
        self._settle(parcel, piece, outcome)

    def _next_piece(self, parcel: Parcel) -> Batch | None:
        """What of the parcel is to be tried now; the messages that were answered meanwhile are left out."""
        while (piece := parcel.current) is not None:
            rest = self._ends.unsettled(piece)
            if rest is piece:
                return piece
            self._let_go(len(piece) - (len(rest) if rest else 0), piece.size - (rest.size if rest else 0))
            parcel.replace(*([rest] if rest is not None else []))
        return None

    async def _send(self, batch: Batch, *, proven: bool) -> Outcome:
        started, crowded = self._clock(), len(self._under_way) >= self._concurrency.limit
        try:
            outcome = await within(self._limits.send_timeout, self._sink.send(batch))
        except SinkGone:
            raise
        except asyncio.TimeoutError:
            outcome = Outcome(Fate.RETRY, f"no answer within {self._limits.send_timeout:g}s", unsure=True)
        except Exception as error:
            # A mistake in a sink must not cost a message, nor stop the others.
            logger.exception("%s: unexpected error", self._sink.describe())
            outcome = Outcome(Fate.RETRY, f"unexpected {type(error).__name__}: {error}")
        outcome = _consistent(outcome, len(batch))
        self.counters.note_try(outcome, len(batch), batch.size, self._clock() - started)
        outcome = self._doubted(batch, outcome, proven)
        self._note(batch, outcome, started, crowded)
        return outcome

    # -- what an answer means

    def _doubted(self, batch: Batch, outcome: Outcome, proven: bool) -> Outcome:
        """Refusals that are too many are no refusals of data: somebody has to look."""
        now, per_event = self._clock(), outcome.per_event
        is_refused = outcome.fate in (Fate.REJECTED, Fate.TOO_LARGE)
        if outcome.fate is Fate.CONFIRMED and per_event is None:
            self._doubt.passed(now, len(batch))
        elif per_event is not None:
            refused, confirmed = per_event.count(Fate.REJECTED), per_event.count(Fate.CONFIRMED)
            self._doubt.note(now, refused=refused, confirmed=confirmed)
        elif is_refused and len(batch) == 1:
            self._doubt.note(now, refused=1, confirmed=0, proven=proven)
        if not self._doubt.holds or not (is_refused or per_event):
            return outcome
        reason = f"too many events are refused, so all are held; the last time: {outcome.reason}"
        fates = per_event and [Fate.BLOCKED if fate is Fate.REJECTED else fate for fate in per_event]
        fate = Fate.BLOCKED if is_refused else outcome.fate
        return replace(outcome, fate=fate, reason=reason, per_event=fates)

    def _note(self, batch: Batch, outcome: Outcome, started: float, crowded: bool) -> None:
        """Keep the endpoint's state and the log."""
        now = self._clock()
        fates = {outcome.fate} if outcome.per_event is None else set(outcome.per_event)
        if not fates & {Fate.RETRY, Fate.BLOCKED}:
            self.circuit.succeeded(started)
            self._concurrency.succeeded(now - started, crowded)
            if self.trouble is not None and not self.circuit.failing:
                logger.info("%s: delivering again", self._sink.describe())
                self.trouble = None
                self._blocked.clear()
            return
        blocked = Fate.BLOCKED in fates
        if blocked:
            self._blocked.set()
        if self.circuit.failed(started, now, outcome.retry_after, blocked=blocked):
            self._concurrency.failed()
        self.trouble = f"{self._sink.describe()}: {outcome.reason}"
        what = "somebody has to mend this, holding everything and trying again" if blocked else "trying again"
        logger.warning(
            "%s: %s; %s in %.1fs", self._sink.describe(), outcome.reason, what, self.circuit.delay(now),
            extra={
                "events": len(batch), "bytes": batch.size, "outcome": outcome.fate.value,
                "next_try": round(self.circuit.delay(now), 3),
            },
        )  # fmt: skip
        self._on_change()

    def _settle(self, parcel: Parcel, piece: Batch, outcome: Outcome) -> None:
        """Tell what is known now; what is left stays in the parcel."""
        if outcome.per_event is not None:
            self._settle_each(parcel, piece, outcome)
        elif outcome.fate is Fate.CONFIRMED:
            parcel.is_proven = True
            parcel.replace()
            self._confirm(piece)
        elif outcome.fate in (Fate.REJECTED, Fate.TOO_LARGE):
            if outcome.fate is Fate.TOO_LARGE:
                parcel.note_too_large(piece)
            if len(piece) > 1:
                parcel.replace(*piece.halves())
                return
            parcel.suspect(outcome.reason)
        elif self._doubt.holds:
            parcel.take_back()
        if parcel.is_proven or parcel.current is None:
            self._refuse(parcel)
        if parcel.current is None and parcel.too_much:
            self._on_too_large(parcel.too_much)

    def _settle_each(self, parcel: Parcel, piece: Batch, outcome: Outcome) -> None:
        fates = outcome.per_event
        assert fates is not None
        confirmed = [index for index, fate in enumerate(fates) if fate is Fate.CONFIRMED]
        refused = [index for index, fate in enumerate(fates) if fate is Fate.REJECTED]
        left = [index for index, fate in enumerate(fates) if fate not in (Fate.CONFIRMED, Fate.REJECTED)]
        reasons = outcome.reasons or {}
        if refused:
            self._let_go_and_refuse(piece.pick(refused), [reasons.get(i, outcome.reason) for i in refused])
        if len(left) < len(piece):
            parcel.replace(*([piece.pick(left)] if left else []))
        elif len(left) > 1 and Fate.TOO_LARGE in fates:
            parcel.replace(*piece.halves())
        if confirmed:
            self._confirm(piece.pick(confirmed) if len(confirmed) < len(piece) else piece)

    # -- events' ends

    def _confirm(self, batch: Batch) -> None:
        self.counters.events_sent += len(batch)
        self.counters.bytes_sent += batch.size
        self.counters.latency.add_ages(batch.messages, time.time_ns())
        self._let_go(len(batch), batch.size)
        if self.on_confirmed is not None:
            self.on_confirmed(batch)
        self._ends.confirmed(batch)

    def _refuse(self, parcel: Parcel) -> None:
        """Those that were refused alone while others of the parcel passed, or with no others to compare."""
        for batch, reason in parcel.convict():
            self._let_go_and_refuse(batch, [reason])

    def _let_go_and_refuse(self, batch: Batch, reasons: list[str]) -> None:
        logger.warning("%s: refused: %s", self._sink.describe(), reasons[0], extra={"events": len(batch)})
        self._let_go(len(batch), batch.size)
        self._ends.refused(batch, reasons)

    def _expire(self, parcel: Parcel) -> None:
        rest = parcel.rest()
        count = sum(map(len, rest))
        logger.warning(
            "%s: held for %gs, giving the messages back", self._sink.describe(), self._policy.budget,
            extra={"events": count},
        )  # fmt: skip
        for piece in rest:
            self._let_go(len(piece), piece.size)
            self._ends.expired(piece)

    def _let_go(self, messages: int, size: int) -> None:
        self.held_messages -= messages
        self.held_bytes -= size


def _consistent(outcome: Outcome, events: int) -> Outcome:
    """The outcome, without what it says about single events where that tells nothing more, or cannot be."""
    fates = outcome.per_event
    if fates is None:
        return outcome
    if len(fates) != events:
        return Outcome(Fate.RETRY, f"answered for {len(fates)} of {events} events")
    if events == 1:
        reason = (outcome.reasons or {}).get(0, outcome.reason)
        return replace(outcome, fate=fates[0], reason=reason, per_event=None, reasons=None)
    return outcome
