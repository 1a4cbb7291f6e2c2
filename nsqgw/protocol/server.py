"""The server's side of the dialogue: bytes from a client become commands, answers become bytes.

    commands = protocol.receive_data(data)     # act on them in order, answering with send_*
    protocol.error                             # then, if set: tell the client (send_error), close
    transport.write(protocol.data_to_send())

A Negotiation takes the place of IDENTIFY in the list and is answered with `accept`. TLS is to go between
the two halves of that answer: until it exists, `tls_v1` is never granted.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    """

    def __init__(self, limits: ServerLimits) -> None:
        self.settings: ClientSettings = default_settings(limits)
        self._limits = limits
        self._session = Session()
        self._reader = CommandReader(self._session, limits)
        self._magic: bytes | None = b""
        self._error: NSQError | None = None
        self._codec: Codec | None = None
        self._compressing = False
        self._outgoing: list[bytes] = []
        self._encoded = b""

    @property
    def state(self) -> ClientState:
        """The state after everything received so far."""
        return self._session.state

    @property
    def error(self) -> NSQError | None:
        """Why the connection is to be closed, once the commands before the mistake are answered."""
        return self._error or self._reader.error

    def receive_data(self, data: bytes) -> list[Request]:
        """The commands that `data` completes. After an error everything is ignored."""
        requests: list[Request] = []
        if self.error is not None:
            return requests
        try:
            self._receive(self._after_magic(data), requests)
        except NSQError as error:
            self._error = error
        return requests

    def receive_eof(self) -> None:
        """The client sends no more, or took too long; sets `error` when that cuts a body short."""
        self._reader.end()

    def send_ok(self, count: int = 1) -> None:
        """Queue the answer to `count` commands that succeeded."""
        self._outgoing.append(OK_FRAME * count)

    def send_response(self, data: bytes) -> None:
        """Queue an answer: `CLOSE_WAIT` or a JSON document."""
        self._outgoing.append(encode_response(data))

    def send_error(self, error: ServerError) -> None:
        """Queue an error frame."""
        self._outgoing.append(encode_error(error.data))

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
        """Queue the answer to IDENTIFY: the response, and when compression was granted an OK inside it."""
        self.send_response(negotiation.response)
        if negotiation.settings.deflate or negotiation.settings.snappy:
            self._encoded = self.data_to_send()
            self._compressing = True
            self.send_ok()

    def data_to_send(self) -> bytes:
        """The bytes to write now, compressed when that was agreed; empty when nothing is queued."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        if self._compressing and data:
            assert self._codec is not None
            data = self._codec.compress(data)
        if self._encoded:
            data = self._encoded + data
            self._encoded = b""
        return data

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
            before = self._codec
            del requests[-1]
            requests.append(self._negotiate(identify.document))
            plain = self._reader.take_rest()
            if self._codec is not before:
                # nsqd loses what was pipelined behind an upgrading IDENTIFY; it can only be compressed bytes.
                self._receive(plain, requests)
                return

    def _negotiate(self, document: bytes) -> Negotiation:
        negotiation = negotiate(document, self._limits)
        settings = negotiation.settings
        if settings.deflate or settings.snappy:
            if self._codec is not None:
                raise IdentifyFailed("compression is already enabled")
            self._codec = Deflate(settings.deflate_level) if settings.deflate else Snappy()
        self._session.heartbeats = settings.heartbeat_interval > 0
        self.settings = settings
        return negotiation
