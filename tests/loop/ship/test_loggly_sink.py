"""Loggly: tags, one line an event, its limits, and its single address."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from gateways.ship.sinks.loggly import LogglySink
from harness.log_services import MB, Loggly, Reply, running
from harness.sending import batch_of, messages_of, opened, sink_of


async def shipped(*bodies: bytes, topic: str = "events", **settings: Any) -> tuple[Outcome, Loggly]:
    async with running("loggly") as (service, common), opened(common | settings) as sink:
        outcome = await sink.send(batch_of(sink, messages_of(bodies, topic)))
    assert isinstance(service, Loggly)
    return outcome, service


def encoded(body: bytes, **settings: Any) -> bytes:
    sink = sink_of({"type": "loggly", "token": "t", **settings})
    return sink.encode(messages_of([body])[0])


async def test_tags_stand_in_the_path() -> None:
    outcome, service = await shipped(b"a", b"b", tags=["prod", "web.1"])
    assert outcome is CONFIRMED
    assert service.requests[0].path == "/bulk/customer-token/tag/prod,web.1/"
    assert service.requests[0].headers["Content-Type"] == "text/plain"
    assert service.tags == [{"prod", "web.1"}] * 2


async def test_tags_by_event_make_a_request_for_each_set() -> None:
    bodies = [b'{"app":"web"}', b'{"app":"db/1"}', b'{"app":"web","n":2}', b"no app"]
    outcome, service = await shipped(*bodies, tags=["nsq", "{field:app}", "{topic}"])
    assert outcome is CONFIRMED
    assert len(service.requests) == 3
    found = dict(zip(service.events, service.tags, strict=True))
    assert found == {
        bodies[0]: {"nsq", "web", "events"},
        bodies[1]: {"nsq", "db_1", "events"},
        bodies[2]: {"nsq", "web", "events"},
        bodies[3]: {"nsq", "events"},
    }


@pytest.mark.parametrize(
    ("body", "settings", "line"),
    [
        (b'{"big":12345678901234567890123,"d":1.10}', {}, b'{"big":12345678901234567890123,"d":1.10}'),
        (b'{\n "a": 1\r\n}\n', {}, b'{  "a": 1  }'),
        (b"plain text\n", {}, b"plain text"),
        (b"two\nlines", {}, b'{"message":"two\\nlines"}'),
        (b"two\nlines", {"newline": "space"}, b"two lines"),
        (b"two\nlines", {"newline": "split"}, b"two\nlines"),
        (b'{\n"a":1}', {"newline": "split"}, b'{ "a":1}'),
        (b"two\nlines", {"endpoint": "single"}, b"two\nlines"),
        (b" \n", {}, b'" \\n"'),
        (b"", {}, b'""'),
        (b"\xff\n\xfe", {}, b'{"body_base64":"/wr+"}'),
        (b'{"a":1}', {"timestamp_field": "timestamp"}, b'{"a":1,"timestamp":"2023-11-14T12:00:00.000000Z"}'),
        (b'{"timestamp":1}', {"timestamp_field": "timestamp"}, b'{"timestamp":1}'),
        (b"x", {"key_field": "k"}, b'{"k":"events-0000000000000000-1699963200000000000","message":"x"}'),
    ],
)
def test_one_line_an_event(body: bytes, settings: dict[str, Any], line: bytes) -> None:
    assert encoded(body, **settings) == line


async def test_the_single_address_gets_a_request_for_each_event() -> None:
    outcome, service = await shipped(b"one\ntwo", b"three", endpoint="single", tags=["x"])
    assert outcome is CONFIRMED
    assert sorted(service.events) == [b"one\ntwo", b"three"]
    assert {request.path for request in service.requests} == {"/inputs/customer-token/tag/x/"}


async def test_an_event_above_the_limit_is_refused_and_the_others_pass() -> None:
    big = b"x" * (MB + 1)
    outcome, service = await shipped(b"a", big, b"b")
    assert outcome.per_event == [Fate.CONFIRMED, Fate.REJECTED, Fate.CONFIRMED]
    assert outcome.reasons == {1: "1000001 bytes are more than the 1000000 that an event may have"}
    assert service.events == [b"a", b"b"]


@pytest.mark.parametrize("body", [b"x" * (MB + 1), "☃".encode() * MB, b'"' * MB * 2, b"\xff" * MB * 2])
async def test_an_event_above_the_limit_can_be_cut(body: bytes) -> None:
    outcome, service = await shipped(body, oversize="truncate")
    assert outcome is CONFIRMED
    (event,) = service.events
    assert MB // 2 < len(event) <= MB
    found = json.loads(event)
    assert (found["truncated"], found["original_bytes"]) == (True, len(body))


async def test_the_longest_field_of_an_object_is_cut_and_the_others_stay_as_written() -> None:
    body = b'{"n":12345678901234567890123,"d":1.10,"text":"%s","message":"short"}' % ("\u2603".encode() * MB)
    outcome, service = await shipped(body, oversize="truncate", truncate_field="text")
    assert outcome is CONFIRMED
    (event,) = service.events
    assert MB // 2 < len(event) <= MB
    assert event.startswith(b'{"n":12345678901234567890123,"d":1.10,"text":"\xe2\x98\x83')
    assert json.loads(event)["message"] == "short"
    assert (json.loads(event)["truncated"], json.loads(event)["original_bytes"]) == (True, len(body))


async def test_a_field_that_is_not_what_makes_it_large_is_not_cut_alone() -> None:
    body = b'{"message":"short","rest":"%s"}' % (b"x" * MB)
    _, service = await shipped(body, oversize="truncate")
    assert json.loads(service.events[0])["message"].startswith('{"message":"short"')


async def test_events_above_the_limit_can_be_left_out_and_are_counted() -> None:
    async with running("loggly") as (service, common), opened(common | {"oversize": "drop"}) as sink:
        outcome = await sink.send(batch_of(sink, messages_of([b"a", b"x" * (MB + 1), b"b"])))
        assert isinstance(sink, LogglySink)
        assert (outcome, sink.skipped) == (CONFIRMED, {"too_large": 1})
        service.script = [Reply(503)]
        outcome = await sink.send(batch_of(sink, messages_of([b"x" * (MB + 1), b"c"])))
        assert outcome.per_event == [Fate.CONFIRMED, Fate.RETRY]
    assert service.events == [b"a", b"b"]


async def test_a_token_that_is_not_known_blocks_and_is_not_told() -> None:
    outcome, _ = await shipped(b"a", token="other-secret")
    assert outcome == Outcome(Fate.BLOCKED, "HTTP 403 Forbidden")


def test_limits_are_loggly_s() -> None:
    sink = sink_of({"type": "loggly", "token": "secret"})
    assert (sink.max_bytes, sink.max_event_bytes) == (5 * MB, MB)
    assert sink.describe() == "https://logs-01.loggly.com"


def test_the_token_is_not_shown() -> None:
    from gateways.ship.sinks.loggly import LogglySettings

    settings = LogglySettings.model_validate({"token": "secret", "headers": {"X": "secret"}})
    assert "secret" not in str(settings.shown()) + repr(settings)


@pytest.mark.parametrize(
    "bad",
    [
        {"token": "t", "tags": ["{nothing}"]},
        {"token": "t", "url": "logs-01.loggly.com"},
        {"token": "t", "endpoint": "both"},
        {"token": "t", "tag": "x"},
        {},
    ],
)
def test_mistakes_are_named(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sink_of({"type": "loggly", **bad})
