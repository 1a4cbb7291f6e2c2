"""The pump: read, parse, hand on; collect what is to be sent and write it once per read or loop turn."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, StreamClosedError

from nsqgw.config import ConnectionConfig
from nsqgw.connection.handshake import shake_hands
from nsqgw.connection.replies import Replies, Requester
from nsqgw.connection.stream import open_stream
from nsqgw.connection.watch import Watch
from nsqgw.deadline import within
from nsqgw.errors import ConnectionClosed, ConnectionFailed, NSQError, ProtocolError, ServerError, Unprocessed
from nsqgw.message import Message
from nsqgw.protocol.client import ClientProtocol
from nsqgw.protocol.commands import NOP, encode_fins
from nsqgw.protocol.frames import OK
from nsqgw.protocol.identify import ServerFeatures
from nsqgw.protocol.messages import Confirmations, ErrorResponse, Event, Messages, Response

READ_SIZE = 128 * 1024
"""Bytes asked for at once: several hundred small messages a read, 128 KiB a connection."""

_CLOSE_TIMEOUT = 2.0

# nsqd writes every OK by itself. Read as they come, a thousand publishes under way turn into hundreds of
# reads and writes of a few each; a pause of a millisecond lets them gather. It is taken only when so many
# are under way that it costs no throughput.
_GATHER_ABOVE = 256
_GATHER_BELOW = 8192
_GATHER_TIME = 0.001

_LONGEST_TURN = 0.01
"""Seconds after which a connection that is never out of data lets the rest of the loop run."""


async def connect(address: str, config: ConnectionConfig) -> Connection:
    """A connection past its handshake.

    Raises ConnectionFailed, ServerError, ProtocolError or ConfigError; at the latest after twice
    `connect_timeout`.
    """
    return await establish(await open_stream(address, config.connect_timeout), address, config)


async def establish(stream: IOStream, address: str, config: ConnectionConfig) -> Connection:
    """The handshake on a stream that is open already: errors as those of `connect`, which close it."""
    protocol: ClientProtocol[Message] = ClientProtocol(Message, config.max_frame_size)
    try:
        stream, features = await within(
            config.connect_timeout, shake_hands(stream, address, protocol, config)
        )
    except asyncio.TimeoutError as error:
        stream.close()
        text = f"{address}: no answer to IDENTIFY within {config.connect_timeout:g} s; is it nsqd's TCP port?"
        raise ConnectionFailed(text) from error
    except StreamClosedError as error:
        raise ConnectionFailed(f"{address}: closed the connection during the handshake") from error
    except (
        OSError
    ) as error:  # of TLS 1.3, which tells only behind its handshake that a certificate is missing
        stream.close()
        raise ConnectionFailed(f"{address}: {error.strerror or error}") from error
    except ProtocolError as error:
        stream.close()
        raise _told(address, error) from error
    except BaseException:
        stream.close()
        raise
    return Connection(address, stream, protocol, features, config)


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
        stream: IOStream,
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
        self._stream = stream
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._replies = Replies()
        self._waiting = self._replies.waiting
        self._out: list[bytes] = []
        self._fins: list[bytes] = []
        self._last_write: asyncio.Future[None] | None = None
        self._ended = asyncio.Event()
        self._flush_due = False
        self._flushed = 0
        self._refused = False
        self._reads = 0
        self._reason: NSQError | None = None
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
        self.send_again(future, data, answer, count)
        return future

    def send_again(
        self, future: asyncio.Future[None], data: bytes, answer: bytes = OK, count: int = 0
    ) -> None:
        """The same for a future that exists already."""
        self._waiting.append((future, answer, data, count))
        if self.closed:
            self._replies.fail_all(Unprocessed(f"{self.address}: connection closed before sending"))
            return
        self._out.append(data)
        if not self._flush_due:
            self._schedule_flush()

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
        try:
            self._last_write = self._stream.write(self._protocol.encode(data))
        except StreamClosedError as error:
            self.close(ConnectionClosed(f"{self.address}: {error.real_error or 'connection lost'}"))

    # -- receiving

    async def run(self) -> None:
        """Read until the connection ends, then raise why: ConnectionClosed, ServerError, ProtocolError ..."""
        self._schedule_tick()
        try:
            self._handle(self._protocol.established(self.origin))
            await self._read_on()
        except StreamClosedError as error:
            cause = error.real_error
            text = (
                f"{self.address}: {cause.strerror or cause}"
                if isinstance(cause, OSError)
                else self._hung_up()
            )
            raise self._reason or ConnectionClosed(text) from error
        except OSError as error:  # what TLS reports in place of data
            self._reason = self._reason or ConnectionClosed(f"{self.address}: {error.strerror or error}")
            raise self._reason from error
        except ProtocolError as error:
            self._reason = self._reason or _told(self.address, error)
            raise self._reason from error
        except NSQError as error:
            self._reason = self._reason or error
            raise
        finally:
            self._next_tick.cancel()
            self.close(self._reason)

    async def _read_on(self) -> None:
        buffer = bytearray(READ_SIZE)
        view = memoryview(buffer)
        read_into, receive_data = self._stream.read_into, self._protocol.receive_data
        clock = self._loop.time
        turn_ends = clock() + _LONGEST_TURN
        while True:
            size = await read_into(buffer, partial=True)
            self._reads += 1
            self._handle(receive_data(bytes(view[:size]), self.origin))
            if len(self._waiting) >= _GATHER_ABOVE and size < _GATHER_BELOW:
                await asyncio.sleep(_GATHER_TIME)
            elif clock() > turn_ends:
                # While data keeps coming, reading never suspends; the others must have their turn.
                await asyncio.sleep(0)
                turn_ends = clock() + _LONGEST_TURN

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
        self._stream.close()
        self._ended.set()
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
            if self._last_write is not None:
                await within(_CLOSE_TIMEOUT, asyncio.shield(self._last_write))
            if not self._stream.closed():
                # Of the socket itself: an SSLSocket's own shutdown would have us read ciphertext.
                socket.socket.shutdown(self._stream.socket, socket.SHUT_WR)
                await within(_CLOSE_TIMEOUT, self._ended.wait())
        except (asyncio.TimeoutError, StreamClosedError, OSError):
            pass  # gone already, or deaf: closing is all that is left
        finally:
            self.close()

    def _closed_error(self) -> ConnectionClosed:
        if isinstance(self._reason, ConnectionClosed):
            return self._reason
        error = ConnectionClosed(
            f"{self.address}: connection closed" + (f": {self._reason}" if self._reason else "")
        )
        error.__cause__ = self._reason
        return error

    def _hung_up(self) -> str:
        return f"{self.address}: nsqd closed the connection"
