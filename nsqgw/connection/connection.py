"""The pump: read, parse, hand on; collect what is to be sent and write it once per read or loop turn."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from nsqgw.config import ConnectionConfig
from nsqgw.connection.handshake import shake_hands
from nsqgw.connection.replies import Replies, Requester, Waiter
from nsqgw.connection.watch import Watch
from nsqgw.connection.wire import Wire, WireClosed, open_wire
from nsqgw.deadline import within
from nsqgw.errors import ConnectionClosed, ConnectionFailed, NSQError, ProtocolError, ServerError, Unprocessed
from nsqgw.message import Message
from nsqgw.protocol.client import ClientProtocol
from nsqgw.protocol.commands import NOP, encode_fins
from nsqgw.protocol.frames import OK
from nsqgw.protocol.identify import ServerFeatures
from nsqgw.protocol.messages import Confirmations, ErrorResponse, Event, Messages, Response

_CLOSE_TIMEOUT = 2.0

_AT_ONCE = 16 * 1024
"""A command of so many bytes does not wait for others to share its write."""

# nsqd writes every OK by itself. Read as they come, a thousand publishes under way turn into hundreds of
# reads and writes of a few each; a pause of a millisecond lets them gather. It is taken only when so many
# are under way that it costs no throughput.
_GATHER_ABOVE = 256
_GATHER_BELOW = 8192
_GATHER_TIME = 0.001


async def connect(address: str, config: ConnectionConfig) -> Connection:
    """A connection past its handshake.

    Raises ConnectionFailed, ServerError, ProtocolError or ConfigError; at the latest after twice
    `connect_timeout`.
    """
    return await establish(await open_wire(address, config.connect_timeout), address, config)


async def establish(wire: Wire, address: str, config: ConnectionConfig) -> Connection:
    """The handshake on a wire that is open already: errors as those of `connect`, which close it."""
    protocol: ClientProtocol[Message] = ClientProtocol(Message, config.max_frame_size)
    try:
        features = await within(config.connect_timeout, shake_hands(wire, address, protocol, config))
    except asyncio.TimeoutError as error:
        wire.close()
        text = f"{address}: no answer to IDENTIFY within {config.connect_timeout:g} s; is it nsqd's TCP port?"
        raise ConnectionFailed(text) from error
    except WireClosed as error:
        # Of TLS 1.3 this tells, too, only behind its handshake, that a certificate is missing.
        cause = f" {_words(wire.error)}" if isinstance(wire.error, ssl.SSLError) else ""
        raise ConnectionFailed(f"{address}:{cause or ' closed the connection during the handshake'}") from (
            wire.error or error
        )
    except ProtocolError as error:
        wire.close()
        raise _told(address, error) from error
    except ServerError as error:
        wire.close()
        error.nsqd_address = address
        raise
    except BaseException:
        wire.close()
        raise
    return Connection(address, wire, protocol, features, config)


def _told(address: str, error: ProtocolError) -> ProtocolError:
    """The same error with the peer's address, which the protocol does not know."""
    return type(error)(f"{address}: {error}")


class Connection:
    """One connection to nsqd after its handshake. Its owner awaits `run` and sets the hooks it needs.

    receive   called with the messages of a read
    refused   called with error frames that close nothing (a FIN, REQ or TOUCH that came too late)
    heartbeat called when nsqd asks for a sign of life, which it gets in any case
    origin    put into the messages of the next read
    """

    def __init__(
        self,
        address: str,
        wire: Wire,
        protocol: ClientProtocol[Message],
        features: ServerFeatures,
        config: ConnectionConfig,
    ) -> None:
        self.address = address
        self.features = features
        self.receive: Callable[[list[Message]], None] | None = None
        self.refused: Callable[[ServerError], None] | None = None
        self.heartbeat: Callable[[], None] | None = None
        self.origin: Any = None
        self.closed = False
        self.was_useful = False
        """Whether it has brought a message, or confirmed one."""
        self._wire = wire
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._replies = Replies()
        self._waiting = self._replies.waiting
        self._out: list[bytes] = []
        self._fins: list[bytes] = []
        self._flush_due = False
        self._flushed = 0
        self._refused = False
        self._reads = 0
        self._reason: NSQError | None = None
        self._failure: BaseException | None = None
        limit = min(config.heartbeat_interval, config.reply_timeout)
        self._watch = Watch(min(1.0, limit / 4), 2 * config.heartbeat_interval, config.reply_timeout)

    @property
    def unanswered_commands(self) -> int:
        """Commands whose answer has not come yet."""
        return len(self._waiting)

    # -- sending

    def send(self, data: bytes) -> None:
        """Send commands that have no answer; they leave at the end of this read or loop turn."""
        self._out.append(data)
        if not self._flush_due:
            self._schedule_flush()

    def finish(self, message_id: bytes) -> None:
        """Send FIN; joined with the others of this read or loop turn."""
        self._fins.append(message_id)
        if not self._flush_due:
            self._schedule_flush()

    def finish_all(self, message_ids: list[bytes]) -> None:
        """Send FIN for many messages."""
        self._fins += message_ids
        if not self._flush_due:
            self._schedule_flush()

    def request(self, data: bytes, answer: bytes = OK, count: int = 0) -> asyncio.Future[None]:
        """Send a command that has an answer; the future is done when `answer` is there.

        It fails with ServerError when nsqd refuses, with ConnectionClosed when the connection ends before
        the answer: Unprocessed where nsqd certainly did not come to it. With a `count` of messages the
        `requester` is told of its fate, and decides about failing the future.
        """
        future: asyncio.Future[None] = asyncio.Future(loop=self._loop)
        self.ask(future, data, answer, count)
        return future

    def ask(self, waiter: Waiter, data: bytes, answer: bytes = OK, count: int = 0) -> None:
        """The same for one who is there already: a future, or a function to be called."""
        self._waiting.append((waiter, answer, data, count))
        if self.closed:
            self._replies.fail_all(Unprocessed(f"{self.address}: connection closed before sending"))
            return
        self._out.append(data)
        if not self._flush_due:
            if len(data) < _AT_ONCE:
                self._schedule_flush()
            else:
                self._flush()

    def set_requester(self, requester: Requester) -> None:
        """Who is told of the fate of requests with a count."""
        self._replies.requester = requester

    def _schedule_flush(self) -> None:
        self._flush_due = True
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        out = self._out
        if self._fins:
            out.append(encode_fins(self._fins))
            self._fins.clear()
        if not out or self.closed:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._flushed = self._replies.asked
        self._wire.write(self._protocol.encode(data))

    # -- receiving

    async def run(self) -> None:
        """Receive until the connection ends, then raise why: ConnectionClosed, ServerError, ..."""
        self._schedule_tick()
        try:
            if self._attempt(lambda: self._protocol.established(self.origin)):
                self._wire.pump(self._take, self._lost)
            await self._wire.wait_lost()
            raise self._failure or self._reason or self._closed_error()
        finally:
            self._next_tick.cancel()
            self.close()

    def _lost(self) -> None:
        self.close(ConnectionClosed(f"{self.address}: {self._end()}"))

    def _take(self, data: bytes) -> None:
        self._reads += 1
        if not self._attempt(lambda: self._protocol.receive_data(data, self.origin)):
            return
        if len(self._waiting) >= _GATHER_ABOVE and len(data) < _GATHER_BELOW:
            self._wire.pause()
            self._loop.call_later(_GATHER_TIME, self._wire.resume)

    def _attempt(self, receive: Callable[[], list[Event[Message]]]) -> bool:
        """Handle what was received; whether the connection lives on. `run` raises why not."""
        try:
            self._handle(receive())
        except NSQError as error:
            self.close(_told(self.address, error) if isinstance(error, ProtocolError) else error)
        except (SystemExit, KeyboardInterrupt):
            self.close()
            raise
        except BaseException as error:  # noqa: BLE001 - a mistake of ours, for `run` to raise
            self._failure = error
            self.close()
        return not self.closed

    def _handle(self, events: list[Event[Message]]) -> None:
        # Whatever the handlers answer meanwhile leaves in one write at the end.
        self._flush_due = True
        try:
            for event in events:
                if isinstance(event, Messages):
                    self._receive(event.messages)
                elif isinstance(event, Confirmations):
                    self._replies.confirm(event.count)
                    self.was_useful |= self._replies.requester is not None
                elif isinstance(event, Response):
                    self._replies.resolve(event.data)
                elif isinstance(event, ErrorResponse):
                    self._on_error(event.error)
                else:
                    self._on_heartbeat()
        finally:
            self._flush()

    def _receive(self, messages: list[Message]) -> None:
        self.was_useful = True
        if self.receive is not None:
            self.receive(messages)

    def _on_heartbeat(self) -> None:
        self._out.append(NOP)
        if self.heartbeat is not None:
            self.heartbeat()

    def _on_error(self, error: ServerError) -> None:
        error.nsqd_address = self.address
        if error.fatal:
            self._refused = len(self._waiting) > 0
            self._replies.reject(error)
            raise error
        if self.refused is not None:
            self.refused(error)

    def _schedule_tick(self) -> None:
        self._next_tick = self._loop.call_later(self._watch.interval, self._tick)

    def _tick(self) -> None:
        self._schedule_tick()
        error = self._watch.tick(self._reads, self._replies.asked, self._replies.answered)
        if error is not None:
            self.close(error)

    # -- ending

    def close(self, reason: NSQError | None = None) -> None:
        """End the connection now; `run` raises `reason`. What waits for an answer fails."""
        if self.closed:
            return
        self.closed = True
        self._reason = self._reason or reason
        self._wire.close()
        self._fail_requests()

    def _fail_requests(self) -> None:
        """nsqd works in order: what was not sent, or stands behind a refused command, is undone."""
        error = self._closed_error()
        undone = Unprocessed(f"{error}; nsqd did not come to this command")
        undone.__cause__ = error
        self._replies.fail_oldest(self._flushed - self._replies.answered, undone if self._refused else error)
        self._replies.fail_all(undone)

    async def hang_up(self) -> None:
        """Deliver what was sent, tell nsqd that no more comes, and wait for it to hang up.

        Closing outright could lose the last FINs: unread data in our socket makes the kernel reset the
        connection. After a deadline of two seconds it is closed all the same.
        """
        self._flush()
        try:
            await within(_CLOSE_TIMEOUT, self._wire.wait_written())
            if not self._wire.closed:
                self._wire.shut_down()
                await within(_CLOSE_TIMEOUT, self._wire.wait_lost())
        except (asyncio.TimeoutError, OSError):
            pass  # gone already, or deaf: closing is all that is left
        finally:
            self.close()

    def _closed_error(self) -> ConnectionClosed:
        if isinstance(self._reason, ConnectionClosed):
            return self._reason
        cause = f": {self._reason}".replace(f" {self.address}:", "", 1) if self._reason else ""
        error = ConnectionClosed(f"{self.address}: connection closed{cause}")
        error.__cause__ = self._reason
        return error

    def _end(self) -> str:
        return "nsqd closed the connection" if self._wire.error is None else _words(self._wire.error)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
