"""AnyEvent::NSQ::Connection: one connection to one nsqd, with callbacks."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any

from compat.perl.callbacks import call, checked, split_callback
from compat.perl.identity import configuration
from compat.perl.in_flight import InFlight
from compat.perl.loop import event_loop
from compat.perl.message import Message, id_of
from compat.perl.requeue import requeue_delay_ms
from nsqgw.config import ConnectionConfig
from nsqgw.connection import Connection as Link
from nsqgw.connection import establish
from nsqgw.connection.wire import open_wire
from nsqgw.errors import ConfigError, ConnectionClosed, NotConnected, NSQError, PublishError, ServerError
from nsqgw.http.address import host_and_port
from nsqgw.message import Message as Delivery
from nsqgw.protocol.commands import (
    CLS,
    NOP,
    encode_mpub,
    encode_pub,
    encode_rdy,
    encode_req,
    encode_sub,
    encode_touch,
)
from nsqgw.protocol.frames import CLOSE_WAIT
from nsqgw.protocol.names import check_channel, check_topic

logger = logging.getLogger(__name__)

MAX_UNANSWERED = 100_000
"""Publishes without an answer a connection may have; more are refused with PublishError."""

Info = dict[str, Any]


def warn(short: str, text: str) -> None:
    """What is done with errors when no `error_cb` is given: a warning in the log."""
    logger.warning("%s", text)


class Connection:
    """Connects at once to the nsqd at `host` and `port`, and calls `connect_cb(connection)`.

    There `identify` is to be called, whose callback may subscribe and publish. Times are milliseconds where
    Perl has them so (`heartbeat_interval`, the delay of `requeue_msg`), otherwise seconds. An `error_cb` gets
    a short and a long text; an error that ends the connection is followed by `disconnect_cb(connection)`.
    A connection that was lost stays so until `connect` is called: reconnecting is a client's work.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        connect_cb: Callable[[Connection], object],
        client_id: str | None = None,
        hostname: str | None = None,
        connect_timeout: float | None = None,
        heartbeat_interval: float = 30_000,
        user_agent: str | None = None,
        disconnect_cb: Callable[[Connection], object] | None = None,
        error_cb: Callable[[str, str], object] | None = None,
        message_cb: Callable[[Connection, Message], object] | None = None,
        heartbeat_cb: Callable[[Connection], object] | None = None,
    ) -> None:
        if connect_cb is None:
            raise ConfigError("connect_cb is missing: it is where identify is to be called")
        self.host = host
        self.port = port
        self.identify_info: Info = {}
        self.ready_count = 0
        self.requeue_delay: float | None = None
        self._address = host_and_port(host, port)
        self._identity: Info = {
            "client_id": client_id,
            "hostname": hostname,
            "heartbeat_interval": heartbeat_interval,
            "user_agent": user_agent,
        }
        self._connect_timeout = connect_timeout
        self._connect_cb = checked("connect_cb", connect_cb)
        self._disconnect_cb = checked("disconnect_cb", disconnect_cb)
        self._error_cb = checked("error_cb", error_cb) or warn
        self._message_cb = checked("message_cb", message_cb)
        self._heartbeat_cb = checked("heartbeat_cb", heartbeat_cb)
        self._identify_cb: Callable[[Connection, Info], object] | None = None
        self._configuration({})  # what is wrong is told here, not on the loop
        self._task: asyncio.Task[None] | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._subscribed = False
        self._in_flight = InFlight(0.0)
        self._publishing: set[asyncio.Future[None]] = set()
        self._unanswered = 0
        self.connect()

    # -- life

    @property
    def connected(self) -> bool:
        """Whether nsqd has answered IDENTIFY, and the connection is neither lost nor being ended."""
        return self._link is not None and not self._link.closed and self._farewell is None

    def connect(self) -> None:
        """Connect, unless that is done or under way."""
        if self._task is None or self._task.done():
            loop = event_loop()
            self._asked_to_identify: asyncio.Future[ConnectionConfig] = loop.create_future()
            self._task = loop.create_task(self._live())

    def identify(self, cb: Callable[[Connection, Info], object] | None = None, **pairs: Any) -> None:
        """Send IDENTIFY, with these keys and values added; `cb(connection, info)` has what nsqd granted."""
        self._identify_cb = checked("the callback of identify", cb)
        config = self._configuration(pairs)
        if not self._asked_to_identify.done():
            self._asked_to_identify.set_result(config)

    def disconnect(self, cb: Callable[[Connection, Connection, Info], object] | None = None) -> None:
        """End the connection in good order: `cb(connection, connection, info)`, then `disconnect_cb`.

        A subscriber has told nsqd that it wants no more (CLS), and nsqd has confirmed; a publisher has all
        its answers. What is in flight and unanswered then is delivered again, at once.
        """
        cb = checked("the callback of disconnect", cb)
        link, loop = self._link, event_loop()
        if self._farewell is not None:
            self._farewell.add_done_callback(lambda _: call(cb, self, self, {}))
        elif link is not None and not link.closed:
            self._farewell = loop.create_task(self._say_farewell(link, cb))
        else:
            if self._task is not None:
                self._task.cancel()
            loop.call_soon(call, cb, self, self, {})

    async def wait_closed(self) -> None:
        """Until the connection has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def wait_farewell(self) -> None:
        """Until a disconnect that is under way is done."""
        if self._farewell is not None:
            await asyncio.wait({self._farewell})

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()
        await self.wait_closed()

    # -- commands

    def publish(self, topic: str, *arguments: Any) -> None:
        """`publish(topic, body, ..., cb)`: PUB of one body, MPUB of several.

        `cb(connection, info)` is called at success; it may be left out or None. What nsqd refuses, and what
        has no answer when the connection ends, is told to `error_cb`. Raises NotConnected, PublishError,
        InvalidName, and TypeError for a body that is not bytes.
        """
        bodies, cb = split_callback(arguments)
        data = _encode_publish(check_topic(topic), bodies)
        link = self._living()
        if len(self._publishing) >= MAX_UNANSWERED:
            raise PublishError(
                f"{self._address}: {MAX_UNANSWERED} publishes have no answer yet; wait for some"
            )
        answer = link.request(data)
        self._publishing.add(answer)
        answer.add_done_callback(lambda answer: self._published(answer, cb))

    def subscribe(self, topic: str, channel: str, cb: Callable[[Connection, Message], object]) -> None:
        """Send SUB; messages go to `cb(connection, message)`, as soon as `ready` asks for them."""
        self._message_cb = checked("the callback of subscribe", cb)
        command = encode_sub(check_topic(topic), check_channel(channel))
        self._subscribed = True
        self._living().request(command).add_done_callback(_leave_to_run)

    def ready(self, count: int) -> None:
        """Send RDY: so many messages may be in flight on this connection; nsqd never counts it down."""
        link = self._living()
        if not self._subscribed:
            raise ConfigError("ready is for subscribers: call subscribe before")
        if not 0 <= count <= link.features.max_rdy_count:
            raise ConfigError(f"ready {count!r}: it must be 0 to {link.features.max_rdy_count} for this nsqd")
        self.ready_count = count
        link.send(encode_rdy(count))

    def mark_as_done_msg(self, message: Message | str) -> bool:
        """Send FIN for a message or its id; false when the connection is gone, and nsqd delivers it again."""
        message_id = self._answer(message)
        if self._link is None:
            return False
        self._link.finish(message_id.encode())
        return True

    def requeue_msg(self, message: Message | str, delay: float | None = None) -> bool:
        """Send REQ; `delay` is milliseconds, a negative one as `requeue_delay_ms` says. Result as above."""
        attempts = 1 if isinstance(message, str) else message.attempts
        delay_ms = requeue_delay_ms(delay, attempts, self.requeue_delay)
        message_id = self._answer(message)
        if self._link is None:
            return False
        self._link.send(encode_req(message_id.encode(), delay_ms))
        return True

    def touch_msg(self, message: Message | str) -> bool:
        """Send TOUCH: the message's time-out starts again. Result as above."""
        message_id = id_of(message)
        if self._link is None:
            return False
        self._link.send(encode_touch(message_id.encode()))
        return True

    def nop(self) -> None:
        """Send NOP; heartbeats are answered without it."""
        self._living().send(NOP)

    def holds(self, message: Message | str) -> bool:
        """Whether this connection delivered the message, and its answer is still of use."""
        return not (self._link is None or self._link.closed) and self._in_flight.holds(
            id_of(message), event_loop().time()
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lstrip('_')} {self._address}>"

    # -- inside

    def _configuration(self, pairs: Info) -> ConnectionConfig:
        return configuration({**self._identity, **pairs}, self._connect_timeout)

    def _living(self) -> Link:
        if self._link is None or not self.connected:
            raise NotConnected(f"{self._address}: not connected; wait for the callback of identify")
        return self._link

    def _answer(self, message: Message | str) -> str:
        message_id = id_of(message)
        self._in_flight.discard(message_id)
        return message_id

    async def _live(self) -> None:
        """From connecting to the end of the connection."""
        try:
            wire = await open_wire(self._address, self._configuration({}).connect_timeout)
        except NSQError as error:
            self._report(error)
            return
        try:
            call(self._connect_cb, self)
            link = await establish(wire, self._address, await self._asked_to_identify)
        except NSQError as error:
            self._report(error)
            call(self._disconnect_cb, self)
        else:
            await self.serve(link)
        finally:
            wire.close()

    async def serve(self, link: Link) -> NSQError | None:
        """Call back what comes by `link`, past its handshake, until it ends; why it did, if unasked."""
        self._link = link
        self._in_flight = InFlight(link.features.max_msg_timeout / 1000)
        link.receive = self._deliver
        link.refused = self._report
        link.heartbeat = lambda: call(self._heartbeat_cb, self)
        self.identify_info = dataclasses.asdict(link.features)
        call(self._identify_cb, self, self.identify_info)
        reason: NSQError | None = None
        try:
            await link.run()
        except NSQError as error:
            reason = error if self._farewell is None else None
        finally:
            await self._settle()
            if reason is not None:
                self._report(reason)
            if self._unanswered:
                text = f"{self._unanswered} publishes were not confirmed: they may be stored, or not"
                self._report(ConnectionClosed(text))
                self._unanswered = 0
            call(self._disconnect_cb, self)
        return reason

    async def _settle(self) -> None:
        """The link has ended: nothing it had under way is left."""
        await self._answers()
        await self.wait_farewell()
        self._farewell = self._link = None
        self._subscribed = False
        self._in_flight = InFlight(0.0)

    async def _answers(self) -> None:
        """Until all publishes have succeeded or failed."""
        while self._publishing:
            await asyncio.wait(self._publishing)

    async def _say_farewell(
        self, link: Link, cb: Callable[[Connection, Connection, Info], object] | None
    ) -> None:
        info: Info = {}
        try:
            if self._subscribed:
                await link.request(CLS, CLOSE_WAIT)
                info = {"msg": CLOSE_WAIT.decode()}
            await self._answers()
        except NSQError as error:
            self._report(error)
        call(cb, self, self, info)
        await link.hang_up()

    def _deliver(self, deliveries: list[Delivery]) -> None:
        now = event_loop().time()
        for delivery in deliveries:
            message = Message(delivery, self)
            self._in_flight.add(message.message_id, now)
            call(self._message_cb, self, message)

    def _published(self, answer: asyncio.Future[None], cb: Callable[..., object] | None) -> None:
        self._publishing.discard(answer)
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            call(cb, self, {"msg": "OK"})
        elif not isinstance(error, ServerError):  # what nsqd refuses ends the connection, which says so
            self._unanswered += 1

    def _report(self, error: NSQError) -> None:
        short = str(error).removeprefix(f"{self._address}: ")
        call(self._error_cb, short, f"nsqd at host {self.host!r} port {self.port}: {short}")


def _encode_publish(topic: str, bodies: list[Any]) -> bytes:
    if not bodies:
        raise PublishError("publish needs at least one body")
    for body in bodies:
        if not isinstance(body, bytes | bytearray | memoryview):
            raise TypeError(f"a body must be bytes, not {type(body).__name__}; encode it, e.g. text.encode()")
        if not len(body):
            raise PublishError("a body is empty; nsqd takes messages of one byte and more")
    plain = [bytes(body) for body in bodies]
    return encode_pub(topic, plain[0]) if len(plain) == 1 else encode_mpub(topic, plain)


def _leave_to_run(answer: asyncio.Future[None]) -> None:
    """A refused SUB ends the connection, which says why."""
    if not answer.cancelled():
        answer.exception()
