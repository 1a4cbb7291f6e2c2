"""Envelopes: what is written is read back byte for byte, and what is none is refused with the reason."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.identity import event_key
from gateways.pipeline.refusal import refusal
from gateways.ship.dead_letters.envelope import BadLetter, read_letter, write_letter
from harness.transforming import TIMESTAMP, one_message

NOW = 1_770_000_001.5


def written(body: bytes = b"body", event: bytes = b"", reason: str = "HTTP 400") -> dict[str, Any]:
    letter = DeadLetter(one_message(body), event, reason, "search")
    fields = orjson.loads(write_letter(letter, "app", NOW))
    assert isinstance(fields, dict)
    return fields


def test_the_schema() -> None:
    assert written(b'{"a":1}', b'{"a":1,"b":2}') == {
        "v": 1,
        "time": "2026-02-02T02:40:01.500+00:00",
        "pipeline": "app",
        "sink": "search",
        "topic": "events",
        "channel": "archive",
        "nsqd": "nsqd:4150",
        "id": "0000000000000001",
        "timestamp_ns": TIMESTAMP,
        "attempts": 1,
        "class": "rejected",
        "status": None,
        "code": None,
        "reason": "HTTP 400",
        "body": '{"a":1}',
        "event": '{"a":1,"b":2}',
    }


def test_what_programs_sort_by() -> None:
    fields = written(reason=refusal("HTTP 413", "too_large", status=413, code=7))
    assert (fields["class"], fields["status"], fields["code"]) == ("too_large", 413, "7")


def test_an_event_that_is_the_body_is_not_said_twice() -> None:
    assert "event" not in written(b"x", b"x")


def test_reasons_are_one_short_line() -> None:
    assert written(reason="two\n lines " + "x" * 5000)["reason"] == ("two lines " + "x" * 5000)[:1024]
    assert written(reason="x" + "ä" * 1000)["reason"] == "x" + "ä" * 511


@given(st.binary() | st.text().map(str.encode))
def test_any_body_is_read_back(body: bytes) -> None:
    message = one_message(body)
    letter = read_letter(write_letter(DeadLetter(message, b"", "r", "s"), "p", NOW))
    assert letter.body == body
    assert event_key(letter.message()) == event_key(message)


@pytest.mark.parametrize("body", [b"log line \xff " * 80_000, os.urandom(600_000)])
def test_large_bodies_are_compressed(body: bytes) -> None:
    data = write_letter(DeadLetter(one_message(body), body + b"x", "r", "s"), "p", NOW)
    assert read_letter(data).body == body
    assert set(orjson.loads(data)) & {"body", "body_base64", "event"} == set()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in written().items() if key != name}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([1], '"v" should be 1'),
        ({**written(), "v": 2}, '"v" should be 1'),
        (without("topic"), '"topic" is missing'),
        ({**written(), "attempts": "1"}, '"attempts" is missing, or of the wrong type'),
        ({**written(), "attempts": True}, '"attempts"'),
        (without("body"), "neither"),
        ({**without("body"), "body_base64": "!"}, "cannot be read"),
        ({**without("body"), "body_deflate": "AAAA"}, "cannot be read"),
        ({**without("body"), "body_deflate": base64.b64encode(zlib.compress(b"x")[:-2]).decode()}, "cut off"),
    ],
)
def test_what_is_no_letter(fields: object, says: str) -> None:
    with pytest.raises(BadLetter, match=re.escape(says)):
        read_letter(json.dumps(fields).encode())


@pytest.mark.parametrize("data", [b"", b"text", b"\xff", b"null"])
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(BadLetter):
        read_letter(data)
