"""What one client's commands do to the broker (nsqd-tcp section 8); no socket, no timer.

Commands come in runs of one kind, as they lay in one read: a run of FINs or PUBs costs one look-up each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from compat.nsqd.consumer import Consumer
from compat.nsqd.in_flight import NotInFlight
from nsqgw.errors import AuthDisabled, FinFailed, ReqFailed, TouchFailed
from nsqgw.protocol.commands import Auth, Cls, Dpub, Fin, Mpub, Nop, Pub, Rdy, Req, Sub, Touch
from nsqgw.protocol.frames import CLOSE_WAIT
from nsqgw.protocol.negotiation import Negotiation
from nsqgw.protocol.server import Request, ServerProtocol

if TYPE_CHECKING:
    from compat.nsqd.broker import Nsqd
    from compat.nsqd.channel import Channel
    from compat.nsqd.message import Message


class Client:
    """One connection's dealings with the broker.

    `flush` is called when the protocol has messages to send outside an answer to commands, `close` when
    the broker wants the connection ended. `host` and `port` are the peer's.
    """

    def __init__(
        self,
        nsqd: Nsqd,
        host: str,
        port: int,
        flush: Callable[[], object],
        close: Callable[[], None],
    ) -> None:
        self.protocol = ServerProtocol(nsqd.limits)
        self.settings = self.protocol.settings
        self.host = host
        self.port = port
        self.identified = False
        self.connect_time = int(time.time())
        self.pub_counts: dict[str, int] = {}
        self.channel: Channel | None = None
        self.consumer = Consumer(self._deliver, close, msg_timeout=self.settings.msg_timeout)
        self._nsqd = nsqd
        self._flush = flush

    def handle(self, requests: Iterable[Request]) -> None:
        """Carry out commands in order, queue the answers; raises the ServerError that ends the connection."""
        for kind, run in groupby(requests, type):
            _HANDLERS[kind](self, run)

    def leave(self) -> None:
        """The connection is gone."""
        if self.channel is not None:
            self._nsqd.unsubscribe(self.channel, self.consumer)

    def set_blocked(self, blocked: bool) -> None:
        """Whether the socket takes no more at the moment."""
        self.consumer.blocked = blocked
        if not blocked and self.channel is not None:
            self.channel.refresh(self.consumer)

    def _deliver(self, messages: Sequence[Message]) -> None:
        self.protocol.send_messages(messages)
        self._flush()

    def _identify(self, run: Iterator[Negotiation]) -> None:
        for negotiation in run:
            self.protocol.accept(negotiation)
            self.settings = negotiation.settings
            if not self.identified:
                # A repeated IDENTIFY no longer reaches the delivery (nsqd-tcp 5.1).
                self.consumer.msg_timeout = self.settings.msg_timeout
                self.consumer.sample_rate = self.settings.sample_rate
            self.identified = True

    def _auth(self, run: Iterator[Auth]) -> None:
        raise AuthDisabled("AUTH disabled")

    def _sub(self, run: Iterator[Sub]) -> None:
        for sub in run:
            self.channel = self._nsqd.subscribe(sub.topic, sub.channel, self.consumer)
            self.protocol.send_ok()

    def _rdy(self, run: Iterator[Rdy]) -> None:
        for rdy in run:
            self.consumer.rdy = rdy.count
        self._subscribed.refresh(self.consumer)

    def _fin(self, run: Iterator[Fin]) -> None:
        for message_id, reason in self._subscribed.finish((fin.message_id for fin in run), self.consumer):
            self.protocol.send_error(FinFailed(_failure("FIN", message_id, reason)))

    def _req(self, run: Iterator[Req]) -> None:
        now = self._nsqd.now()
        for req in run:
            try:
                self._subscribed.requeue(req.message_id, self.consumer, req.delay_ms / 1000, now)
            except NotInFlight as error:
                self.protocol.send_error(ReqFailed(_failure("REQ", req.message_id, str(error))))

    def _touch(self, run: Iterator[Touch]) -> None:
        now = self._nsqd.now()
        for touch in run:
            try:
                self._subscribed.touch(touch.message_id, self.consumer, now)
            except NotInFlight as error:
                self.protocol.send_error(TouchFailed(_failure("TOUCH", touch.message_id, str(error))))

    def _cls(self, run: Iterator[Cls]) -> None:
        for _ in run:
            self.consumer.rdy = 0
            self.protocol.send_response(CLOSE_WAIT)

    def _nop(self, run: Iterator[Nop]) -> None:
        pass  # it was received, which is all it is for

    def _pub(self, run: Iterator[Pub]) -> None:
        by_topic: dict[str, list[bytes]] = {}
        for pub in run:
            bodies = by_topic.get(pub.topic)
            if bodies is None:
                by_topic[pub.topic] = [pub.body]
            else:
                bodies.append(pub.body)
        for topic, bodies in by_topic.items():
            self._publish(topic, bodies)
            self.protocol.send_ok(len(bodies))

    def _dpub(self, run: Iterator[Dpub]) -> None:
        for dpub in run:
            self._publish(dpub.topic, (dpub.body,), dpub.delay_ms / 1000)
            self.protocol.send_ok()

    def _mpub(self, run: Iterator[Mpub]) -> None:
        for mpub in run:
            self._publish(mpub.topic, mpub.bodies)
            self.protocol.send_ok()

    def _publish(self, topic: str, bodies: Sequence[bytes], deferral: float = 0.0) -> None:
        self._nsqd.publish(topic, bodies, deferral)
        self.pub_counts[topic] = self.pub_counts.get(topic, 0) + len(bodies)

    @property
    def _subscribed(self) -> Channel:
        assert self.channel is not None  # the session admits these commands only after SUB
        return self.channel


def _failure(command: str, message_id: bytes, reason: str) -> str:
    return f"{command} {message_id.decode('utf-8', 'surrogateescape')} failed {reason}"


_HANDLERS: dict[type, Callable[[Client, Iterator[Any]], None]] = {
    Negotiation: Client._identify,
    Auth: Client._auth,
    Sub: Client._sub,
    Rdy: Client._rdy,
    Fin: Client._fin,
    Req: Client._req,
    Touch: Client._touch,
    Cls: Client._cls,
    Nop: Client._nop,
    Pub: Client._pub,
    Dpub: Client._dpub,
    Mpub: Client._mpub,
}
