"""Splunk's collector: what an event looks like, codes, acknowledgements by the indexers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.log_services import Reply, Splunk, running
from harness.polling import eventually_async
from harness.sending import batch_of, messages_of, opened, sink_of

BODIES = [b'{"n":0}', b'{"n":1}', b'{"n":2}', b'{"n":3}']


@pytest.fixture
async def service() -> AsyncIterator[Splunk]:
    started = Splunk(acknowledges=True, indexes_at_once=False)
    yield started
    await started.close()


def acknowledged(service: Splunk, **more: Any) -> dict[str, Any]:
    common = {"type": "splunk", "url": service.url, "token": service.token, "acknowledge": True}
    return {**common, "ack_interval": 0.01, **more}


def encoded(body: bytes, **settings: Any) -> bytes:
    sink = sink_of({"type": "splunk", "url": "http://h", "token": "t", **settings})
    return sink.encode(messages_of([body])[0])


def test_an_event_has_time_and_metadata() -> None:
    event = encoded(b'{"n": 1.10}', host="{nsqd}", index="main", sourcetype="{field:t|_json}")
    assert b'"event":{"n": 1.10}' in event
    assert json.loads(event) == {
        "time": 1699963200.0,
        "host": "nsqd:4150",
        "source": "nsq:events",
        "sourcetype": "_json",
        "index": "main",
        "event": {"n": 1.1},
    }


@pytest.mark.parametrize(
    ("body", "event"), [(b"text", "text"), (b"", " "), (b"\xff", '{"body_base64":"/w=="}')]
)
def test_what_is_no_object_is_text(body: bytes, event: str) -> None:
    assert json.loads(encoded(body))["event"] == event


async def test_raw_lines_say_once_what_they_are() -> None:
    async with (
        running("splunk") as (service, settings),
        opened(settings | {"mode": "raw", "sourcetype": "syslog"}) as sink,
    ):
        assert await sink.send(batch_of(sink, messages_of([b"one\ntwo", b"", b"three"]))) is CONFIRMED
    assert service.events == [b"one two", b" ", b"three"]
    (request,) = service.requests
    assert request.path == "/services/collector/raw"
    assert request.query_arguments["sourcetype"] == [b"syslog"]
    assert request.query_arguments["channel"] == [request.headers["X-Splunk-Request-Channel"].encode()]


@pytest.mark.parametrize(
    ("status", "code", "fate"),
    [
        (403, 1, Fate.BLOCKED),
        (403, 4, Fate.BLOCKED),
        (400, 5, Fate.REJECTED),
        (400, 7, Fate.BLOCKED),
        (500, 8, Fate.RETRY),
        (503, 9, Fate.RETRY),
        (400, 10, Fate.BLOCKED),
        (400, 13, Fate.REJECTED),
        (400, 14, Fate.BLOCKED),
        (503, 23, Fate.RETRY),
        (400, 99, Fate.REJECTED),
    ],
)
async def test_codes_say_more_than_statuses(status: int, code: int, fate: Fate) -> None:
    async with running("splunk") as (service, settings), opened(settings) as sink:
        service.script = [Reply(status, {"text": "words", "code": code})]
        outcome = await sink.send(batch_of(sink, messages_of(BODIES)))
    assert outcome.fate is fate
    assert "words" not in outcome.reason


async def test_events_before_a_bad_one_are_taken_and_those_after_it_sent_again() -> None:
    async with running("splunk") as (service, settings), opened(settings) as sink:
        batch = batch_of(sink, messages_of(BODIES))
        batch.events[1] = b'{"event":'
        outcome = await sink.send(batch)
    assert len(service.events) == 1
    assert outcome.per_event == [Fate.CONFIRMED, Fate.REJECTED, Fate.RETRY, Fate.RETRY]


@pytest.mark.parametrize(("index", "fate"), [("main", Fate.BLOCKED), ("{topic}", Fate.REJECTED)])
async def test_an_index_that_events_name_is_their_fault(index: str, fate: Fate) -> None:
    async with running("splunk") as (service, settings), opened(settings | {"index": index}) as sink:
        service.script = [Reply(400, {"text": "Incorrect index", "code": 7, "invalid-event-number": 3})]
        outcome = await sink.send(batch_of(sink, messages_of(BODIES)))
    assert outcome.fate is fate
    assert (outcome.per_event is None) == (fate is Fate.BLOCKED)


async def test_a_batch_is_confirmed_when_the_indexers_have_it(service: Splunk) -> None:
    async with opened(acknowledged(service)) as sink:
        sending = asyncio.create_task(sink.send(batch_of(sink, messages_of(BODIES))))
        await eventually_async(lambda: len(service.requests) > 3)
        assert not sending.done()
        service.indexed.add(0)
        assert await sending is CONFIRMED
    assert len(service.events) == 4


async def test_a_batch_that_the_pipeline_gave_up_waiting_for_is_not_sent_twice(service: Splunk) -> None:
    async with opened(acknowledged(service)) as sink:
        batch = batch_of(sink, messages_of(BODIES))
        waiting = asyncio.create_task(sink.send(batch))
        await eventually_async(lambda: service.requests and service.requests[-1].path.endswith("/ack"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        service.indexed.add(0)
        assert await sink.send(batch) is CONFIRMED
    assert len(service.events) == 4


async def test_what_is_not_acknowledged_in_time_is_sent_again(service: Splunk) -> None:
    async with opened(acknowledged(service, ack_timeout=0.05)) as sink:
        batch = batch_of(sink, messages_of(BODIES))
        outcome = await sink.send(batch)
        assert outcome == Outcome(Fate.RETRY, "not acknowledged by the indexers within 0.05s", unsure=True)
        service.indexes_at_once = True
        while await sink.send(batch) is not CONFIRMED:
            pass  # not even this came in time
    assert len(service.events) >= 8


async def test_what_a_restarted_splunk_numbers_alike_is_not_taken_for_what_it_lost(service: Splunk) -> None:
    async with opened(acknowledged(service)) as sink:
        first, second = (batch_of(sink, messages_of(BODIES, start=4 * number)) for number in range(2))
        lost = asyncio.create_task(sink.send(first))
        await eventually_async(lambda: service.requests and service.requests[-1].path.endswith("/ack"))
        service.restart()
        service.indexes_at_once = True
        assert await sink.send(second) is CONFIRMED
        outcome = await lost
        assert (outcome.fate, outcome.reason) == (
            Fate.RETRY,
            "Splunk was restarted before the indexers acknowledged it",
        )
        assert await sink.send(first) is CONFIRMED


async def test_many_batches_are_asked_for_in_one_question(service: Splunk) -> None:
    async with opened(acknowledged(service, ack_interval=0.05), concurrency=9) as sink:
        batches = [batch_of(sink, messages_of(BODIES, start=4 * number)) for number in range(9)]
        sending = [asyncio.create_task(sink.send(batch)) for batch in batches]
        await eventually_async(lambda: len(service.events) == 36)
        service.indexed.update(range(9))
        assert await asyncio.gather(*sending) == [CONFIRMED] * 9
    questions = [request for request in service.requests if request.path.endswith("/ack")]
    assert len(questions) <= 3


async def test_a_token_without_acknowledgement_is_told_of_and_nothing_sent_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running("splunk") as (service, settings), opened(settings | {"acknowledge": True}) as sink:
        for start in (0, 4):
            assert await sink.send(batch_of(sink, messages_of(BODIES, start=start))) is CONFIRMED
    assert len(service.events) == 8
    (warning,) = caplog.messages
    assert "no indexer acknowledgement" in warning


async def test_what_waits_when_a_token_stops_to_acknowledge_is_sent_again(
    service: Splunk, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(acknowledged(service)) as sink:
        batch = batch_of(sink, messages_of(BODIES))
        sending = asyncio.create_task(sink.send(batch))
        await eventually_async(lambda: service.events)
        service.acknowledges = False
        outcome = await asyncio.wait_for(sending, 10)
        assert (outcome.fate, outcome.unsure) == (Fate.RETRY, True)
        assert await sink.send(batch) is CONFIRMED
    assert "no indexer acknowledgement" in caplog.text


@pytest.mark.parametrize(
    "bad",
    [
        {"acknowledge": True, "url": ["http://a", "http://b"]},
        {"mode": "raw", "source": "{topic}"},
        {"mode": "both"},
    ],
)
def test_settings_that_do_not_go_together(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sink_of({"type": "splunk", "url": "http://h", "token": "t", **bad})
