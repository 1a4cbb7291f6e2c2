"""One line for each body: what passes through, and what is changed so that no event is split or lost."""

from __future__ import annotations

import base64
import json

import pytest

from gateways.ship.sinks.ndjson import ndjson_line


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1}',
        b"plain text",
        b"\xff\xfe\x00",
        b'{"n": 1.10000000000000000001}',
        b"tab\tand\rreturn",
        b"{broken",
    ],
)
def test_a_body_without_a_newline_passes_as_it_is(body: bytes) -> None:
    assert ndjson_line(body) is body


def test_one_newline_at_the_end_is_taken_off() -> None:
    assert ndjson_line(b"a log line\n") == b"a log line"


def test_json_over_many_lines_becomes_one_and_its_numbers_stay_as_written() -> None:
    body = b'{\n  "id": 123456789012345678901234567890,\r\n  "x": 1.10,\n  "s": "a\\nb"\n}\n'
    line = ndjson_line(body)
    assert b"\n" not in line
    assert b"\r" not in line
    assert b"123456789012345678901234567890" in line
    assert b"1.10" in line
    assert json.loads(line) == json.loads(body)


@pytest.mark.parametrize(
    "body", [b"Traceback:\n  File x\n", b'{"a":\n1,}', b"\n", b" \n ", b"", b"  ", b"\n\n"]
)
def test_other_text_becomes_a_json_string(body: bytes) -> None:
    line = ndjson_line(body)
    assert b"\n" not in line
    assert line.strip()
    assert json.loads(line).encode() == body


def test_bytes_that_are_no_text_are_kept_in_base64() -> None:
    body = b"\xff\n\xfe"
    line = ndjson_line(body)
    assert b"\n" not in line
    assert base64.b64decode(json.loads(line)["body_base64"]) == body


def test_json_nested_too_deeply_to_read_is_not_lost() -> None:
    body = b"[" * 10_000 + b"\n" + b"]" * 10_000
    assert json.loads(ndjson_line(body)).encode() == body
