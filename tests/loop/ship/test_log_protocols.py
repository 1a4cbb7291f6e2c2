"""What Loki, Datadog, OpenTelemetry, ClickHouse and S3 are sent."""

from __future__ import annotations

import gzip
import json
from typing import Any

import cramjam
import pytest
from pydantic import ValidationError

from gateways.pipeline.sink import CONFIRMED, Fate, SinkUnusable
from gateways.ship.sinks import protobuf
from harness.log_services import ClickHouse, LogService, Loki, Otlp, Reply, running
from harness.sending import NOON, batch_of, messages_of, opened, sink_of


async def shipped(kind: str, *bodies: bytes, **more: Any) -> LogService:
    """The service after these were confirmed."""
    async with running(kind) as (service, settings), opened(settings | more) as sink:
        assert await sink.send(batch_of(sink, messages_of(bodies))) is CONFIRMED
    return service


# -- Loki


async def test_loki_has_a_stream_for_each_set_of_labels_in_order_of_time() -> None:
    async with (
        running("loki") as (service, settings),
        opened(settings | {"labels": {"topic": "{topic}", "level": "{field:level}"}}) as sink,
    ):
        messages = messages_of(
            [b'{"level":"info","n":1}', b'{"level":"warn"}', b'{"level":"info","n":2}', b"text"]
        )
        messages.reverse()
        assert await sink.send(batch_of(sink, messages)) is CONFIRMED
    assert isinstance(service, Loki)
    assert {labels: [entry[1] for entry in entries] for labels, entries in service.streams.items()} == {
        '{"level": "info", "topic": "events"}': ['{"level":"info","n":1}', '{"level":"info","n":2}'],
        '{"level": "warn", "topic": "events"}': ['{"level":"warn"}'],
        '{"topic": "events"}': ["text"],
    }
    assert len(service.requests) == 1


async def test_lines_that_loki_names_are_refused_and_the_others_go_again_at_once() -> None:
    async with running("loki") as (service, settings), opened(settings) as sink:
        batch = batch_of(sink, messages_of([b"old", b"new", b"newest"]))
        text = (
            "entry with timestamp 2023-11-14 12:00:00 +0000 UTC ignored, reason: 'entry too far behind',\n"
            "user 'fake', total ignored: 1 out of 3 for stream: {topic=\"events\"}"
        )
        service.script = [Reply(400, text)]
        outcome = await sink.send(batch)
        assert outcome.per_event == [Fate.REJECTED, Fate.CONFIRMED, Fate.CONFIRMED]
        assert outcome.reasons == {0: "HTTP 400, too_far_behind"}
        service.script = [Reply(400, text), Reply(503)]
        outcome = await sink.send(batch)
        assert outcome.per_event == [Fate.REJECTED, Fate.RETRY, Fate.RETRY]
        service.script = [Reply(400, "something else")]
        assert (await sink.send(batch)).per_event is None
    assert len(service.requests) == 5


async def test_loki_s_protobuf_is_a_snappy_block() -> None:
    async with (
        running("loki") as (service, settings),
        opened(settings | {"encoding": "protobuf", "metadata": {"id": "{id}"}}) as sink,
    ):
        service.script = [Reply(204)]
        assert await sink.send(batch_of(sink, messages_of([b"one", b"two"]))) is CONFIRMED
    (request,) = service.requests
    assert request.headers["Content-Type"] == "application/x-protobuf"
    assert "Content-Encoding" not in request.headers
    ((_, stream),) = protobuf.fields(bytes(cramjam.snappy.decompress_raw(request.body)))
    assert isinstance(stream, bytes)
    (_, labels), (_, first), _ = protobuf.fields(stream)
    assert labels == b'{topic="events"}'
    assert isinstance(first, bytes)
    (_, time), (_, line), (_, metadata) = protobuf.fields(first)
    assert isinstance(time, bytes)
    assert isinstance(metadata, bytes)
    assert dict(protobuf.fields(time)) == {1: NOON // 10**9, 2: 0}
    assert line == b"one"
    assert dict(protobuf.fields(metadata)) == {1: b"id", 2: b"0000000000000000"}


async def test_loki_keeps_once_what_comes_twice() -> None:
    async with (
        running("loki") as (service, settings),
        opened(settings | {"metadata": {"id": "{id}", "user": "{field:user}"}}) as sink,
    ):
        batch = batch_of(sink, messages_of([b"line"]))
        assert await sink.send(batch) is CONFIRMED
        assert await sink.send(batch) is CONFIRMED
    assert [*map(json.loads, service.events)] == [[str(NOON), "line", {"id": "0000000000000000"}]]


@pytest.mark.parametrize("labels", [{}, {"__x": "y"}, {"a-b": "c"}, {"a": "{x}"}])
def test_labels_that_loki_would_refuse_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        sink_of({"type": "loki", "url": "http://h", "labels": labels})


# -- Datadog


async def test_datadog_s_attributes_are_filled_in_where_they_are_absent() -> None:
    service = await shipped(
        "datadog", b'{"service":"own","n":1.10}', b"text", tags=["env:test", "u:{field:u}"], hostname="h"
    )
    assert [*map(json.loads, service.events)] == [
        {
            "service": "own",
            "n": 1.1,
            "timestamp": NOON // 10**6,
            "ddsource": "nsq",
            "hostname": "h",
            "ddtags": "env:test",
        },
        {
            "message": "text",
            "timestamp": NOON // 10**6 + 1000,
            "ddsource": "nsq",
            "service": "events",
            "hostname": "h",
            "ddtags": "env:test",
        },
    ]
    assert service.requests[0].headers["Content-Encoding"] == "gzip"


# -- OpenTelemetry


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
async def test_records_are_read_by_opentelemetry_s_own_classes(encoding: str) -> None:
    body = {
        "level": "Warning",
        "n": -5,
        "big": 2**70,
        "f": 1.5,
        "t": True,
        "no": None,
        "l": ["a", {"b": "☃"}],
    }
    service = await shipped(
        "otlp",
        json.dumps(body).encode(),
        b"text",
        encoding=encoding,
        body="structured",
        severity_field="level",
        service_name="{field:service|none}",
    )
    assert isinstance(service, Otlp)
    (resource,) = service.exports[0].resource_logs
    assert [(a.key, a.value.string_value) for a in resource.resource.attributes] == [("service.name", "none")]
    first, second = resource.scope_logs[0].log_records
    assert (first.time_unix_nano, first.observed_time_unix_nano) == (NOON, NOON)
    assert (first.severity_number, first.severity_text) == (13, "Warning")
    assert {a.key: a.value.string_value for a in first.attributes} == {
        "nsq.topic": "events",
        "nsq.message_id": "0000000000000000",
    }
    found = {pair.key: pair.value for pair in first.body.kvlist_value.values}
    assert found["n"].int_value == -5
    assert found["f"].double_value == 1.5
    assert found["t"].bool_value is True
    assert found["no"].WhichOneof("value") is None
    assert found["l"].array_value.values[1].kvlist_value.values[0].value.string_value == "☃"
    assert second.body.string_value == "text"


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
async def test_a_time_before_1970_is_none_of_opentelemetry_s(encoding: str) -> None:
    async with running("otlp") as (service, settings), opened(settings | {"encoding": encoding}) as sink:
        (message,) = messages_of([b"old"])
        message.timestamp = -1
        assert await sink.send(batch_of(sink, [message])) is CONFIRMED
    assert isinstance(service, Otlp)
    (record,) = service.exports[0].resource_logs[0].scope_logs[0].log_records
    assert (record.time_unix_nano, record.body.string_value) == (0, "old")


async def test_each_service_is_a_resource() -> None:
    service = await shipped(
        "otlp", b'{"app":"a"}', b'{"app":"b"}', b'{"app":"a"}', service_name="{field:app}", encoding="json"
    )
    assert isinstance(service, Otlp)
    (export,) = service.exports
    assert [len(resource.scope_logs[0].log_records) for resource in export.resource_logs] == [2, 1]


@pytest.mark.parametrize(("encoding", "answer"), [("protobuf", b"\x0a\x02\x08\x01"), ("json", None)])
async def test_after_a_partial_success_nothing_is_sent_again(encoding: str, answer: bytes | None) -> None:
    document = answer or {"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "secret"}}
    async with running("otlp") as (service, settings), opened(settings | {"encoding": encoding}) as sink:
        service.script = [Reply(200, document, {"Content-Type": "application/x-protobuf"})]
        outcome = await sink.send(batch_of(sink, messages_of([b"a", b"b"])))
    assert outcome.per_event == [Fate.REJECTED] * 2
    assert outcome.reason == "1 of 2 records were rejected, this one may be among them"


# -- ClickHouse


async def test_rows_and_settings_of_an_insert() -> None:
    service = await shipped(
        "clickhouse", b'{"n": 1}', b"text", time_column="ts", key_column="k", username="u", password="p"
    )
    assert isinstance(service, ClickHouse)
    assert [*map(json.loads, service.events)] == [
        {"n": 1, "ts": NOON, "k": f"events-0000000000000000-{NOON}"},
        {"message": "text", "ts": NOON + 10**9, "k": f"events-0000000000000001-{NOON + 10**9}"},
    ]
    assert service.settings.pop("insert_deduplication_token")
    assert service.settings == {
        "wait_end_of_query": "1",
        "input_format_skip_unknown_fields": "1",
        "date_time_input_format": "best_effort",
    }
    assert service.requests[0].headers["Authorization"] == "Basic dTpw"


async def test_a_block_that_comes_again_is_taken_once() -> None:
    async with running("clickhouse") as (service, settings), opened(settings) as sink:
        batch = batch_of(sink, messages_of([b"{}", b"{}"]))
        assert await sink.send(batch) is CONFIRMED
        assert await sink.send(batch) is CONFIRMED
    assert len(service.events) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"table": "t; DROP TABLE x"},
        {"table": "t", "settings": {"query": "x", "a b": "1"}},
        {"table": "t", "settings": {"async_insert": "1", "wait_for_async_insert": "0"}},
    ],
)
def test_what_would_lose_rows_or_is_no_name_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sink_of({"type": "clickhouse", "url": "http://h", **bad})


# -- S3


async def test_objects_are_by_prefix_and_named_after_their_events() -> None:
    bodies = [b'{"app":"a"}', b'{"app":"../b"}', b'{"app":"a"}', b"two\nlines"]
    service = await shipped("s3", *bodies, prefix="{topic}/{field:app}/%Y-%m-%d/")
    objects: dict[str, bytes] = vars(service)["objects"]
    found = {path.rpartition("/")[0]: content for path, content in objects.items()}
    assert found == {
        "/logs/events/a/2023-11-14": b'{"app":"a"}\n{"app":"a"}\n',
        "/logs/events/__b/2023-11-14": b'{"app":"../b"}\n',
        "/logs/unrouted": b'"two\\nlines"\n',
    }
    assert all(path.endswith(".ndjson.gz") for path in objects)
    assert gzip.decompress(service.requests[0].body)


async def test_s3_without_credentials_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    sink = sink_of({"type": "s3", "url": "http://h/bucket"})
    with pytest.raises(SinkUnusable, match="AWS_ACCESS_KEY_ID"):
        await sink.open()


async def test_s3_takes_credentials_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ACCESS_KEY_ID", "key"),
        ("SECRET_ACCESS_KEY", "s"),
        ("SESSION_TOKEN", "short-lived"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    service = await shipped("s3", b"a", access_key_id=None, secret_access_key=None)
    assert service.requests[0].headers["X-Amz-Security-Token"] == "short-lived"
