"""One connection subscribed to the channel: its messages in flight, their answers, its RDY."""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

from nsqgw.connection import Connection
from nsqgw.consumer.arrival import Arrival
from nsqgw.consumer.stats import ConnectionStats
from nsqgw.consumer.touch import Touch, has_expired, touch_decision, touch_interval
from nsqgw.errors import ServerError
from nsqgw.message import Message
from nsqgw.protocol.commands import CLS, encode_rdy, encode_req, encode_sub, encode_touch
from nsqgw.protocol.delays import delay_ms
from nsqgw.protocol.frames import CLOSE_WAIT


class Subscriber(Protocol):
    """What a subscription asks of its consumer."""

    def subscribed(self, subscription: Subscription) -> None:
        """nsqd has confirmed the subscription."""

    def received(self, subscription: Subscription, messages: list[Message]) -> None:
        """Messages of one read have arrived."""

    def refused(self, subscription: Subscription, error: ServerError) -> None:
        """An answer came too late."""

    def touch_exhausted(self, messages: list[Message], seconds: float) -> None:
        """nsqd's hard limit for these messages comes in so many seconds."""

    def succeeded(self) -> None:
        """Messages were finished."""

    def failed(self) -> None:
        """A message was given back because of a failure."""

    def requeue_delay(self, message: Message) -> float:
        """The delay for a message given back without one, in seconds."""


class Subscription:
    """A connection after SUB. `run` is awaited by the consumer's task for this address."""

    def __init__(self, connection: Connection, topic: str, channel: str, subscriber: Subscriber) -> None:
        self.topic = topic
        self.channel = channel
        self.address = connection.address
        self.rdy = 0
        self.messages_received = 0
        self.messages_finished = 0
        self.messages_requeued = 0
        self.messages_touched = 0
        self._connection = connection
        self._subscriber = subscriber
        self.confirmed = False
        self._arrivals: dict[Arrival, None] = {}
        self._drained = asyncio.Event()
        self._drained.set()
        self._clock = asyncio.get_running_loop().time
        connection.origin = Arrival(self)
        connection.receive = self._receive
        connection.refused = self._refused

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._connection.closed

    @property
    def in_flight(self) -> int:
        """Messages received and not answered."""
        return sum(arrival.unanswered for arrival in list(self._arrivals))  # a copy: any thread may ask

    @property
    def max_rdy(self) -> int:
        """The highest RDY this nsqd takes."""
        return self._connection.features.max_rdy_count

    @property
    def tend_every(self) -> float:
        """How often `tend` wants to be called, in seconds."""
        return touch_interval(self._connection.features.msg_timeout / 1000)

    def stats(self) -> ConnectionStats:
        """Figures up to now."""
        return ConnectionStats(
            self.address,
            self.topic,
            self.rdy,
            self.in_flight,
            self.messages_received,
            self.messages_finished,
            self.messages_requeued,
            self.messages_touched,
        )

    async def run(self) -> None:
        """Subscribe and serve until the connection ends; raises why it did, as `Connection.run`."""
        answer = self._connection.request(encode_sub(self.topic, self.channel))
        answer.add_done_callback(self._on_sub_answer)
        await self._connection.run()

    def _on_sub_answer(self, answer: asyncio.Future[None]) -> None:
        # A refusal also ends the connection, and `run` raises it. The end may have come in the same read.
        if not answer.cancelled() and answer.exception() is None and not self.closed:
            self.confirmed = True
            self._subscriber.subscribed(self)

    # -- messages in

    def _receive(self, messages: list[Message]) -> None:
        arrival = messages[0].origin
        assert isinstance(arrival, Arrival)
        self.messages_received += len(messages)
        arrival.take(messages, self._clock())
        if self._connection.origin is arrival:
            self._connection.origin = Arrival(self)
        self._arrivals[arrival] = None
        self._drained.clear()
        self._subscriber.received(self, messages)

    def _refused(self, error: ServerError) -> None:
        self._subscriber.refused(self, error)

    # -- answers out (called by Arrival)

    def finish(self, message_id: bytes) -> None:
        """Send FIN."""
        self.messages_finished += 1
        self._connection.finish(message_id)
        self._subscriber.succeeded()

    def finish_all(self, message_ids: list[bytes]) -> None:
        """Send FIN for many."""
        self.messages_finished += len(message_ids)
        self._connection.finish_all(message_ids)
        self._subscriber.succeeded()

    def requeue(self, message: Message, delay: float | None, backoff: bool) -> None:
        """Send REQ; with `backoff` it counts as a failure."""
        self.messages_requeued += 1
        seconds = self._subscriber.requeue_delay(message) if delay is None else delay
        self._connection.send(encode_req(message.id, delay_ms(seconds)))
        if backoff:
            self._subscriber.failed()

    def touch(self, message_id: bytes) -> None:
        """Send TOUCH."""
        self.messages_touched += 1
        self._connection.send(encode_touch(message_id))

    def settled(self, arrival: Arrival) -> None:
        """All messages of a read are answered."""
        self._arrivals.pop(arrival, None)
        if not self._arrivals:
            self._drained.set()

    # -- pace

    def set_rdy(self, count: int) -> None:
        """Tell nsqd the new ceiling, if it is one."""
        if count != self.rdy and not self.closed:
            self.rdy = count
            self._connection.send(encode_rdy(count))

    def tend(self, now: float, auto_touch: bool) -> bool:
        """Look after unanswered messages; whether some have expired, so that nobody need begin with them.

        With `auto_touch` ask for more time for those that have waited half their time-out, as long as that
        helps.
        """
        features = self._connection.features
        timeout, limit = features.msg_timeout / 1000, features.max_msg_timeout / 1000
        expired = False
        for arrival in list(self._arrivals):
            if auto_touch:
                self._touch_if_due(arrival, now, timeout, limit)
            if has_expired(now, arrival.received_at, arrival.touched_at, timeout, limit):
                arrival.expire()
                self.settled(arrival)
                expired = True
        return expired

    def _touch_if_due(self, arrival: Arrival, now: float, timeout: float, limit: float) -> None:
        decision = touch_decision(now, arrival.received_at, arrival.touched_at, timeout, limit)
        if decision is Touch.NOW:
            arrival.touched_at = now
            for message in arrival.unanswered_messages():
                self.touch(message.id)
        elif decision is Touch.IN_VAIN:
            arrival.touched_at = math.inf
            left = arrival.received_at + limit - now
            self._subscriber.touch_exhausted(arrival.unanswered_messages(), left)

    def now(self) -> float:
        """The clock that arrivals are dated by."""
        return self._clock()

    # -- ending

    def stop_receiving(self) -> None:
        """Send CLS: no more deliveries; answers stay possible."""
        if not self.closed:
            self.rdy = 0
            self._connection.request(CLS, CLOSE_WAIT).add_done_callback(_ignore_outcome)

    async def wait_drained(self) -> None:
        """Until every message in flight is answered; the caller sets the deadline."""
        await self._drained.wait()

    def requeue_unanswered(self) -> None:
        """Give back whatever is unanswered, at once and without backoff."""
        if self.closed:
            return
        for arrival in list(self._arrivals):
            for message in arrival.unanswered_messages():
                arrival.requeue(message, 0.0, False)

    def abandon(self) -> None:
        """The connection is gone: nothing can be answered any more, nsqd delivers it all again."""
        self._arrivals.clear()
        self._drained.set()

    async def hang_up(self) -> None:
        """Deliver the last answers and let nsqd hang up."""
        await self._connection.hang_up()

    def close(self) -> None:
        """End the connection now."""
        self._connection.close()


def _ignore_outcome(answer: asyncio.Future[None]) -> None:
    """The end of the connection says more than the fate of its CLS."""
    if not answer.cancelled():
        answer.exception()
