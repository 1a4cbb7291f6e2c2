"""Sinks against real services: what they confirm is found there, each event as often as it was sent."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate
from gateways.ship.destination import SinkSettings
from gateways.ship.sinks.http_base import HttpSinkBase
from harness.pipeline import RecordingOrigin, make_messages
from harness.polling import eventually_async
from harness.real_sinks import S3Server, VictoriaLogs

COUNT = 500

# What VictoriaLogs calls the fields of an event differs by protocol.
PROTOCOLS: dict[str, tuple[dict[str, Any], str]] = {
    "elasticsearch": ({"url": "/insert/elasticsearch", "compression": "gzip"}, "n"),
    "loki": ({"url": "/insert", "compression": "gzip", "labels": {"topic": "{topic}"}}, "n"),
    "loki_protobuf": ({"url": "/insert", "encoding": "protobuf", "metadata": {"key": "{id}"}}, "n"),
    "datadog": ({"url": "/insert/datadog", "api_key": "any", "tags": ["env:test"]}, "n"),
    "otlp": ({"url": "/insert/opentelemetry", "compression": "gzip", "body": "structured"}, "n"),
    "splunk": ({"url": "/insert/splunk", "token": "any", "compression": "gzip"}, "event.n"),
    "http": ({"url": "/insert/jsonline?_msg_field=text&_stream_fields=topic", "compression": "zstd"}, "n"),
}


@pytest.fixture(scope="module")
def victoria_logs() -> Iterator[VictoriaLogs]:
    with closing(VictoriaLogs()) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with closing(S3Server()) as server:
        server.start()
        yield server


@asynccontextmanager
async def opened(kind: str, settings: dict[str, Any]) -> AsyncIterator[HttpSinkBase]:
    sink = TypeAdapter[Any](SinkSettings).validate_python({"type": kind.split("_")[0], **settings}).make(2)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


def encoded(sink: HttpSinkBase, bodies: list[bytes]) -> Batch:
    batch = Batch(0.0)
    batch.messages = make_messages(bodies, RecordingOrigin())
    now = time.time_ns()
    for number, message in enumerate(batch.messages):
        message.timestamp = now + number
    batch.events = [sink.encode(message) for message in batch.messages]
    batch.size = sum(map(len, batch.events)) + len(batch.events)
    return batch


@pytest.mark.parametrize("kind", PROTOCOLS)
async def test_what_victoria_logs_confirmed_it_has(victoria_logs: VictoriaLogs, kind: str) -> None:
    settings, field = PROTOCOLS[kind]
    bodies = [
        b'{"text":"event of %s","by":"%s","n":"%d"}' % (kind.encode(), kind.encode(), n) for n in range(COUNT)
    ]
    by = field.replace("n", "by") if "." not in field else "event.by"
    async with opened(kind, settings | {"url": victoria_logs.url + settings["url"]}) as sink:
        assert await sink.send(encoded(sink, bodies)) is CONFIRMED
    found = await eventually_async(
        lambda: len(rows := victoria_logs.query(f'"{by}":={kind}')) >= COUNT and rows, what="all are found"
    )
    assert sorted(int(row[field]) for row in found) == list(range(COUNT))


async def test_a_batch_is_one_object_that_a_second_try_replaces(s3: S3Server) -> None:
    settings = {
        "url": f"{s3.url}/logs",
        "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
        "prefix": "by topic/{topic}/ü=1/%Y/",
    }
    bodies = [b'{"n":%d}' % number for number in range(COUNT)]
    async with opened("s3", settings) as sink:
        batch = encoded(sink, bodies)
        assert await sink.send(batch) is CONFIRMED
        assert await sink.send(batch) is CONFIRMED
    ((key, content),) = s3.objects().items()
    assert key.startswith("by topic/events/ü=1/")
    assert key.endswith(".ndjson.gz")
    assert gzip.decompress(content).splitlines() == bodies


@pytest.mark.parametrize(
    ("change", "status"), [({"secret_access_key": "wrong"}, 403), ({"url": "/nowhere"}, 404)]
)
async def test_what_s3_refuses_waits_for_somebody(s3: S3Server, change: dict[str, str], status: int) -> None:
    if "url" in change:
        change = {"url": s3.url + change["url"]}
    settings = {"url": f"{s3.url}/logs", "access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    async with opened("s3", settings | change) as sink:
        outcome = await sink.send(encoded(sink, [json.dumps({"n": 1}).encode()]))
    assert outcome.fate is Fate.BLOCKED
    assert f"HTTP {status}" in outcome.reason
