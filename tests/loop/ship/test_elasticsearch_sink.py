"""Elasticsearch: ids from the events' keys, an outcome for each item, names of indexes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.log_services import Elasticsearch, running
from harness.sending import batch_of, messages_of, opened, sink_of

BODIES = [b'{"n":0}', b'{"n":1}', b'{"n":2}', b'{"n":3}']


def lines(body: bytes, topic: str = "events", **settings: Any) -> list[Any]:
    sink = sink_of({"type": "elasticsearch", "url": "http://h", **settings})
    return [json.loads(line) for line in sink.encode(messages_of([body], topic)[0]).split(b"\n")]


async def answered(items: list[int], **settings: Any) -> Outcome:
    """The outcome of four events that get these statuses."""
    async with running("elasticsearch") as (service, common), opened(common | settings) as sink:
        assert isinstance(service, Elasticsearch)
        service.items = items
        return await sink.send(batch_of(sink, messages_of(BODIES)))


def test_an_event_is_an_action_and_a_document() -> None:
    action, document = lines(b'{"n":1}', topic="Web.Events")
    assert action == {
        "create": {
            "_index": "logs-web.events-2023.11.14",
            "_id": "Web.Events-0000000000000000-1699963200000000000",
        }
    }
    assert document == {"n": 1, "@timestamp": "2023-11-14T12:00:00.000000Z"}


def test_numbers_stay_as_written_and_a_time_that_is_there_stays() -> None:
    sink = sink_of({"type": "elasticsearch", "url": "http://h"})
    (message,) = messages_of([b'{"big": 123456789012345678901234567890, "@timestamp": 5}'])
    assert sink.encode(message).endswith(b'\n{"big": 123456789012345678901234567890, "@timestamp": 5}')


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        (b"plain", "message", "plain"),
        (b"[1,2]", "message", "[1,2]"),
        (b"two\nlines", "message", "two\nlines"),
        (b"\xff", "body_base64", "/w=="),
        (b"", "message", ""),
    ],
)
def test_what_is_no_object_becomes_one(body: bytes, field: str, value: str) -> None:
    assert lines(body)[1][field] == value


@pytest.mark.parametrize(
    ("body", "index"),
    [
        (b'{"app":"Web/1"}', "app-web_1"),
        (b"{}", "elsewhere"),
        (b'{"app":""}', "elsewhere"),
        (b"text", "elsewhere"),
    ],
)
def test_the_index_comes_from_a_field_or_is_the_fallback(body: bytes, index: str) -> None:
    action, _ = lines(body, index="app-{field:app}", fallback_index="elsewhere")
    assert action["create"]["_index"] == index


def test_ids_and_times_can_be_left_out_and_routing_put_in() -> None:
    settings = {
        "id": "none",
        "action": "index",
        "timestamp_field": "",
        "routing": "{field:user}",
        "index": "i",
    }
    assert lines(b'{"user":"u"}', **settings) == [{"index": {"_index": "i", "routing": "u"}}, {"user": "u"}]


async def test_what_is_sent_again_is_there_once() -> None:
    async with running("elasticsearch") as (service, settings), opened(settings) as sink:
        batch = batch_of(sink, messages_of(BODIES))
        assert await sink.send(batch) is CONFIRMED
        assert await sink.send(batch) == Outcome(Fate.CONFIRMED, duplicates=4)
        more = batch_of(sink, messages_of(BODIES, start=2))
        assert await sink.send(more) == Outcome(Fate.CONFIRMED, duplicates=2)
    assert len(service.events) == 6
    assert service.requests[0].uri == "/_bulk?filter_path=errors,items.*.status,items.*.error.type"


async def test_each_item_has_its_own_fate() -> None:
    outcome = await answered([201, 429, 400, 503])
    assert outcome.fate is Fate.RETRY
    assert outcome.per_event == [Fate.CONFIRMED, Fate.RETRY, Fate.REJECTED, Fate.RETRY]
    assert outcome.reasons is not None
    assert outcome.reasons[2] == "item status 400 error_400"


async def test_an_index_that_is_missing_blocks_its_events_alone() -> None:
    outcome = await answered([201, 404, 403, 201])
    assert outcome.per_event == [Fate.CONFIRMED, Fate.BLOCKED, Fate.BLOCKED, Fate.CONFIRMED]


async def test_a_conflict_over_an_id_that_is_not_ours_is_no_success() -> None:
    outcome = await answered([201, 409, 201, 201], id="none", action="index")
    assert outcome.per_event == [Fate.CONFIRMED, Fate.RETRY, Fate.CONFIRMED, Fate.CONFIRMED]


async def test_the_body_of_the_document_is_not_in_the_reason() -> None:
    outcome = await answered([400, 400, 400, 400])
    assert '"n"' not in str(outcome)


async def test_an_api_key_and_options_go_along() -> None:
    more = {"api_key": "abc", "pipeline": "p", "require_data_stream": True}
    async with (
        running("elasticsearch") as (service, settings),
        opened(settings | more | {"url": service.url + "/es/"}) as sink,
    ):
        assert await sink.send(batch_of(sink, messages_of(BODIES))) is CONFIRMED
    (request,) = service.requests
    assert request.headers["Authorization"] == "ApiKey abc"
    assert request.path == "/es/_bulk"
    assert request.query.endswith("&pipeline=p&require_data_stream=true")


@pytest.mark.parametrize("index", ["", "Logs", "_logs", "-x", "a b", "a,b", "{nothing}", "a/%Y", "%Q"])
def test_an_index_that_the_cluster_would_refuse_is_refused(index: str) -> None:
    with pytest.raises(ValidationError):
        sink_of({"type": "elasticsearch", "url": "http://h", "index": index})
