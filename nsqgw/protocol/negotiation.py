"""What the server makes of IDENTIFY: document and limits give settings and the answer (nsqd-tcp 5)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from nsqgw.errors import BadBody, IdentifyFailed
from nsqgw.protocol.frames import OK
from nsqgw.protocol.limits import ServerLimits, milliseconds

DEFAULT_DEFLATE_LEVEL = 6
_MIN_HEARTBEAT_MS = 1000
_MIN_MSG_TIMEOUT_MS = 1000
_MIN_OUTPUT_BUFFER_SIZE = 64
_MAX_SAMPLE_RATE = 99
_OFF = -1
_DEFAULT = 0
_OLDER_NAMES = {"short_id": "client_id", "long_id": "hostname"}
"""What clients of before 1.0 call themselves by."""
_INT64 = range(-(2**63), 2**63)
_INT32 = range(-(2**31), 2**31)
_LONGEST_INTEGER = len(str(-(2**63)))


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What is in force for one client. Times in seconds; 0 turns heartbeats or the output timer off."""

    heartbeat_interval: float
    output_buffer_size: int
    output_buffer_timeout: float
    msg_timeout: float
    sample_rate: int = 0
    client_id: str = ""
    hostname: str = ""
    user_agent: str = ""
    tls_v1: bool = False
    deflate: bool = False
    deflate_level: int = DEFAULT_DEFLATE_LEVEL
    snappy: bool = False
    topology_region: str = ""
    topology_zone: str = ""


@dataclass(frozen=True, slots=True)
class Negotiation:
    """An IDENTIFY that was understood: the settings from here on, and the response to send for it."""

    settings: ClientSettings
    response: bytes


def default_settings(limits: ServerLimits) -> ClientSettings:
    """What is in force before IDENTIFY, and without it."""
    return ClientSettings(
        heartbeat_interval=limits.heartbeat_interval,
        output_buffer_size=limits.output_buffer_size,
        output_buffer_timeout=limits.output_buffer_timeout,
        msg_timeout=limits.msg_timeout,
    )


def negotiate(document: bytes, limits: ServerLimits, *, tls_available: bool = False) -> Negotiation:
    """Settings and response for the body of IDENTIFY.

    Raises BadBody for JSON nsqd cannot decode and for values out of range, IdentifyFailed when the
    client wants both compressions.
    """
    asked = _Document(document)
    wants = asked.integers
    heartbeat_interval = _heartbeat_interval(wants["heartbeat_interval"], limits)
    output_buffer_size, output_buffer_timeout = _output_buffer(
        wants["output_buffer_size"], wants["output_buffer_timeout"], limits
    )
    sample_rate = wants["sample_rate"]
    if not 0 <= sample_rate <= _MAX_SAMPLE_RATE:
        raise BadBody(f"IDENTIFY sample rate ({sample_rate}) is invalid")
    msg_timeout = _msg_timeout(wants["msg_timeout"], limits)

    upgrades = asked.flags["feature_negotiation"]
    deflate = upgrades and limits.deflate and asked.flags["deflate"]
    level = wants["deflate_level"] if deflate and wants["deflate_level"] > 0 else DEFAULT_DEFLATE_LEVEL
    settings = ClientSettings(
        heartbeat_interval=heartbeat_interval,
        output_buffer_size=output_buffer_size,
        output_buffer_timeout=output_buffer_timeout,
        msg_timeout=msg_timeout,
        sample_rate=sample_rate,
        tls_v1=upgrades and tls_available and asked.flags["tls_v1"],
        deflate=deflate,
        deflate_level=min(level, limits.max_deflate_level),
        snappy=upgrades and limits.snappy and asked.flags["snappy"],
        **asked.strings,
    )
    if settings.deflate and settings.snappy:
        raise IdentifyFailed("cannot enable both deflate and snappy compression")
    return Negotiation(settings, _response(settings, limits) if upgrades else OK)


class _Document:
    """The JSON of IDENTIFY, decoded as strictly as Go does: every known key has its type or is missing.

    Keys match in any case, null means not given, unknown keys are ignored (nsqd-tcp 5.1).
    """

    def __init__(self, document: bytes) -> None:
        self.strings = dict.fromkeys(
            ("client_id", "hostname", "user_agent", "topology_region", "topology_zone", *_OLDER_NAMES), ""
        )
        self.flags = dict.fromkeys(("feature_negotiation", "tls_v1", "deflate", "snappy"), False)
        self.integers = dict.fromkeys(
            (
                "heartbeat_interval",
                "output_buffer_size",
                "output_buffer_timeout",
                "deflate_level",
                "sample_rate",
                "msg_timeout",
            ),
            _DEFAULT,
        )
        for key, value in self._decoded(document).items():
            if value is not None:
                self._take(key.lower(), value)
        for older, name in _OLDER_NAMES.items():
            given = self.strings.pop(older)
            self.strings[name] = self.strings[name] or given

    @staticmethod
    def _decoded(document: bytes) -> Mapping[str, object]:
        try:
            decoded = json.loads(
                document.decode("utf-8", "replace"), parse_int=_integer, parse_constant=_refuse
            )
        except (ValueError, RecursionError) as error:
            raise _undecodable() from error
        if decoded is None:
            return {}
        if not isinstance(decoded, dict):
            raise _undecodable()
        return decoded

    def _take(self, key: str, value: object) -> None:
        if key in self.strings:
            if type(value) is not str:
                raise _undecodable()
            # A lone surrogate, which JSON's escapes can smuggle in, could never be printed again.
            self.strings[key] = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        elif key in self.flags:
            if type(value) is not bool:
                raise _undecodable()
            self.flags[key] = value
        elif key in self.integers:
            if type(value) is not int or value not in (_INT32 if key == "sample_rate" else _INT64):
                raise _undecodable()
            self.integers[key] = value


def _integer(text: str) -> int | float:
    """No number here is that long, but keys that are not known may have any, and Python limits the digits."""
    return int(text) if len(text) <= _LONGEST_INTEGER else math.inf


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _undecodable() -> BadBody:
    return BadBody("IDENTIFY failed to decode JSON body")


def _heartbeat_interval(asked_ms: int, limits: ServerLimits) -> float:
    if asked_ms == _OFF:
        return 0.0
    if asked_ms == _DEFAULT:
        return limits.heartbeat_interval
    if _MIN_HEARTBEAT_MS <= asked_ms <= milliseconds(limits.max_heartbeat_interval):
        return asked_ms / 1000
    raise BadBody(f"IDENTIFY heartbeat interval ({asked_ms}) is invalid")


def _output_buffer(size: int, timeout_ms: int, limits: ServerLimits) -> tuple[int, float]:
    shortest = milliseconds(limits.min_output_buffer_timeout)
    longest = milliseconds(limits.max_output_buffer_timeout)
    if timeout_ms == _OFF:
        timeout = 0.0
    elif timeout_ms == _DEFAULT:
        timeout = limits.output_buffer_timeout
    elif shortest <= timeout_ms <= longest:
        timeout = timeout_ms / 1000
    else:
        raise BadBody(f"IDENTIFY output buffer timeout ({timeout_ms}) is invalid")
    if size == _OFF:
        return 1, 0.0  # unbuffered, which leaves the timer nothing to do
    if size == _DEFAULT:
        return limits.output_buffer_size, timeout
    if _MIN_OUTPUT_BUFFER_SIZE <= size <= limits.max_output_buffer_size:
        return size, timeout
    raise BadBody(f"IDENTIFY output buffer size ({size}) is invalid")


def _msg_timeout(asked_ms: int, limits: ServerLimits) -> float:
    if asked_ms == _DEFAULT:
        return limits.msg_timeout
    if _MIN_MSG_TIMEOUT_MS <= asked_ms <= milliseconds(limits.max_msg_timeout):
        return asked_ms / 1000
    raise BadBody(f"IDENTIFY msg timeout ({asked_ms}) is invalid")


def _response(settings: ClientSettings, limits: ServerLimits) -> bytes:
    """The document of nsqd-tcp 5.2, its keys in nsqd's order."""
    document = {
        "max_rdy_count": limits.max_rdy_count,
        "version": limits.version,
        "max_msg_timeout": milliseconds(limits.max_msg_timeout),
        "msg_timeout": milliseconds(settings.msg_timeout),
        "tls_v1": settings.tls_v1,
        "deflate": settings.deflate,
        "deflate_level": settings.deflate_level,
        "max_deflate_level": limits.max_deflate_level,
        "snappy": settings.snappy,
        "sample_rate": settings.sample_rate,
        "auth_required": limits.auth_required,
        "output_buffer_size": settings.output_buffer_size,
        "output_buffer_timeout": milliseconds(settings.output_buffer_timeout),
        "topology_region": limits.topology_region,
        "topology_zone": limits.topology_zone,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
