"""Fields added, taken out, moved, redacted; events filtered, sampled, routed; settings that make no sense."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.event import Event
from gateways.pipeline.transforms import Dropped, Rejected
from gateways.ship.transforms.chain import build_chain
from harness.transforming import DECODE_JSON, SETTINGS, chain_of, event_body, one_message, transformed
from nsqgw.errors import ConfigError

Table = dict[str, Any]


def after(body: bytes, *tables: Table) -> Any:
    return json.loads(event_body(body, DECODE_JSON, *tables))


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"fields": {"e": "prod", "f": 1.5, "b": True}}, {"a": 1, "e": "prod", "f": 1.5, "b": True}),
        ({"fields": {"b": "{topic}-{field:a}", "d.e": "%Y"}}, {"a": 1, "b": "events-1", "d": {"e": "2026"}}),
        ({"fields": {"a": 2}}, {"a": 2}),
        ({"fields": {"a": 2}, "overwrite": False}, {"a": 1}),
        ({"fields": {"t": "100%% {{}}"}}, {"a": 1, "t": "100% {}"}),
    ],
)  # fmt: skip
def test_add(table: Table, found: Table) -> None:
    assert after(b'{"a":1}', {"type": "add", **table}) == found


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"x": "{field:none}"}, "field none is missing"), ({"a.b": 1}, "field a.b cannot be set")],
)
def test_what_cannot_be_added_is_rejected(fields: Table, says: str) -> None:
    result = transformed(b'{"a":1}', DECODE_JSON, {"type": "add", "fields": fields})
    assert isinstance(result, Rejected)
    assert (result.by, says in result.reason) == ("add", True)


def test_remove_keep_and_rename() -> None:
    body = b'{"a":{"b":1,"c":2},"d":3,"e":null}'
    assert after(body, {"type": "remove", "fields": ["a.b", "d", "x.y"]}) == {"a": {"c": 2}, "e": None}
    assert after(body, {"type": "keep", "fields": ["a.c", "e", "x"]}) == {"a": {"c": 2}, "e": None}
    renamed = after(body, {"type": "rename", "fields": {"a.b": "b", "d": "n.d", "x": "y"}})
    assert renamed == {"a": {"c": 2}, "e": None, "b": 1, "n": {"d": 3}}
    assert isinstance(transformed(body, DECODE_JSON, {"type": "rename", "fields": {"a": "d.a"}}), Rejected)


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("table", "value", "redacted"),
    [
        ({"patterns": ["email"]}, "to jane.doe@example.com, now", "to ***, now"),
        ({"patterns": ["card"]}, f"paid by {CARD} at 1234567890123", "paid by *** at 1234567890123"),
        ({"patterns": ["card"]}, 4111111111111111, "***"),
        ({"patterns": ["card"]}, 17, 17),
        ({"patterns": ["ipv4"]}, "from 10.1.2.3:80 v1.2.3", "from ***:80 v1.2.3"),
        ({"patterns": ["bearer"]}, "Authorization: Bearer abc.def-123==", "Authorization: ***"),
        ({"patterns": [r"token=\w+"], "replacement": "token=?"}, "token=x1 token=y2 é", "token=? token=? é"),
        ({"patterns": ["email"]}, ["x", {"deep": "a@b.de"}, None, True], ["x", {"deep": "***"}, None, True]),
        ({"fields": ["v"]}, "all of it", "***"),
        ({"fields": ["v"]}, ["a", 1], ["***", "***"]),
        ({"fields": ["other"]}, "stays", "stays"),
        ({"fields": ["v"], "patterns": ["x+"]}, "axxb", "a***b"),
        ({"patterns": ["x*"]}, "axb", "a***b"),
    ],
)
def test_redact(table: Table, value: object, redacted: object) -> None:
    body = json.dumps({"v": value}).encode()
    assert after(body, {"type": "redact", **table}) == {"v": redacted}


def test_redacting_nothing_leaves_the_bytes_as_they_are() -> None:
    body = b'{ "v" : "x" }'
    assert event_body(body, DECODE_JSON, {"type": "redact", "patterns": ["email"]}) == body


def test_a_hash_keeps_equal_values_equal_and_needs_the_key() -> None:
    table = {"type": "redact", "fields": ["v"], "hash_key": "k1", "replacement": "user-"}
    first, again = (after(b'{"v":"jane"}', table)["v"] for _ in range(2))
    assert first == again
    assert re.fullmatch("user-[0-9a-f]{16}", first)
    assert after(b'{"v":"jane"}', {**table, "hash_key": "k2"})["v"] != first
    assert "k1" not in repr(SETTINGS.validate_python([table]))


def test_a_pattern_takes_no_longer_for_a_hostile_text() -> None:
    body = json.dumps({"v": "a" * 5000 + "!"}).encode()
    assert after(body, {"type": "redact", "patterns": ["(a+)+$"]}) == {"v": "a" * 5000 + "!"}


def test_filter() -> None:
    where = {"type": "filter", "where": 'level in ("error", "fatal") and status >= 500'}
    assert transformed(b'{"level":"info"}', DECODE_JSON, where) == Dropped("filter")
    body = b'{"level": "error", "status": 503}'
    assert event_body(body, DECODE_JSON, where) == body


def test_metadata_can_be_filtered_by_without_decoding() -> None:
    assert event_body(b"\xff", {"type": "filter", "where": 'nsq_topic == "events"'}) == b"\xff"
    assert transformed(b"\xff", {"type": "filter", "where": "nsq_attempts > 1"}) == Dropped("filter")


def test_a_sample_is_the_same_on_every_delivery() -> None:
    sample = chain_of({"type": "sample", "rate": 0.25})
    messages = [one_message(b"x", number) for number in range(2000)]
    kept = [message.id for message in messages if isinstance(sample.apply(message), Event)]
    assert kept == [message.id for message in messages if isinstance(sample.apply(message), Event)]
    assert 400 < len(kept) < 600


def test_a_sample_by_a_field_keeps_all_events_of_a_value_or_none() -> None:
    sample = chain_of(DECODE_JSON, {"type": "sample", "rate": 0.5, "by": "trace"})
    for trace in range(20):
        results = [sample.apply(one_message(b'{"trace":%d}' % trace, number)) for number in range(5)]
        assert len({type(result) for result in results}) == 1


@pytest.mark.parametrize(("rate", "kept"), [(0, 0), (1, 50)])
def test_none_and_all(rate: float, kept: int) -> None:
    sample = chain_of({"type": "sample", "rate": rate})
    results = [sample.apply(one_message(b"x", number)) for number in range(50)]
    assert sum(isinstance(result, Event) for result in results) == kept


def test_only_what_is_asked_for_is_sampled() -> None:
    sample = {"type": "sample", "rate": 0, "where": 'level == "debug"'}
    assert transformed(b'{"level":"debug"}', DECODE_JSON, sample) == Dropped("sample")
    assert isinstance(transformed(b'{"level":"info"}', DECODE_JSON, sample), Event)


ROUTE = {
    "type": "route",
    "rules": [
        {"where": 'level == "error"', "sinks": ["pager", "archive"]},
        {"where": 'startswith(nsq_topic, "debug")', "sinks": []},
    ],
    "default": ["archive"],
}


@pytest.mark.parametrize(
    ("body", "topic", "sinks"),
    [
        (b'{"level":"error"}', "debug", ("pager", "archive")),
        (b"{}", "debug.x", None),
        (b"{}", "events", ("archive",)),
    ],
)
def test_route(body: bytes, topic: str, sinks: tuple[str, ...] | None) -> None:
    result = chain_of(DECODE_JSON, ROUTE).apply(one_message(body, topic=topic))
    assert (
        result == Dropped("route") if sinks is None else isinstance(result, Event) and result.sinks == sinks
    )


def test_an_event_is_the_message_with_another_body() -> None:
    message = one_message(b'{"a":1}')
    event = chain_of(DECODE_JSON, {"type": "add", "fields": {"b": 2}}).apply(message)
    assert isinstance(event, Event)
    assert event.body == b'{"a":1,"b":2}'
    assert event.fields == {"a": 1, "b": 2}
    assert (event.id, event.timestamp, event.attempts, event.topic) == (
        message.id, message.timestamp, message.attempts, message.topic,
    )  # fmt: skip
    assert message.body == b'{"a":1}'


def test_no_transforms_are_no_chain() -> None:
    assert build_chain([]) is None


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"type": "decod"}, "decod"),
        ({"type": "decode", "format": "xml"}, "format"),
        ({"type": "add", "fields": {}}, "at least 1"),
        ({"type": "add", "fields": {"a..b": 1}}, "'a..b' is no path"),
        ({"type": "add", "fields": {"a": "{nothing}"}}, "{nothing} is not known"),
        ({"type": "add", "fields": {"a": float("nan")}}, "finite"),
        ({"type": "rename", "fields": {"a": "a.b"}}, "cannot be moved"),
        ({"type": "redact"}, "nothing to redact"),
        ({"type": "redact", "patterns": ["(?=x)"]}, "cannot be used"),
        ({"type": "redact", "patterns": ["("]}, "cannot be used"),
        ({"type": "sample", "rate": 2}, "less than or equal to 1"),
        ({"type": "filter", "where": "level = 1"}, "cannot be read"),
        ({"type": "route", "rules": [{"where": "true", "sinks": ["a"]}]}, "default"),
        ({"type": "filter", "where": "true", "when": 1}, "when"),
    ],
)
def test_settings_that_make_no_sense(table: Table, says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        SETTINGS.validate_python([table])


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ([{"type": "add", "fields": {"a": 1}}], "transform 1 (add) looks at fields"),
        ([{"type": "sample", "rate": 1}, {"type": "filter", "where": "a"}], "transform 2 (filter)"),
        ([DECODE_JSON, DECODE_JSON], "once is enough"),
    ],
)
def test_fields_have_to_be_decoded_first_and_once(tables: list[Table], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        build_chain(SETTINGS.validate_python(tables))
