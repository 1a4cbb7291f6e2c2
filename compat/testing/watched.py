"""The broker as tests run it: it records what clients do, does wrong what it is told to, and its time leaps.

Variants of the broker's own classes, chosen when it is made: the broker itself knows nothing of them and pays
nothing for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from compat.nsqd.broker import Nsqd
from compat.nsqd.channel import Channel
from compat.nsqd.client import Client
from compat.nsqd.in_flight import NotInFlight
from compat.nsqd.message import Message
from compat.nsqd.options import NsqdOptions
from compat.nsqd.tcp import ClientConnection
from compat.testing.clock import TurningClock
from compat.testing.faults import Faults, Kind, Verdict
from compat.testing.records import ChannelRecord, Records, Seen
from nsqgw.protocol.commands import Auth, Cls, Dpub, Fins, Mpub, Nop, Pubs, Rdy, Req, Sub, Touch
from nsqgw.protocol.negotiation import Negotiation
from nsqgw.protocol.server import Request

_NAMES: dict[type, str] = {
    Negotiation: "IDENTIFY",
    Auth: "AUTH",
    Sub: "SUB",
    Rdy: "RDY",
    Fins: "FIN",
    Req: "REQ",
    Touch: "TOUCH",
    Cls: "CLS",
    Nop: "NOP",
    Pubs: "PUB",
    Mpub: "MPUB",
    Dpub: "DPUB",
}


class WatchedClient(Client):
    """A client whose commands are looked at one by one."""

    def __init__(self, nsqd: WatchedNsqd, *others: Any) -> None:
        super().__init__(nsqd, *others)
        self._broker = nsqd
        self._run: deque[Request] = deque()
        self._cut = False
        self._in_flight: dict[bytes, Message] = {}
        self._to_come_again: set[bytes] = set()

    def handle(self, requests: Iterable[Request]) -> Awaitable[None] | None:
        requests = iter(requests)
        while True:
            while self._run:
                if (waiting := self._arrived(self._run.popleft())) is not None:
                    return waiting
            request = next(requests, None)
            if request is None:
                return None
            self._run.extend(_singles(request))

    def _arrived(self, request: Request) -> Awaitable[None] | None:
        verdict = self._broker.faults.judge(_NAMES[type(request)])
        return self._later(request, verdict) if verdict.delay else self._carry_out(request, verdict)

    async def _later(self, request: Request, verdict: Verdict) -> None:
        await asyncio.sleep(verdict.delay)
        waiting = self._carry_out(request, verdict)
        if waiting is not None:
            await waiting

    def _carry_out(self, request: Request, verdict: Verdict) -> Awaitable[None] | None:
        if self._cut:
            return None
        fault = verdict.fault
        if fault is None:
            return self._do(request)
        if fault.kind is Kind.DISCONNECT:
            self._disconnect()
        elif fault.error is not None:
            if fault.error.fatal:
                raise fault.error
            self.protocol.send_error(fault.error)
        return None

    def _do(self, request: Request) -> Awaitable[None] | None:
        if isinstance(request, Fins):
            self._finish(request)
        elif isinstance(request, Req):
            self._requeue(request)
        elif isinstance(request, Touch):
            self._touch_message(request)
        else:
            return super().handle((request,))
        return None

    def _finish(self, fins: Fins) -> None:
        (message_id,) = fins.message_ids
        if message_id in self._to_come_again and self.channel is not None:
            self._to_come_again.discard(message_id)
            try:
                self.channel.requeue(message_id, self.consumer, 0.0, self._broker.now())
            except NotInFlight:
                pass  # it timed out meanwhile and comes again anyway; nsqd's own words follow
            else:
                return
        before = self.consumer.finish_count
        super().handle((fins,))
        if self.consumer.finish_count > before:
            self._record.finished.append(self._seen(message_id))
            del self._in_flight[message_id]

    def _requeue(self, req: Req) -> None:
        before = self.consumer.requeue_count
        super().handle((req,))
        if self.consumer.requeue_count > before:
            self._record.requeued.append(self._seen(req.message_id, req.delay_ms / 1000))
            del self._in_flight[req.message_id]

    def _touch_message(self, touch: Touch) -> None:
        assert self.channel is not None  # the session admits it only after SUB
        try:
            self.channel.touch(touch.message_id, self.consumer, self._broker.now())
        except NotInFlight:
            super().handle((touch,))
        else:
            self._record.touched.append(self._seen(touch.message_id))

    def _deliver(self, messages: Sequence[Message]) -> None:
        for number, message in enumerate(messages, 1):
            if self._cut:
                return
            self._in_flight[message.id] = message
            self._record.delivered.append(self._seen(message.id))
            struck = self._broker.faults.on_delivery()
            if Kind.DUPLICATE in struck:
                self._let_come_again(message.id)
            if Kind.DISCONNECT in struck:
                super()._deliver(messages[:number])
                self._disconnect()
                return
        if not self._cut:
            super()._deliver(messages)

    def _let_come_again(self, message_id: bytes) -> None:
        """Once: a message that was delivered twice is finished for good."""
        assert self.channel is not None
        if (self.channel, message_id) not in self._broker.doubled:
            self._broker.doubled.add((self.channel, message_id))
            self._to_come_again.add(message_id)

    def _seen(self, message_id: bytes, delay: float = 0.0) -> Seen:
        message = self._in_flight[message_id]
        return Seen(message.body, message.attempts, delay)

    def _disconnect(self) -> None:
        self._cut = True
        self.consumer.rdy = 0
        self.consumer.close()

    @property
    def _record(self) -> ChannelRecord:
        assert self.channel is not None  # messages and answers to them belong to a subscription
        return self._broker.records.channels[self.channel.topic_name, self.channel.name]


class WatchedConnection(ClientConnection):
    """A connection whose client is watched; while the clock is turned its silence is not judged."""

    client_class: ClassVar[type[Client]] = WatchedClient
    _nsqd: WatchedNsqd

    def silent_since(self, moment: float) -> bool:
        """Whether no command came since the loop's clock read `moment`."""
        return not self._ended and self._last_command < moment

    def judge_silence(self) -> None:
        """Look at the client's silence now, as at the end of two heartbeat intervals."""
        if not self._ended:
            super()._read_timed_out()

    def _read_timed_out(self) -> None:
        if self._nsqd.leaping:
            self._nsqd.unjudged.append(self)
        else:
            super()._read_timed_out()


class WatchedNsqd(Nsqd):
    """A broker that goes by `clock`, keeps `records` and obeys `faults`."""

    connection_class: ClassVar[type[ClientConnection]] = WatchedConnection

    def __init__(self, options: NsqdOptions, clock: TurningClock, faults: Faults, records: Records) -> None:
        super().__init__(options, clock)
        self.faults = faults
        self.records = records
        self.leaping = False
        self.unjudged: list[WatchedConnection] = []
        self.doubled: set[tuple[Channel, bytes]] = set()
        self._leapt_to = 0.0

    def publish(self, topic: str, bodies: Sequence[bytes], deferral: float = 0.0) -> None:
        super().publish(topic, bodies, deferral)
        self.records.published[topic] += bodies

    async def leap(self) -> None:
        """The clock was just turned: run every timer that is due by now, then what that brought about."""
        self.leaping = True
        loop = asyncio.get_running_loop()
        self._leapt_to = loop.time()
        all_due: asyncio.Future[None] = loop.create_future()
        loop.call_at(self._leapt_to, all_due.set_result, None)
        await all_due
        await asyncio.sleep(0)  # for whoever slept until this very moment
        self.scan()
        self.settle()

    async def all_answered(self) -> bool:
        """Whether nobody's silence is left to be judged."""
        return not any(each.silent_since(self._leapt_to) for each in self.unjudged)

    async def judge_silence(self) -> None:
        """Have the connections look at their clients' silence again, and act on it."""
        self.leaping = False
        unjudged, self.unjudged = self.unjudged, []
        for connection in unjudged:
            connection.judge_silence()


def _singles(request: Request) -> Iterator[Request]:
    """The commands of a run, one by one."""
    if isinstance(request, Fins):
        yield from (Fins([each]) for each in request.message_ids)
    elif isinstance(request, Pubs):
        yield from (Pubs(request.topic, [each]) for each in request.bodies)
    else:
        yield request
