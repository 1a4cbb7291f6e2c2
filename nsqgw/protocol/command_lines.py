"""One command line, without its newline, becomes a command or a command still waiting for its body.

Checks run in nsqd's order and fail with nsqd's texts (nsqd-tcp sections 3 and 8); all of them are fatal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from nsqgw.errors import BadChannel, BadTopic, Invalid
from nsqgw.protocol.command_bodies import BatchBody, SizedBody, document_body, message_body
from nsqgw.protocol.commands import Auth, Cls, Command, Dpub, Fins, Identify, Nop, Pubs, Rdy, Req, Sub, Touch
from nsqgw.protocol.frames import MESSAGE_ID_LENGTH
from nsqgw.protocol.limits import ServerLimits, milliseconds, wrapped_milliseconds
from nsqgw.protocol.names import is_valid_name
from nsqgw.protocol.session import ClientState, Session

Body = SizedBody | BatchBody
Params = list[bytes]

_UINT64 = 2**64
_INT64_MAX = 2**63 - 1
_DIGITS = frozenset(b"0123456789")


def parse_line(line: bytes, session: Session, limits: ServerLimits) -> Command | Body | None:
    """What `line` says, or None for a command that is ignored in this state. Moves `session` on.

    Raises ServerError.
    """
    name, *params = line.split(b" ")
    following = session.admit(name)
    if name == b"RDY" and session.state is ClientState.CLOSING:
        return None
    parsed = _PARSERS[name](params, limits)
    session.state = following
    return parsed


def _identify(params: Params, limits: ServerLimits) -> Body:
    return document_body("IDENTIFY", limits, Identify)


def _auth(params: Params, limits: ServerLimits) -> Body:
    if params:
        raise Invalid("AUTH invalid number of parameters")
    return document_body("AUTH", limits, Auth)


def _sub(params: Params, limits: ServerLimits) -> Command:
    if len(params) < 2:
        raise Invalid("SUB insufficient number of parameters")
    topic = _topic("SUB", params[0])
    channel = valid_name(params[1])
    if channel is None:
        raise BadChannel(f"SUB channel name {quoted(params[1])} is not valid")
    return Sub(topic, channel)


def _rdy(params: Params, limits: ServerLimits) -> Command:
    if not params:
        return Rdy(1)
    count = _number(params[0])
    if count is None:
        raise Invalid(f"RDY could not parse count {_text(params[0])}")
    if count > _INT64_MAX:
        count -= _UINT64
    if not 0 <= count <= limits.max_rdy_count:
        raise Invalid(f"RDY count {count} out of range 0-{limits.max_rdy_count}")
    return Rdy(count)


def _fin(params: Params, limits: ServerLimits) -> Command:
    return Fins([_message_id("FIN", params, 1)])


def _req(params: Params, limits: ServerLimits) -> Command:
    message_id = _message_id("REQ", params, 2)
    number = _number(params[1])
    if number is None:
        raise Invalid(f"REQ could not parse timeout {_text(params[1])}")
    longest = milliseconds(limits.max_req_timeout)
    return Req(message_id, max(0, min(wrapped_milliseconds(number), longest)))


def _touch(params: Params, limits: ServerLimits) -> Command:
    return Touch(_message_id("TOUCH", params, 1))


def _cls(params: Params, limits: ServerLimits) -> Command:
    return Cls()


def _nop(params: Params, limits: ServerLimits) -> Command:
    return Nop()


def _pub(params: Params, limits: ServerLimits) -> Body:
    if not params:
        raise Invalid("PUB insufficient number of parameters")
    topic = _topic("PUB", params[0])
    return message_body("PUB", limits, lambda body: Pubs(topic, [body]))


def _dpub(params: Params, limits: ServerLimits) -> Body:
    if len(params) < 2:
        raise Invalid("DPUB insufficient number of parameters")
    topic = _topic("DPUB", params[0])
    number = _number(params[1])
    if number is None:
        raise Invalid(f"DPUB could not parse timeout {_text(params[1])}")
    longest = milliseconds(limits.max_req_timeout)
    delay_ms = wrapped_milliseconds(number)
    if not 0 <= delay_ms <= longest:
        raise Invalid(f"DPUB timeout {number} out of range 0-{longest}")
    return message_body("DPUB", limits, lambda body: Dpub(topic, delay_ms, body))


def _mpub(params: Params, limits: ServerLimits) -> Body:
    if not params:
        raise Invalid("MPUB insufficient number of parameters")
    # nsqd puts the code into the text a second time here (nsqd-tcp 8.8).
    return BatchBody(_topic("MPUB", params[0], prefix="E_BAD_TOPIC "), limits)


_PARSERS: dict[bytes, Callable[[Params, ServerLimits], Command | Body]] = {
    b"IDENTIFY": _identify,
    b"AUTH": _auth,
    b"SUB": _sub,
    b"RDY": _rdy,
    b"FIN": _fin,
    b"REQ": _req,
    b"TOUCH": _touch,
    b"CLS": _cls,
    b"NOP": _nop,
    b"PUB": _pub,
    b"DPUB": _dpub,
    b"MPUB": _mpub,
}


def _topic(command: str, raw: bytes, prefix: str = "") -> str:
    topic = valid_name(raw)
    if topic is None:
        raise BadTopic(f"{prefix}{command} topic name {quoted(raw)} is not valid")
    return topic


def _message_id(command: str, params: Params, needed: int) -> bytes:
    if len(params) < needed:
        raise Invalid(f"{command} insufficient number of params")
    if len(params[0]) != MESSAGE_ID_LENGTH:
        raise Invalid("invalid message ID")
    return params[0]


def _number(raw: bytes) -> int | None:
    """Digits only; nothing at all counts as 0 and 64 bits wrap, as in nsqd (nsqd-tcp section 3)."""
    if not _DIGITS.issuperset(raw):
        return None
    number = 0
    for digit in raw:
        number = (number * 10 + digit - 0x30) % _UINT64
    return number


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=4096)
def valid_name(raw: bytes) -> str | None:
    """`raw` as a topic or channel name, or None when it is none."""
    name = raw.decode("latin-1")
    return name if is_valid_name(name) else None


_ESCAPES = {0x07: r"\a", 0x08: r"\b", 0x0C: r"\f", 0x0A: r"\n", 0x0D: r"\r", 0x09: r"\t", 0x0B: r"\v"}
_ESCAPES |= {0x22: r"\"", 0x5C: r"\\"}


def quoted(raw: bytes) -> str:
    """`raw` in double quotes with backslash escapes, as Go prints a string with %q."""
    return '"' + "".join(_escaped(character) for character in _text(raw)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _ESCAPES:
        return _ESCAPES[code]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as surrogateescape carries it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
