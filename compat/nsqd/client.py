"""What one client's commands do to the broker (nsqd-tcp section 8); no socket, no timer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from compat.nsqd.auth import Question
from compat.nsqd.auth_gate import AuthGate
from compat.nsqd.backend import BackendFailed
from compat.nsqd.consumer import Consumer
from compat.nsqd.in_flight import NotInFlight
from compat.nsqd.tls import ClientTunnel, TlsFacts
from nsqgw.errors import (
    AuthDisabled,
    DpubFailed,
    FinFailed,
    MpubFailed,
    PubFailed,
    ReqFailed,
    ServerError,
    TouchFailed,
)
from nsqgw.protocol.commands import Auth, Cls, Dpub, Fins, Mpub, Nop, Pubs, Rdy, Req, Sub, Touch
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
    the broker wants the connection ended. Nothing may be sent while it is `unconfirmed`. `host` is the peer's
    IP address, empty behind a unix socket, and `address` the peer as nsqd writes it.
    """

    def __init__(
        self,
        nsqd: Nsqd,
        host: str,
        address: str,
        flush: Callable[[], object],
        close: Callable[[], None],
    ) -> None:
        self.protocol = ServerProtocol(nsqd.limits, self._dig if nsqd.make_tunnel is not None else None)
        self.settings = self.protocol.settings
        self.host = host
        self.address = address
        self.identified = False
        self.unconfirmed: Callable[[str], ServerError] | None = None
        self.connect_time = int(time.time())
        self.pub_counts: dict[str, int] = {}
        self.channel: Channel | None = None
        self.consumer = Consumer(self._deliver, close, msg_timeout=self.settings.msg_timeout)
        self.gate = (
            AuthGate(nsqd.auth_servers, self._question, nsqd.now) if nsqd.auth_servers is not None else None
        )
        self._tunnel: ClientTunnel | None = None
        self._nsqd = nsqd
        self._flush = flush

    def handle(self, requests: Iterable[Request]) -> Awaitable[None] | None:
        """Carry out commands in order, queue the answers; raises the ServerError that ends the connection.

        What it returns has to be awaited before the rest of `requests`, an iterator then, is handled.
        """
        gate = self.gate
        try:
            for request in requests:
                if gate is not None and (waiting := gate.check(request)) is not None:
                    return self._after(waiting, request)
                _HANDLERS[type(request)](self, request)
        except ServerError as error:
            if self.unconfirmed is None:
                raise
            return self._confirm(self.unconfirmed, error)
        return None if self.unconfirmed is None else self._confirm(self.unconfirmed)

    @property
    def tls(self) -> TlsFacts | None:
        """What is known of its TLS; None without."""
        return self._tunnel.facts if self._tunnel is not None and self._tunnel.established else None

    def leave(self) -> None:
        """The connection ends; to be told so twice does no harm."""
        if self.channel is not None:
            self._nsqd.unsubscribe(self.channel, self.consumer)

    def set_blocked(self, blocked: bool) -> None:
        """Whether the socket takes no more at the moment."""
        self.consumer.blocked = blocked
        if not blocked and self.channel is not None:
            self.channel.refresh(self.consumer)

    async def _after(self, waiting: Awaitable[None], request: Request) -> None:
        await waiting
        _HANDLERS[type(request)](self, request)

    def _dig(self) -> ClientTunnel:
        assert self._nsqd.make_tunnel is not None
        self._tunnel = self._nsqd.make_tunnel()
        return self._tunnel

    def _question(self, secret: bytes) -> Question:
        tls = self.tls
        return Question(secret, self.host, tls is not None, tls.common_name if tls is not None else "")

    def _deliver(self, messages: Sequence[Message]) -> None:
        self.protocol.send_messages(messages)
        self._flush()

    def _identify(self, negotiation: Negotiation) -> None:
        self.protocol.accept(negotiation)
        self.settings = negotiation.settings
        if not self.identified:
            # A repeated IDENTIFY no longer reaches the delivery (nsqd-tcp 5.1).
            self.consumer.msg_timeout = self.settings.msg_timeout
            self.consumer.sample_rate = self.settings.sample_rate
        self.identified = True

    def _auth(self, auth: Auth) -> None:
        if self.gate is None:
            raise AuthDisabled("AUTH disabled")
        self.protocol.send_response(self.gate.answer())

    def _sub(self, sub: Sub) -> None:
        self.channel = self._nsqd.subscribe(sub.topic, sub.channel, self.consumer)
        self.protocol.send_ok()

    def _rdy(self, rdy: Rdy) -> None:
        self.consumer.rdy = rdy.count
        self._subscribed.refresh(self.consumer)

    def _fin(self, fins: Fins) -> None:
        for message_id, reason in self._subscribed.finish(fins.message_ids, self.consumer):
            self.protocol.send_error(FinFailed(_failure("FIN", message_id, reason)))

    def _req(self, req: Req) -> None:
        delay = req.delay_ms / 1000
        try:
            self._subscribed.requeue(req.message_id, self.consumer, delay, self._nsqd.now())
        except NotInFlight as error:
            self.protocol.send_error(ReqFailed(_failure("REQ", req.message_id, str(error))))

    def _touch(self, touch: Touch) -> None:
        try:
            self._subscribed.touch(touch.message_id, self.consumer, self._nsqd.now())
        except NotInFlight as error:
            self.protocol.send_error(TouchFailed(_failure("TOUCH", touch.message_id, str(error))))

    def _cls(self, cls: Cls) -> None:
        self.consumer.rdy = 0
        self.protocol.send_response(CLOSE_WAIT)

    def _nop(self, nop: Nop) -> None:
        pass  # it was received, which is all it is for

    def _pub(self, pubs: Pubs) -> None:
        self._publish(_pub_failed, pubs.topic, pubs.bodies)
        self.protocol.send_ok(len(pubs.bodies))

    def _dpub(self, dpub: Dpub) -> None:
        self._publish(_dpub_failed, dpub.topic, (dpub.body,), dpub.delay_ms / 1000)
        self.protocol.send_ok()

    def _mpub(self, mpub: Mpub) -> None:
        self._publish(_mpub_failed, mpub.topic, mpub.bodies)
        self.protocol.send_ok()

    def _publish(
        self,
        failed: Callable[[str], ServerError],
        topic: str,
        bodies: Sequence[bytes],
        deferral: float = 0.0,
    ) -> None:
        try:
            self._nsqd.publish(topic, bodies, deferral)
        except BackendFailed as error:
            raise failed(str(error)) from error
        self.pub_counts[topic] = self.pub_counts.get(topic, 0) + len(bodies)
        if self._nsqd.storage.answers_wait:
            self.unconfirmed = failed

    async def _confirm(self, failed: Callable[[str], ServerError], later: ServerError | None = None) -> None:
        """The answers in the queue hold once the disk has what they confirm; else they may not be sent.

        `later` is the error that came after what is to be confirmed.
        """
        reason = await self._nsqd.storage.synced()
        self.unconfirmed = None
        if reason:
            self.protocol.discard()
            raise failed(reason)
        if later is not None:
            raise later

    @property
    def _subscribed(self) -> Channel:
        assert self.channel is not None  # the session admits these commands only after SUB
        return self.channel


def _pub_failed(reason: str) -> ServerError:
    return PubFailed(f"PUB failed {reason}")


def _mpub_failed(reason: str) -> ServerError:
    return MpubFailed(f"MPUB failed {reason}")


def _dpub_failed(reason: str) -> ServerError:
    return DpubFailed(f"DPUB failed {reason}")


def _failure(command: str, message_id: bytes, reason: str) -> str:
    return f"{command} {message_id.decode('utf-8', 'surrogateescape')} failed {reason}"


_HANDLERS: dict[type, Callable[[Client, Any], None]] = {
    Negotiation: Client._identify,
    Auth: Client._auth,
    Sub: Client._sub,
    Rdy: Client._rdy,
    Fins: Client._fin,
    Req: Client._req,
    Touch: Client._touch,
    Cls: Client._cls,
    Nop: Client._nop,
    Pubs: Client._pub,
    Dpub: Client._dpub,
    Mpub: Client._mpub,
}
