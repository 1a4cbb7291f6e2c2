"""Decoding: what each format gives, byte for byte where nothing is changed, and why a body is rejected."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from gateways.pipeline.event import Event
from gateways.pipeline.transforms import Rejected
from harness.transforming import DECODE_JSON, event_body, transformed

REMOVE = {"type": "remove", "fields": ["gone"]}
ADD = {"type": "add", "fields": {"n": 1}}


def decode(form: str, **more: str) -> dict[str, Any]:
    return {"type": "decode", "format": form, **more}


def fields(form: str, body: bytes) -> Any:
    return json.loads(event_body(body, decode(form)))


@pytest.mark.parametrize("body", [b'{ "a" : 1.10 }\n', b'{"a":123456789012345678901}', b"[1, 2]", b"17"])
def test_json_that_nothing_changes_stays_the_bytes_it_is(body: bytes) -> None:
    assert event_body(body, DECODE_JSON, REMOVE) == body


def test_json_that_is_no_object_is_put_under_message() -> None:
    assert event_body(b"[1, 2]", DECODE_JSON, ADD) == b'{"message":[1,2],"n":1}'


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40, 2**63, -(2**63)])
def test_integers_keep_every_digit(number: int) -> None:
    assert event_body(b'{"a":%d,"gone":0}' % number, DECODE_JSON, REMOVE) == b'{"a":%d}' % number


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no JSON"),
        (b"plain text", "no JSON"),
        (b'{"a":NaN}', "no JSON"),
        (b'{"a":1e999}', "infinity"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b"[" * 10_000 + b"]" * 10_000, "depth limit"),
        (b'{"a":%s}' % (b"1" * 5000), "read exactly|infinity"),
    ],
)
def test_what_is_no_json_is_rejected_with_the_reason(body: bytes, says: str) -> None:
    result = transformed(body, DECODE_JSON)
    assert isinstance(result, Rejected)
    assert result.by == "decode"
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(result.reason)


def test_what_is_too_deep_to_be_written_again_is_rejected_or_passes_untouched() -> None:
    body = b'{"gone":0,"a":' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert event_body(body, DECODE_JSON) == body
    result = transformed(body, DECODE_JSON, REMOVE)
    assert isinstance(result, Event | Rejected)
    if isinstance(result, Event):
        assert json.loads(result.body)


def test_messagepack() -> None:
    body = msgpack.packb(
        {"s": "é", "n": -1, "f": 1.5, "b": b"raw", "x": b"\xff", "l": [None, True], 7: "seven"}
    )
    assert fields("msgpack", body) == {
        "s": "é", "n": -1, "f": 1.5, "b": "raw", "x": "/w==", "l": [None, True], "7": "seven",
    }  # fmt: skip


def test_messagepack_timestamps_keep_their_nanoseconds() -> None:
    body = msgpack.packb({"at": msgpack.Timestamp(1_770_000_000, 5), "on": msgpack.Timestamp(1_770_000_000)})
    assert fields("msgpack", body) == {"at": "2026-02-02T02:40:00.000000005Z", "on": "2026-02-02T02:40:00Z"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        b"\x01\x02",
        b"\xa2\xff\xfe",
        b"\x91" * 3000,
        b"\x81\x90\x01",
        b"\xd6\x05abcd",
        b"\xcb\x7f\xf8\0\0\0\0\0\0",
        b"\xd7\xff" + b"\xff" * 8,
        b"\xc7\x0c\xff\0\0\0\0\x7f" + b"\xff" * 7,
        msgpack.packb({"1": 0, 1: 0}),
        b'{"json":1}',
    ],
)
def test_what_is_no_messagepack_is_rejected(body: bytes) -> None:
    result = transformed(body, decode("msgpack"))
    assert isinstance(result, Rejected)
    assert result.reason.startswith("no MessagePack")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'level=info msg="two words" n=12', {"level": "info", "msg": "two words", "n": "12"}),
        (b"  a=1   retried  b= \n", {"a": "1", "retried": True, "b": ""}),
        (rb'q="say \"hi\" \\ \u00e9\n" x=y', {"q": 'say "hi" \\ é\n', "x": "y"}),
        (b'path=/a?b=c url="http://h/?x=1"', {"path": "/a?b=c", "url": "http://h/?x=1"}),
        (b"a=1 a=2", {"a": "2"}),
        ("stadt=Köln".encode(), {"stadt": "Köln"}),
        (b'm="two\nlines \\t"', {"m": "two\nlines \t"}),
    ],
)
def test_logfmt(body: bytes, found: dict[str, Any]) -> None:
    assert fields("logfmt", body) == found


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"just words", "no key=value"),
        (b"=x", "a key should begin at character 0"),
        (b'a="open', "quotes at character 2 are not closed"),
        (b'a="b"c=d', "a space should stand at character 5"),
        (b'a=b"c', "a space should stand at character 3"),
        (rb'a="\q"', "an escape in the quotes"),
        (b"a=\xff", "no UTF-8: byte 0xff at 2"),
    ],
)
def test_what_is_no_logfmt_is_rejected(body: bytes, says: str) -> None:
    result = transformed(body, decode("logfmt"))
    assert isinstance(result, Rejected)
    assert says in result.reason


def test_plain_text() -> None:
    assert fields("plain", b"a line\n") == {"message": "a line"}
    assert isinstance(transformed(b"\xff", decode("plain")), Rejected)


@pytest.mark.parametrize(
    ("body", "wrapped"),
    [(b"no {json}", {"message": "no {json}"}), (b"\xff\x00", {"message_base64": "/wA="})],
)
def test_wrapping_keeps_the_body_and_says_why(body: bytes, wrapped: dict[str, str]) -> None:
    found = json.loads(event_body(body, decode("json", on_error="wrap"), ADD))
    assert found.pop("decode_error").startswith("no JSON")
    assert found == {**wrapped, "n": 1}
