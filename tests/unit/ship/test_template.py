"""Templates: what each place gives, what is refused when they are read, values that must not break out."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest

from gateways.pipeline.event import Event
from gateways.ship.template import MissingField, Template, in_index, in_path, in_url
from harness.pipeline import RecordingOrigin
from nsqgw.errors import ConfigError
from nsqgw.message import Message

WHEN = datetime(2026, 3, 9, 23, 5, 7, tzinfo=timezone.utc)


def message(body: bytes = b'{"service":"web","n":3,"ok":true,"deep":{"a.b":["x"]},"none":null}') -> Message:
    timestamp = int(WHEN.timestamp()) * 1_000_000_000 + 123
    return Message(timestamp, 2, b"0123456789abcdef", body, RecordingOrigin())


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("logs-{topic}-%Y.%m.%d", "logs-events-2026.03.09"),
        ("{topic}/{channel}/{id}/{attempts}", "events/archive/0123456789abcdef/2"),
        ("{key}", f"events-0123456789abcdef-{int(WHEN.timestamp())}000000123"),
        ("{nsqd} {timestamp}", f"nsqd:4150 {int(WHEN.timestamp())}000000123"),
        ("{field:service}.{field:n}.{field:ok}", "web.3.true"),
        (r"{field:deep.a\.b.0}", "x"),
        ("{field:missing|unknown}-{field:none|}", "unknown-"),
        ("{field:deep|no text}", "no text"),
        ("{{topic}} 100%%", "{topic} 100%"),
        ("%H%M%S %j %y %G-%V", "230507 068 26 2026-11"),
    ],
)
def test_what_is_filled_in(text: str, rendered: str) -> None:
    assert Template(text).render(message()) == rendered


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{topik}", "'{topik}': {topik} is not known"),
        ("{topic", "half a pair of braces"),
        ("topic}", "half a pair of braces"),
        ("{a{topic}", "half a pair of braces"),
        ("{field:}", "field '' is no path"),
        ("{field:a..b}", "field 'a..b' is no path"),
        ("{}", "{} is not known"),
        ("%Q", "%Q is not known"),
        ("100%", "% is not known"),
        ("% ", "%  is not known"),
        ("x" * 5000, "longer than 4096"),
    ],
)
def test_what_is_no_template_is_refused_at_once(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        Template(text)


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"no json", b"\xff", b'{"service":""}', b'{"service":{}}'])
def test_a_field_that_is_not_there_is_said(body: bytes) -> None:
    with pytest.raises(MissingField, match="field service is missing"):
        Template("{field:service}").render(message(body))


def test_an_event_has_its_fields_at_hand() -> None:
    event = Event(message(), b"not looked at", {"service": "db"})
    assert Template("{topic}-{field:service}").render(event) == "events-db"


def test_what_a_template_needs_is_known() -> None:
    assert Template("a%%b").constant == "a%b"
    assert Template("{topic}").constant is None
    assert not Template("{topic}%d").uses_fields
    assert Template("{field:a}").uses_fields


def test_the_local_zone_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = WHEN.astimezone().strftime("%d %H")
    assert Template("%d %H", utc=False).render(message()) == expected


@pytest.mark.parametrize(
    ("value", "escaped"),
    [("a b/c?d#e&f=é%", "a%20b%2Fc%3Fd%23e%26f%3D%C3%A9%25"), ("..", "%2E%2E"), (".", "%2E"), ("a.b", "a.b")],
)
def test_in_urls(value: str, escaped: str) -> None:
    assert in_url(value) == escaped


@pytest.mark.parametrize(
    ("value", "escaped"),
    [("../../etc/passwd", "______etc_passwd"), (".hidden", "_hidden"), ("a\x00b\nc", "a_b_c"), ("..", "_")],
)
def test_in_file_names(value: str, escaped: str) -> None:
    cleaned = in_path(value)
    assert "/" not in cleaned
    assert not cleaned.startswith(".")
    assert re.sub("_+", "_", cleaned) == re.sub("_+", "_", escaped)


def test_long_values_are_cut_in_file_names_at_a_character() -> None:
    assert in_path("é" * 200) == "é" * 50


def test_in_index_names() -> None:
    assert in_index('Web/API "x"|*') == "web_api__x___"


def test_the_text_of_a_template_is_not_escaped_only_its_values() -> None:
    url = Template("http://h/{field:service}?t={topic}", escape=in_url)
    assert url.render(message(b'{"service":"a/b"}')) == "http://h/a%2Fb?t=events"
