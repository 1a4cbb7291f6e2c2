"""The server's side of the dialogue: bytes from a client become commands, answers become bytes.

    commands = protocol.receive_data(data)     # act on them in order, answering with send_*
    protocol.error                             # then, if set: tell the client (send_error), close
    transport.write(protocol.data_to_send())

A Negotiation takes the place of IDENTIFY in the list and is answered with `accept`. The bytes of a client
that upgrades pass through two layers more: TLS, then compression (nsqd-tcp 5.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from nsqgw.errors import BadProtocol, IdentifyFailed, NSQError, ServerError
from nsqgw.protocol.command_reader import CommandReader
from nsqgw.protocol.commands import Command, Identify
from nsqgw.protocol.compression import Codec, Deflate, Snappy
from nsqgw.protocol.frames import (
    FRAME_MESSAGE,
    HEARTBEAT,
    MAGIC_V2,
    MESSAGE_FRAME_HEADER,
    OK,
    encode_error,
    encode_response,
)
from nsqgw.protocol.limits import ServerLimits
from nsqgw.protocol.negotiation import ClientSettings, Negotiation, default_settings, negotiate
from nsqgw.protocol.session import ClientState, Session
from nsqgw.protocol.tunnel import Tunnel

OK_FRAME = encode_response(OK)
HEARTBEAT_FRAME = encode_response(HEARTBEAT)

_FIXED_FRAME_PART = MESSAGE_FRAME_HEADER.size - 4

Request = Command | Negotiation


class Deliverable(Protocol):
    """What a message frame is made of (nsqd-tcp section 2)."""

    timestamp: int
    attempts: int
    id: bytes
    body: bytes


class ServerProtocol:
    """One client's connection, without the connection.

    `settings` are those in force for what is received next. `error`, once set, is final: a ServerError
    is sent to the client before closing, any other NSQError closes without a word, as nsqd does.
    TLS is offered when there is a function that makes tunnels.
    """

    def __init__(self, limits: ServerLimits, make_tunnel: Callable[[], Tunnel] | None = None) -> None:
        self.settings: ClientSettings = default_settings(limits)
        self._limits = limits
        self._make_tunnel = make_tunnel
        self._session = Session()
        self._session.tls_missing = limits.tls_required
        self._reader = CommandReader(self._session, limits)
        self._magic: bytes | None = b""
        self._error: NSQError | None = None
        self._tunnel: Tunnel | None = None
        self._codec: Codec | None = None
        self._layered = False
        self._compressing = False
        self._outgoing: list[bytes] = []
        self._encoded = b""

    @property
    def state(self) -> ClientState:
        """The state after everything received so far."""
        return self._session.state

    @property
    def upgrading(self) -> bool:
        """Whether TLS was agreed on and its handshake is not over."""
        return self._tunnel is not None and not self._tunnel.established

    @property
    def error(self) -> NSQError | None:
        """Why the connection is to be closed, once the commands before the mistake are answered."""
        return self._error or self._reader.error

    @property
    def ended(self) -> bool:
        """Whether the client said within TLS that it sends no more; nsqd then closes the connection."""
        return self._tunnel is not None and self._tunnel.ended

    def receive_data(self, data: bytes) -> list[Request]:
        """The commands that `data` completes. After an error everything is ignored."""
        requests: list[Request] = []
        if self.error is not None:
            return requests
        try:
            self._receive(self._after_magic(data), requests)
        except NSQError as error:
            self._fail(error)
        return requests

    def receive_eof(self) -> None:
        """The client sends no more, or took too long; sets `error` when that cuts a body short."""
        self._reader.end()

    def upgrade_timed_out(self) -> None:
        """The handshake of TLS took too long; sets `error`."""
        self._fail(IdentifyFailed("IDENTIFY failed TLS handshake timed out"))

    def send_ok(self, count: int = 1) -> None:
        """Queue the answer to `count` commands that succeeded."""
        self._outgoing.append(OK_FRAME * count)

    def send_response(self, data: bytes) -> None:
        """Queue an answer: `CLOSE_WAIT` or a JSON document."""
        self._outgoing.append(encode_response(data))

    def send_error(self, error: ServerError) -> None:
        """Queue an error frame."""
        self._outgoing.append(encode_error(error.data))

    def discard(self) -> None:
        """Forget what is queued: it turned out not to be true."""
        self._outgoing.clear()

    def send_heartbeat(self) -> None:
        """Queue a heartbeat."""
        self._outgoing.append(HEARTBEAT_FRAME)

    def send_messages(self, messages: Iterable[Deliverable]) -> None:
        """Queue a frame for each message."""
        pack, append = MESSAGE_FRAME_HEADER.pack, self._outgoing.append
        for message in messages:
            body = message.body
            append(
                pack(
                    _FIXED_FRAME_PART + len(body),
                    FRAME_MESSAGE,
                    message.timestamp,
                    message.attempts,
                    message.id,
                )
            )
            append(body)

    def accept(self, negotiation: Negotiation) -> None:
        """Queue the answer to IDENTIFY: the response, and an OK inside each upgrade that was granted."""
        self.send_response(negotiation.response)
        settings = negotiation.settings
        if not (settings.tls_v1 or settings.deflate or settings.snappy):
            return
        self._encoded = self.data_to_send()
        self._layered = True
        if not settings.tls_v1:
            self._start_compressing()

    def data_to_send(self) -> bytes:
        """The bytes to write now, compressed and encrypted as agreed; empty when nothing is queued.

        During the handshake of TLS that is all there is; frames wait until it is over.
        """
        if self._layered:
            return self._encode()
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def _fail(self, error: NSQError) -> None:
        self._error = error
        if self.upgrading:
            # nsqd, too, tells of a failed handshake in the clear, behind TLS's own alert.
            assert self._tunnel is not None
            self._encoded += self._tunnel.encrypt(b"")
            self._tunnel = None

    def _encode(self) -> bytes:
        data = b""
        if not self.upgrading:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            if self._compressing and data:
                assert self._codec is not None
                data = self._codec.compress(data)
        if self._tunnel is not None:
            data = self._tunnel.encrypt(data)
        data, self._encoded = self._encoded + data, b""
        return data

    def _start_encrypting(self) -> None:
        self._session.tls_missing = False
        self.send_ok()
        if self._codec is not None:
            self._encoded = self._encode()
            self._start_compressing()

    def _start_compressing(self) -> None:
        self._compressing = True
        self.send_ok()

    def _after_magic(self, data: bytes) -> bytes:
        if self._magic is None:
            return data
        data = self._magic + data
        if len(data) < len(MAGIC_V2):
            self._magic = data
            return b""
        if not data.startswith(MAGIC_V2):
            raise BadProtocol
        self._magic = None
        return data[len(MAGIC_V2) :]

    def _receive(self, data: bytes, requests: list[Request]) -> None:
        if self._tunnel is None:
            self._inflate(data, requests)
            return
        upgrading = self.upgrading
        self._tunnel.receive(data)
        if upgrading and self._tunnel.established:
            self._start_encrypting()
        for piece in self._tunnel.plain():
            self._inflate(piece, requests)
        if self._tunnel.ended:
            self.receive_eof()

    def _inflate(self, data: bytes, requests: list[Request]) -> None:
        if self._codec is None:
            self._read(data, requests)
            return
        for piece in self._codec.decompress(data):
            self._read(piece, requests)

    def _read(self, plain: bytes, requests: list[Request]) -> None:
        while True:
            requests += self._reader.read(plain)
            if not requests or not isinstance(identify := requests[-1], Identify):
                return
            before = self._tunnel, self._codec
            del requests[-1]
            requests.append(self._negotiate(identify.document))
            plain = self._reader.take_rest()
            if (self._tunnel, self._codec) != before:
                # nsqd loses what was pipelined behind an upgrading IDENTIFY; it can only be in the new layer.
                further = self._receive if self._tunnel is not before[0] else self._inflate
                further(plain, requests)
                return

    def _negotiate(self, document: bytes) -> Negotiation:
        negotiation = negotiate(document, self._limits, tls_available=self._make_tunnel is not None)
        settings = negotiation.settings
        if settings.tls_v1:
            if self._tunnel is not None or self._codec is not None:
                raise IdentifyFailed("TLS comes first, and once")
            assert self._make_tunnel is not None
            self._tunnel = self._make_tunnel()
        if settings.deflate or settings.snappy:
            if self._codec is not None:
                raise IdentifyFailed("compression is already enabled")
            self._codec = Deflate(settings.deflate_level) if settings.deflate else Snappy()
        self._session.heartbeats = settings.heartbeat_interval > 0
        self.settings = settings
        return negotiation
