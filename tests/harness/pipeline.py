"""Stand-ins for the pipeline's two ends: consumers without nsqd, and a sink that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from gateways.pipeline.answers import Answers
from gateways.pipeline.batch import Batch
from gateways.pipeline.counters import Counters
from gateways.pipeline.delivery import Delivery, DeliveryLimits
from gateways.pipeline.ends import Required
from gateways.pipeline.retry import RetryPolicy
from gateways.pipeline.sink import CONFIRMED, Outcome, Sink
from nsqgw.message import Message

Step = Outcome | Exception | Callable[[Batch], Outcome | Awaitable[Outcome]]


class RecordingOrigin:
    """Remembers the answers to its messages, as (body, delay) for requeues."""

    topic = "events"
    channel = "archive"
    nsqd_address = "nsqd:4150"

    def __init__(self) -> None:
        self.finished: list[bytes] = []
        self.requeued: list[tuple[bytes, float | None]] = []
        self.closed = False

    def finish(self, message: Message) -> bool:
        if self.closed:
            return False
        message.answered = True
        self.finished.append(message.body)
        return True

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> bool:
        if self.closed:
            return False
        assert not backoff, "the pipeline backs off by itself"
        message.answered = True
        self.requeued.append((message.body, delay))
        return True

    def touch(self, message: Message) -> bool:
        raise AssertionError("touching is the consumer's")


def make_messages(bodies: Sequence[bytes], origin: RecordingOrigin, attempts: int = 1) -> list[Message]:
    return [Message(0, attempts, b"%016x" % number, body, origin) for number, body in enumerate(bodies)]


def make_batch(bodies: Sequence[bytes], origin: RecordingOrigin | None = None, born: float = 0.0) -> Batch:
    """A batch with one byte of framing for each event."""
    batch = Batch(born)
    batch.messages = make_messages(bodies, origin or RecordingOrigin())
    batch.events = list(bodies)
    batch.size = sum(len(body) + 1 for body in bodies)
    return batch


class FakeSource:
    """A started consumer whose messages are put in by the test."""

    def __init__(self, topic: str = "events") -> None:
        self.topic = topic
        self.channel = "archive"
        self.origin = RecordingOrigin()
        self.origin.topic = topic
        self.is_starved = False
        self.max_in_flight: int | None = None
        self.stopped_within: float | None = None
        self._chunks: asyncio.Queue[list[Message] | None] = asyncio.Queue()

    def deliver(self, *bodies: bytes, attempts: int = 1, timestamp: int = 0) -> None:
        """These arrive together, published at `timestamp` (ns)."""
        messages = make_messages(bodies, self.origin, attempts)
        for message in messages:
            message.timestamp = timestamp
        self._chunks.put_nowait(messages)

    async def batches(
        self, *, max_messages: int, max_bytes: int, max_wait: float
    ) -> AsyncIterator[Sequence[Message]]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    @property
    def paused(self) -> bool:
        return self.max_in_flight == 0

    def set_max_in_flight(self, count: int) -> None:
        self.max_in_flight = count

    async def stop(self, timeout: float | None = None) -> None:
        self.stopped_within = timeout
        self._chunks.put_nowait(None)


class ScriptedSink:
    """Answers one step of the script to each try, and confirms once the script is at its end."""

    name = "scripted"
    event_overhead = 1
    max_events = 0
    max_bytes = 0

    def __init__(self, *script: Step) -> None:
        self._script = list(script)
        self.tried: list[list[bytes]] = []
        self.tried_at: list[float] = []
        self.delivered: list[bytes] = []
        self.messages: list[Message] = []  # of the last try
        self.under_way = 0
        self.most_under_way = 0

    def recover(self) -> None:
        """Confirm from now on."""
        self._script.clear()

    async def open(self) -> None:
        """Always open."""

    def encode(self, message: Message) -> bytes:
        return message.body

    async def send(self, batch: Batch) -> Outcome:
        self.tried.append(list(batch.events))
        self.messages = list(batch.messages)
        self.tried_at.append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            outcome = await self._next(batch)
        finally:
            self.under_way -= 1
        if outcome is CONFIRMED:
            self.delivered += batch.events
        return outcome

    async def close(self) -> None:
        """Nothing to let go."""

    def describe(self) -> str:
        return "scripted sink"

    async def _next(self, batch: Batch) -> Outcome:
        step = self._script.pop(0) if self._script else CONFIRMED
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Outcome):
            return step
        answer = step(batch)
        return answer if isinstance(answer, Outcome) else await answer


class WatchedDelivery(Delivery):
    """To a required sink; remembers what the branch around it would be told."""

    def __init__(self, sink: Sink, policy: RetryPolicy, limits: DeliveryLimits) -> None:
        self.totals = Counters()
        self.answers = Answers(self.totals, 1)
        self.too_large: list[int] = []
        self.gone: list[Exception] = []
        super().__init__(
            sink,
            policy,
            limits,
            Required("scripted", 0, self.answers, None),
            on_change=lambda: None,
            on_too_large=self.too_large.append,
            on_gone=self.gone.append,
        )

    async def close(self) -> None:
        for batch in await self.stop():
            Required("scripted", 0, self.answers, None).abandoned(batch)


async def hang(batch: Batch) -> Outcome:
    """A step that never answers."""
    await asyncio.Event().wait()
    return CONFIRMED


def confirming(may_confirm: asyncio.Event) -> Step:
    """A step that confirms as soon as it may."""

    async def wait(batch: Batch) -> Outcome:
        await may_confirm.wait()
        return CONFIRMED

    return wait
