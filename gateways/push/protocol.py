"""The multiplexed protocol, as values: what a client may say, what it is answered, and two ways to write it.

One WebSocket carries many channels. A client sends commands, each with an `id`; every command is answered by
one reply with the same `id`, be it an error. What has no `id` is pushed: messages, gaps, joins and leaves.
The page docs/push-protocol.md is the contract; this is version 1. No socket in here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgpack
from websockets.frames import Opcode

from gateways.push.entry import Entry
from gateways.push.filter import BadFilter, Filter, parse_filter
from gateways.push.frame import Frame, is_utf8
from gateways.push.wire import WebSocketEncoding, wire_frame

VERSION = 1
MAX_ID = 2**53 - 1
"""The largest whole number that JavaScript holds exactly."""


class Fault(Enum):
    """Why a command is refused: code, text, and whether it may succeed later as it is."""

    INTERNAL = (100, "internal error", True)
    UNAUTHORIZED = (101, "unauthorized", False)
    UNKNOWN_CHANNEL = (102, "unknown channel", False)
    NOT_ALLOWED = (103, "not allowed", False)
    ALREADY_SUBSCRIBED = (105, "already subscribed", False)
    TOO_MANY_CHANNELS = (106, "too many channels", False)
    BAD_REQUEST = (107, "bad request", False)
    NOT_SUBSCRIBED = (108, "not subscribed", False)
    TOKEN_EXPIRED = (109, "token expired", True)
    TOO_MANY_REQUESTS = (111, "too many requests under way", True)
    NOT_PUBLISHED = (113, "not published", True)

    @property
    def document(self) -> dict[str, object]:
        """The error as it is sent."""
        code, text, temporary = self.value
        return {"code": code, "text": text, "temporary": temporary}


class Refused(Exception):
    """A command cannot be done; the reply has the fault, and perhaps more to say."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


class Malformed(Exception):
    """What came is no command, so it cannot even be answered: the connection ends."""


@dataclass(frozen=True)
class Command:
    """What a client wants; `arguments` are the members beside `id` and `op`."""

    id: int
    op: str
    arguments: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """A member that has to be a string; Refused when it is none, or missing without a default."""
        value = self.arguments.get(name, default)
        if not isinstance(value, str):
            raise Refused(Fault.BAD_REQUEST, f"{name} has to be a string")
        return value

    def flag(self, name: str) -> bool:
        """A member that is true or false, false when it is missing."""
        value = self.arguments.get(name, False)
        if not isinstance(value, bool):
            raise Refused(Fault.BAD_REQUEST, f"{name} has to be true or false")
        return value

    def wanted(self) -> Filter | None:
        """The member `filter`; None for everything."""
        if "filter" not in self.arguments:
            return None
        try:
            return parse_filter(self.arguments["filter"])
        except BadFilter as error:
            raise Refused(Fault.BAD_REQUEST, str(error)) from None

    def since(self, pattern: str) -> Mapping[str, str]:
        """The member `since` for a pattern: positions by channel, or one for all."""
        since = self.arguments.get("since", {})
        if isinstance(since, str):
            return {pattern: since}
        if not isinstance(since, dict) or not all(
            isinstance(part, str) for pair in since.items() for part in pair
        ):
            raise Refused(Fault.BAD_REQUEST, "since has to be a position, or an object of them by channel")
        return since

    def data(self, *, from_json: bool) -> bytes:
        """The body of a publish: a string, or bytes (in JSON as base64 with `"base64": true`)."""
        value = self.arguments.get("data")
        if from_json and self.flag("base64"):
            try:
                return base64.b64decode(self.text("data"), validate=True)
            except ValueError:
                raise Refused(Fault.BAD_REQUEST, "data is no base64") from None
        if isinstance(value, bytes):
            return value
        try:
            return self.text("data").encode()
        except UnicodeEncodeError:
            raise Refused(Fault.BAD_REQUEST, "data has half a surrogate pair") from None


class Notice(Frame):
    """What is told of a channel beside its messages: who joins and leaves. It has no position."""

    __slots__ = ("document",)

    conflated = False

    def __init__(self, push: str, channel: str, client: str) -> None:
        super().__init__(Entry(b""), channel)
        self.document = {"push": push, "channel": channel, "client": client}


def read_command(document: object) -> Command:
    """The command in a decoded frame; Malformed when there is none to answer."""
    if not isinstance(document, dict):
        raise Malformed("a command is an object")
    identity, op = document.pop("id", None), document.pop("op", None)
    if not isinstance(identity, int) or isinstance(identity, bool) or not 1 <= identity <= MAX_ID:
        raise Malformed(f"id has to be a whole number from 1 to {MAX_ID}")
    if not isinstance(op, str):
        raise Malformed("op has to be a string")
    return Command(identity, op, document)


def _json_document(data: bytes) -> object:
    return json.loads(data)


def _msgpack_document(data: bytes) -> object:
    # nothing but plain data: no extension types
    return msgpack.unpackb(data, strict_map_key=True, max_ext_len=0, timestamp=0)


def _to_json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _to_msgpack(document: Mapping[str, object]) -> bytes:
    packed: bytes = msgpack.packb(document)
    return packed


def _message(frame: Frame, data: Mapping[str, object]) -> dict[str, object]:
    return {
        "push": "message",
        "channel": frame.channel,
        "position": frame.position,
        "key": frame.key,
        **data,
    }


def _json_message(frame: Frame) -> tuple[Opcode, bytes]:
    if isinstance(frame, Notice):
        return Opcode.TEXT, _to_json(frame.document)
    if is_utf8(frame.body):
        data: dict[str, object] = {"data": frame.body.decode()}
    else:
        data = {"data": base64.b64encode(frame.body).decode(), "base64": True}
    return Opcode.TEXT, _to_json(_message(frame, data))


def _msgpack_message(frame: Frame) -> tuple[Opcode, bytes]:
    if isinstance(frame, Notice):
        return Opcode.BINARY, _to_msgpack(frame.document)
    data = frame.body.decode() if is_utf8(frame.body) else frame.body
    return Opcode.BINARY, _to_msgpack(_message(frame, {"data": data}))


@dataclass(frozen=True)
class Dialect:
    """One way to write the protocol, by the name of its WebSocket subprotocol."""

    subprotocol: str
    opcode: Opcode
    message: WebSocketEncoding
    _load: Callable[[bytes], object]
    _dump: Callable[[Mapping[str, object]], bytes]

    def read(self, opcode: Opcode, data: bytes) -> Command:
        """The command in a frame; Malformed when it is none."""
        if opcode is not self.opcode:
            raise Malformed(f"{self.subprotocol} is spoken in {self.opcode.name.lower()} frames")
        try:
            document = self._load(data)
        except (ValueError, RecursionError, msgpack.UnpackException):
            raise Malformed("the frame cannot be decoded") from None
        return read_command(document)

    def write(self, document: Mapping[str, object]) -> bytes:
        """A reply or a push as a WebSocket frame."""
        return wire_frame(self.opcode, self._dump(document))


JSON = Dialect(
    f"nsqgw.v{VERSION}.json", Opcode.TEXT, WebSocketEncoding(_json_message), _json_document, _to_json
)
MSGPACK = Dialect(
    f"nsqgw.v{VERSION}.msgpack",
    Opcode.BINARY,
    WebSocketEncoding(_msgpack_message),
    _msgpack_document,
    _to_msgpack,
)
DIALECTS = {dialect.subprotocol: dialect for dialect in (JSON, MSGPACK)}


def reply(command: Command, **result: object) -> dict[str, object]:
    """The acknowledgement of a command that was done."""
    return {"id": command.id, "ok": command.op, **result}


def refusal(command: Command, refused: Refused) -> dict[str, object]:
    """The acknowledgement of a command that was not."""
    detail = {"detail": refused.detail} if refused.detail else {}
    return {"id": command.id, "error": {**refused.fault.document, **detail}}
