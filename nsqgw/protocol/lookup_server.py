"""What an nsqd says to nsqlookupd, read on nsqlookupd's side (nsqlookupd sections 2 and 3).

The reader knows the order of the dialogue and refuses with the texts of the original, to the byte; who is
registered where is not its business. It never holds more than MAX_LINE or MAX_BODY bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Generator

from nsqgw.errors import (
    BadBody,
    BadChannel,
    BadProtocol,
    BadTopic,
    ConnectionClosed,
    Invalid,
    NSQError,
)
from nsqgw.protocol.lookup import (
    MAGIC,
    IdentifyNode,
    LookupCommand,
    NodeInfo,
    Ping,
    Register,
    Unregister,
)
from nsqgw.protocol.names import is_valid_name

MAX_LINE = 16 * 1024
MAX_BODY = 1024 * 1024
"""The original bounds neither, and dies of a negative size; see nsqlookupd 3.1."""

_SIZE = struct.Struct(">i")
_INT64 = range(-(2**63), 2**63)


class LookupCommandReader:
    """The incremental reader of one connection, magic bytes included.

    `error` is set when the connection is to end: a ServerError is sent first, any other NSQError is not.
    Commands before the mistake are given first; from then on everything is ignored.
    """

    def __init__(self) -> None:
        self.error: NSQError | None = None
        self._pending = bytearray()
        self._searched = 0
        self._ended = False
        self._identified = False
        self._commands: list[LookupCommand] = []
        self._dialogue = self._read_dialogue()

    def read(self, data: bytes) -> list[LookupCommand]:
        """The commands that `data` completes; each wants exactly one response."""
        if self.error is None:
            self._pending += data
            self._go_on()
        commands, self._commands = self._commands, []
        return commands

    def end(self) -> None:
        """The peer sends no more; `error` tells how that is answered."""
        if self.error is None:
            self._ended = True
            self._go_on()

    def _go_on(self) -> None:
        try:
            next(self._dialogue)
        except NSQError as error:
            self.error = error
            self._pending.clear()

    # The generators below yield whenever more bytes are needed, so that they read from top to bottom.

    def _read_dialogue(self) -> Generator[None, None, None]:
        if (yield from self._exactly(len(MAGIC), ConnectionClosed("the peer left"))) != MAGIC:
            raise BadProtocol
        while True:
            line = yield from self._line()
            name, *parameters = line.strip().decode("utf-8", "surrogateescape").split(" ")
            if name == "IDENTIFY":
                node = yield from self._identify()
                self._commands.append(IdentifyNode(node))
                self._identified = True
            else:
                self._commands.append(self._parse(name, parameters))

    def _line(self) -> Generator[None, None, bytes]:
        while (newline := self._pending.find(b"\n", self._searched)) < 0:
            self._searched = len(self._pending)
            if self._searched >= MAX_LINE:
                raise Invalid(f"command line longer than {MAX_LINE} bytes")
            if self._ended:
                raise ConnectionClosed("the peer left")
            yield
        self._searched = 0
        line = bytes(self._pending[:newline])
        del self._pending[: newline + 1]
        return line

    def _exactly(self, size: int, cut_short: NSQError) -> Generator[None, None, bytes]:
        while len(self._pending) < size:
            if self._ended:
                raise cut_short
            yield
        data = bytes(self._pending[:size])
        del self._pending[:size]
        return data

    def _identify(self) -> Generator[None, None, NodeInfo]:
        if self._identified:
            raise Invalid("cannot IDENTIFY again")
        (size,) = _SIZE.unpack(
            (yield from self._exactly(_SIZE.size, BadBody("IDENTIFY failed to read body size")))
        )
        unreadable = BadBody("IDENTIFY failed to read body")
        if not 0 < size <= MAX_BODY:
            raise unreadable
        return parse_node((yield from self._exactly(size, unreadable)))

    def _parse(self, name: str, parameters: list[str]) -> LookupCommand:
        if name == "PING":
            return Ping()
        if name not in ("REGISTER", "UNREGISTER"):
            raise Invalid(f"invalid command {name}")
        if not self._identified:
            raise Invalid("client must IDENTIFY")
        if not parameters:
            raise Invalid(f"{name} insufficient number of params")
        topic = parameters[0]
        channel = parameters[1] if len(parameters) > 1 else ""
        if not is_valid_name(topic):
            raise BadTopic(f"{name} topic name '{topic}' is not valid")
        if channel and not is_valid_name(channel):
            raise BadChannel(f"{name} channel name '{channel}' is not valid")
        return (Register if name == "REGISTER" else Unregister)(topic, channel or None)


def parse_node(document: bytes) -> NodeInfo:
    """The NodeInfo of an IDENTIFY body; BadBody when it is no JSON object or lacks a field (nsqlookupd 3.1).

    Keys are taken without regard to case and null counts as absent, as Go's decoder has it.
    """
    try:
        values = json.loads(document.decode("utf-8", "replace"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _undecodable() from error
    if not isinstance(values, dict | None):
        raise _undecodable()
    given = {key.lower(): value for key, value in (values or {}).items() if value is not None}
    node = NodeInfo(
        broadcast_address=_text(given, "broadcast_address"),
        tcp_port=_integer(given, "tcp_port"),
        http_port=_integer(given, "http_port"),
        version=_text(given, "version"),
        hostname=_text(given, "hostname"),
        topology_zone=_text(given, "topology_zone"),
        topology_region=_text(given, "topology_region"),
    )
    if not (node.broadcast_address and node.tcp_port and node.http_port and node.version):
        raise BadBody("IDENTIFY missing fields")
    return node


def _text(given: dict[str, object], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise _undecodable()
    return value


def _integer(given: dict[str, object], name: str) -> int:
    value = given.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
        raise _undecodable()
    return value


def _undecodable() -> BadBody:
    return BadBody("IDENTIFY failed to decode JSON body")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
