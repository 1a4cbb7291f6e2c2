"""Lines of text by a form that is configured: regex, CSV, pairs, access logs; charsets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.transforms import Dropped, Rejected
from harness.transforming import chain_of, event_body, transformed
from nsqgw.errors import ConfigError

Table = dict[str, Any]

COMBINED = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=1 HTTP/1.0" 200 2326'
    ' "http://e.example/" "Mozilla/4.08 [en] (\\"quoted\\")" more'
)


def decode(**settings: object) -> Table:
    return {"type": "decode", **settings}


def decoded(body: bytes | str, **settings: object) -> Any:
    return json.loads(event_body(body if isinstance(body, bytes) else body.encode(), decode(**settings)))


def test_regex() -> None:
    pattern = r"^(?P<level>\w+): (?P<text>.*?)(?: \[(?P<code>\d+)\])?$"
    assert decoded("error: no disk [7]\n", format="regex", pattern=pattern) == {
        "level": "error",
        "text": "no disk",
        "code": "7",
    }
    assert decoded("error: no disk", format="regex", pattern=pattern) == {"level": "error", "text": "no disk"}


def test_csv() -> None:
    columns = ["a", "b", "c"]
    assert decoded('1,"x, ""y""",\n', format="csv", columns=columns) == {"a": "1", "b": 'x, "y"', "c": ""}
    assert decoded("1|2|3", format="csv", columns=columns, separator="|")["c"] == "3"
    assert decoded('1,"two\nlines",3', format="csv", columns=columns)["b"] == "two\nlines"


def test_pairs() -> None:
    assert decoded("a=1; b = x=y ;", format="pairs") == {"a": "1", "b": "x=y"}
    assert decoded("a: 1|b: 2", format="pairs", separator="|", between=":") == {"a": "1", "b": "2"}


def test_access_logs() -> None:
    combined = decoded(COMBINED, format="access_log")
    assert combined == {
        "remote_addr": "127.0.0.1",
        "remote_user": "frank",
        "time_local": "10/Oct/2000:13:55:36 -0700",
        "method": "GET",
        "target": "/a.gif?x=1",
        "protocol": "HTTP/1.0",
        "status": "200",
        "bytes_sent": "2326",
        "referer": "http://e.example/",
        "user_agent": 'Mozilla/4.08 [en] (\\"quoted\\")',
    }
    common = decoded('::1 - - [x] "\\x16\\x03" 400 -', format="access_log")
    assert common == {"remote_addr": "::1", "time_local": "x", "request": "\\x16\\x03", "status": "400"}


@pytest.mark.parametrize(
    ("body", "settings", "reason"),
    [
        (b"x", {"format": "regex", "pattern": "(?P<a>y)"}, "the pattern is not found"),
        (b"\xff", {"format": "regex", "pattern": "(?P<a>y)"}, "no UTF-8"),
        (b"1,2", {"format": "csv", "columns": ["a"]}, "2 values in place of one record of 1"),
        (b"1\n2", {"format": "csv", "columns": ["a"]}, "2 records in place of one record of 1"),
        (b'"1', {"format": "csv", "columns": ["a"]}, "no CSV"),
        (b"a=1;b", {"format": "pairs"}, "'b' has no '='"),
        (b" ; ", {"format": "pairs"}, "nothing in it"),
        (b"x", {"format": "access_log"}, "the form of an access log is not found"),
        (b"a\x81", {"format": "plain", "charset": "cp1252"}, "no cp1252: byte 0x81 at 1"),
    ],
)
def test_what_is_otherwise_is_rejected(body: bytes, settings: Table, reason: str) -> None:
    result = transformed(body, decode(**settings))
    assert isinstance(result, Rejected)
    assert (result.by, reason in result.reason) == ("decode", True), result.reason


def test_what_cannot_be_decoded_may_be_dropped() -> None:
    assert transformed(b"x", decode(format="json", on_error="drop")) == Dropped("decode")


def test_charsets() -> None:
    assert decoded("é".encode("latin-1"), format="plain", charset="latin-1") == {"message": "é"}
    assert decoded('{"a":"é"}'.encode("utf-16"), format="json", charset="utf-16") == {"a": "é"}
    assert decoded(b'{"a":"\xff"}', format="json", bad_bytes="replace") == {"a": "\ufffd"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"format": "regex"}, "needs pattern"),
        ({"format": "csv"}, "needs columns"),
        ({"format": "json", "pattern": "x"}, "pattern is for regex"),
        ({"format": "csv", "columns": ["a", "a"]}, "a name twice"),
        ({"format": "csv", "columns": ["a"], "separator": "::"}, "one character"),
        ({"format": "msgpack", "charset": "latin-1"}, "msgpack is no text"),
        ({"format": "regex", "pattern": "x"}, "names no group"),
        ({"format": "regex", "pattern": "(?P<a>"}, "cannot be used"),
    ],
)
def test_settings_that_make_no_sense(settings: Table, words: str) -> None:
    with pytest.raises((ValidationError, ConfigError), match=words):
        chain_of(decode(**settings))
