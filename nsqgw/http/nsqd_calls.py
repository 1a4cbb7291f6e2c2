"""Every call of nsqd's HTTP API: what is sent, what comes back, the refusals (nsqd-http).

Arguments are checked as far as nothing needs to be sent for it: InvalidName, ConfigError. Refusals by nsqd
raise HttpError; the docstrings name the codes. Names of topics and channels may end in `#ephemeral`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from nsqgw.errors import ConfigError, HttpError
from nsqgw.http.answer import Answer, json_value, nothing, record_of, refusal, text
from nsqgw.http.call import Call
from nsqgw.http.pprof import pprof as pprof
from nsqgw.http.results import NsqdInfo, NsqdStats
from nsqgw.protocol.commands import encode_sized
from nsqgw.protocol.delays import check_delay, delay_ms
from nsqgw.protocol.names import check_channel, check_topic

_COUNT = struct.Struct(">i")


def ping() -> Call[None]:
    """Whether nsqd is well. HttpError 500 carries its reason when it cannot write to disk."""
    return Call("GET", "/ping", nothing)


def info() -> Call[NsqdInfo]:
    """Who it is and what it grants to clients."""
    return Call("GET", "/info", record_of(NsqdInfo))


def stats(
    topic: str | None = None,
    channel: str | None = None,
    *,
    include_clients: bool = True,
    include_mem: bool = True,
) -> Call[NsqdStats]:
    """All figures, or those of one topic, one channel; none is given for a name nsqd does not know."""
    parameters = _stats_parameters("json", topic, channel, include_clients, include_mem)
    return Call("GET", "/stats", record_of(NsqdStats), parameters)


def stats_text(
    topic: str | None = None,
    channel: str | None = None,
    *,
    include_clients: bool = True,
    include_mem: bool = True,
) -> Call[str]:
    """The same as nsqd writes it for people."""
    parameters = _stats_parameters("text", topic, channel, include_clients, include_mem)
    return Call("GET", "/stats", text, parameters)


def publish(topic: str, body: bytes, *, delay: float | None = None) -> Call[None]:
    """Publish a message, to be delivered after `delay` seconds; returns when nsqd has it.

    Codes: MSG_EMPTY, MSG_TOO_BIG, INVALID_DEFER, EXITING. TypeError for a body that is not bytes.
    """
    parameters = {"topic": check_topic(topic)}
    if delay is not None:
        parameters["defer"] = str(delay_ms(check_delay(delay)))
    return Call("POST", "/pub", nothing, parameters, _body(body))


def publish_many(topic: str, bodies: Iterable[bytes]) -> Call[None]:
    """Publish messages in one request: all are accepted or none is.

    Codes: BODY_TOO_BIG, BAD_BODY, BAD_MESSAGE (an empty one, or one too big), EXITING.
    """
    if isinstance(bodies, bytes | bytearray | memoryview | str):
        raise TypeError(f"bodies must be a list of bytes, not {type(bodies).__name__}")
    sized = [encode_sized(_body(body)) for body in bodies]
    if not sized:
        raise ConfigError("bodies is empty: give at least one message")
    parameters = {"topic": check_topic(topic), "binary": "true"}
    return Call("POST", "/mpub", nothing, parameters, _COUNT.pack(len(sized)) + b"".join(sized))


def create_topic(topic: str) -> Call[None]:
    """Make a topic; nothing happens when there is one."""
    return _on_topic("create", topic)


def delete_topic(topic: str) -> Call[None]:
    """Delete a topic with its channels and messages; consumers are disconnected. Code: TOPIC_NOT_FOUND."""
    return _on_topic("delete", topic)


def empty_topic(topic: str) -> Call[None]:
    """Drop the messages in the topic's own queue; those in channels stay. Code: TOPIC_NOT_FOUND."""
    return _on_topic("empty", topic)


def pause_topic(topic: str) -> Call[None]:
    """Hold back new messages from the channels. Code: TOPIC_NOT_FOUND."""
    return _on_topic("pause", topic)


def unpause_topic(topic: str) -> Call[None]:
    """Let messages go to the channels again. Code: TOPIC_NOT_FOUND."""
    return _on_topic("unpause", topic)


def create_channel(topic: str, channel: str) -> Call[None]:
    """Make a channel of a topic that there is. Code: TOPIC_NOT_FOUND."""
    return _on_channel("create", topic, channel)


def delete_channel(topic: str, channel: str) -> Call[None]:
    """Delete a channel with its messages; consumers are disconnected.

    Codes: TOPIC_NOT_FOUND, CHANNEL_NOT_FOUND.
    """
    return _on_channel("delete", topic, channel)


def empty_channel(topic: str, channel: str) -> Call[None]:
    """Drop a channel's messages, in flight and deferred too. Codes: TOPIC_NOT_FOUND, CHANNEL_NOT_FOUND."""
    return _on_channel("empty", topic, channel)


def pause_channel(topic: str, channel: str) -> Call[None]:
    """Hold back messages from the consumers. Codes: TOPIC_NOT_FOUND, CHANNEL_NOT_FOUND."""
    return _on_channel("pause", topic, channel)


def unpause_channel(topic: str, channel: str) -> Call[None]:
    """Deliver to the consumers again. Codes: TOPIC_NOT_FOUND, CHANNEL_NOT_FOUND."""
    return _on_channel("unpause", topic, channel)


def get_option(option: str) -> Call[Any]:
    """The value of a setting, named as the flag with `_` for `-`; durations are nanoseconds here.

    Code: INVALID_OPTION.
    """
    return Call("GET", f"/config/{quote(option, safe='')}", _setting)


def set_option(option: str, value: str | Iterable[str]) -> Call[Any]:
    """Change a setting until nsqd's end; the value it has then, as `get_option` gives it.

    nsqd takes `log_level` (a word) and `nsqlookupd_tcp_addresses` (a list).
    Codes: INVALID_OPTION, INVALID_VALUE.
    """
    body = value if isinstance(value, str) else json.dumps(list(value))
    return Call("PUT", f"/config/{quote(option, safe='')}", _setting, body=body.encode())


def set_block_rate(rate: int) -> Call[None]:
    """Go's rate of profiling what blocks: 0 off, 1 everything, N one event every N nanoseconds."""
    parameters = {"rate": str(int(rate))}
    return Call("PUT", "/debug/setblockrate", nothing, parameters, refused=_failed_before_acting)


def free_memory() -> Call[None]:
    """Make Go give memory back to the system."""
    return Call("POST", "/debug/freememory", nothing, refused=_failed_before_acting)


def _on_topic(action: str, topic: str) -> Call[None]:
    return Call("POST", f"/topic/{action}", nothing, {"topic": check_topic(topic)})


def _on_channel(action: str, topic: str, channel: str) -> Call[None]:
    parameters = {"topic": check_topic(topic), "channel": check_channel(channel)}
    return Call("POST", f"/channel/{action}", nothing, parameters)


def _stats_parameters(
    form: str, topic: str | None, channel: str | None, include_clients: bool, include_mem: bool
) -> dict[str, str]:
    parameters = {"format": form}
    if topic is not None:
        parameters["topic"] = check_topic(topic)
    if channel is not None:
        parameters["channel"] = check_channel(channel)
    for name, wanted in (("include_clients", include_clients), ("include_mem", include_mem)):
        if not wanted:
            parameters[name] = "false"
    return parameters


def _body(body: bytes) -> bytes:
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"body must be bytes, not {type(body).__name__}; encode it, e.g. text.encode()")
    return bytes(body)


def _setting(answer: Answer) -> Any:
    # Strings come bare and with another content type, everything else is JSON (nsqd-http 1.1).
    return json_value(answer) if "json" in answer.headers.get("Content-Type", "") else text(answer)


def _failed_before_acting(answer: Answer) -> HttpError | None:
    # nsqd does what these calls ask for and then stumbles over its own empty answer (nsqd-http section 7).
    error = refusal(answer)
    return None if error is not None and error.code == "INTERNAL_ERROR" else error
