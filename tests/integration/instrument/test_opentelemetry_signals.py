"""Spans and metrics as the SDK hands them to an exporter, of clients that work with a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from harness.polling import eventually_async
from nsqgw import BlockingProducer, Consumer, Message, Producer
from nsqgw.errors import ConfigError, PublishError
from nsqgw.instrument import HandlerFailed
from nsqgw.instrument.opentelemetry import count_facts, observe_stats, traced, traced_publish

PROCESS = {
    "messaging.system": "nsq",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": "t",
    "messaging.destination.subscription.name": "ch",
}
SEND = {
    "messaging.system": "nsq",
    "messaging.operation.name": "publish",
    "messaging.operation.type": "send",
    "messaging.destination.name": "t",
}
NO_PAUSE: dict[str, Any] = {"requeue_delay": 0.0, "max_backoff_duration": 0}


@dataclass
class Telemetry:
    """Providers, and what they were given."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    tracer_provider: TracerProvider
    meter_provider: MeterProvider

    @property
    def providers(self) -> dict[str, Any]:
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def points(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        data: Any = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        assert {scope.scope.name for scope in scopes} == {"nsqgw"}
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracer_provider, meter_provider = TracerProvider(), MeterProvider([reader])
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Telemetry(exporter, reader, tracer_provider, meter_provider)
    tracer_provider.shutdown()
    meter_provider.shutdown()


def consuming(nsqd: Any, handler: Any, **options: Any) -> AbstractAsyncContextManager[Consumer]:
    return Consumer("t", "ch", handler, nsqd_tcp_addresses=[nsqd.tcp_address], **options)


async def publish(nsqd: Any, *bodies: bytes) -> None:
    async with Producer([nsqd.tcp_address]) as producer:
        await producer.publish_many("t", bodies)


def server(nsqd: Any) -> dict[str, Any]:
    host, port = nsqd.tcp_address.split(":")
    return {"server.address": host, "server.port": int(port)}


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_message_is_a_process_span_and_a_failure_has_its_error(
    nsqd: Any, telemetry: Telemetry, asynchronous: bool
) -> None:
    inside: list[Any] = []

    def handle(message: Message) -> None:
        inside.append(get_current_span().get_span_context())
        if message.attempts == 1:
            raise KeyError("user")

    async def handle_later(message: Message) -> None:
        await asyncio.sleep(0)
        handle(message)

    await publish(nsqd, b"hello")
    handler = traced(handle_later if asynchronous else handle, **telemetry.providers)
    with telemetry.tracer_provider.get_tracer("test").start_as_current_span("program"):
        async with consuming(nsqd, handler, **NO_PAUSE) as consumer:
            await eventually_async(lambda: consumer.stats.finished == 1)
    failed, done, _ = telemetry.spans
    for span, attempts in ((failed, 1), (done, 2)):
        attributes = dict(span.attributes or {})
        assert span.name == "process t"
        assert span.kind is SpanKind.CONSUMER
        assert span.parent is None
        assert len(str(attributes.pop("messaging.message.id"))) == 16
        assert attributes.pop("messaging.nsq.message.delivery_attempt") == attempts
        assert attributes.pop("error.type", None) == ("KeyError" if attempts == 1 else None)
        assert attributes == PROCESS | server(nsqd)
    assert [span.status.status_code for span in (failed, done)] == [StatusCode.ERROR, StatusCode.UNSET]
    assert failed.status.description == "'user'"
    assert failed.events == ()
    assert inside == [failed.get_span_context(), done.get_span_context()]

    points = {point.attributes.get("error.type"): point for point in process_points(telemetry)}
    for span, point in ((failed, points["KeyError"]), (done, points[None])):
        assert point.attributes.items() >= (PROCESS | server(nsqd)).items()
        assert span.start_time is not None
        assert span.end_time is not None
        assert point.sum == pytest.approx((span.end_time - span.start_time) / 1e9)
        assert point.explicit_bounds[0] == 0.005


def process_points(telemetry: Telemetry) -> list[Any]:
    return telemetry.points()["messaging.process.duration"]


async def test_a_batch_is_one_span_with_links_to_what_its_bodies_carry(
    nsqd: Any, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    def context_of(message: Message) -> Any:
        if message.body == b"poison":
            raise ValueError("no context")
        return extract({"traceparent": message.body.decode()}) if message.body != b"none" else None

    carrier: dict[str, str] = {}
    with telemetry.tracer_provider.get_tracer("test").start_as_current_span("origin") as origin:
        inject(carrier)
    await publish(nsqd, carrier["traceparent"].encode(), b"nonsense", b"none", b"poison")
    handler = traced(lambda messages: None, creation_context=context_of, **telemetry.providers)
    async with Consumer("t", "ch", batch_handler=handler, nsqd_tcp_addresses=[nsqd.tcp_address]) as consumer:
        await eventually_async(lambda: consumer.stats.finished == 4)
    spans = [span for span in telemetry.spans if span.name == "process t"]
    assert sum(dict(span.attributes or {})["messaging.batch.message_count"] for span in spans) == 4  # type: ignore[misc]
    assert all("messaging.message.id" not in (span.attributes or {}) for span in spans)
    (link,) = [link for span in spans for link in span.links]
    assert link.context.span_id == origin.get_span_context().span_id
    assert link.attributes is not None
    assert link.attributes["messaging.nsq.message.delivery_attempt"] == 1
    (record,) = [record for record in caplog.records if record.name == "nsqgw" and record.exc_info]
    assert record.getMessage().startswith("creation_context failed for <Message")


async def test_publishes_are_client_spans_inside_the_current_one(nsqd: Any, telemetry: Telemetry) -> None:
    async with Producer([nsqd.tcp_address], max_message_size=10) as producer:
        publish_one = traced_publish(producer.publish, **telemetry.providers)
        publish_many = traced_publish(producer.publish_many, **telemetry.providers)
        with telemetry.tracer_provider.get_tracer("test").start_as_current_span("program") as program:
            await publish_one("t", b"one", timeout=5.0)
            await publish_many(bodies=(body for body in (b"two", b"three")), topic="t")
            with pytest.raises(PublishError):
                await publish_one("t", b"longer than ten bytes")
        assert producer.stats.published == 3
    one, many, failed, _ = telemetry.spans
    assert {span.name for span in (one, many, failed)} == {"publish t"}
    assert {span.kind for span in (one, many, failed)} == {SpanKind.CLIENT}
    for span in (one, many, failed):
        assert span.parent is not None
        assert span.parent.span_id == program.get_span_context().span_id
    assert dict(one.attributes or {}) == SEND
    assert dict(many.attributes or {}) == SEND | {"messaging.batch.message_count": 2}
    assert dict(failed.attributes or {}) == SEND | {"error.type": "nsqgw.errors.MessageTooBig"}
    counts = {
        point.attributes.get("error.type"): point.count
        for point in telemetry.points()["messaging.client.operation.duration"]
    }
    assert counts == {None: 2, "nsqgw.errors.MessageTooBig": 1}


def test_a_blocking_publish_is_traced_too(nsqd: Any, telemetry: Telemetry) -> None:
    with BlockingProducer([nsqd.tcp_address]) as producer:
        traced_publish(producer.publish, **telemetry.providers)("t", b"body")
        traced_publish(producer.publish_many, **telemetry.providers)("t", [b"body"])
    assert [span.name for span in telemetry.spans] == ["publish t"] * 2


def test_publish_then_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"publish_then of .* cannot be traced"):
        traced_publish(Producer(["127.0.0.1:1"]).publish_then)


@pytest.mark.parametrize("kind", [Producer, BlockingProducer])
def test_what_returns_before_the_end_is_refused(kind: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"publish_soon of .* cannot be traced: give publish or publish_many"
    ):
        traced_publish(kind(["127.0.0.1:1"]).publish_soon)


async def test_figures_are_read_when_a_reader_collects(nsqd: Any, telemetry: Telemetry) -> None:
    async with (
        consuming(nsqd, lambda message: None, max_in_flight=7) as consumer,
        Producer([nsqd.tcp_address]) as producer,
    ):
        observe_stats(consumer, meter_provider=telemetry.meter_provider).add(producer)
        with pytest.raises(ConfigError, match="observes clients already"):
            observe_stats(consumer, meter_provider=telemetry.meter_provider)
        await consumer.wait_connected(5)
        await producer.publish_many("t", [b"a", b"b"])
        await eventually_async(lambda: consumer.stats.finished == 2)
        points = telemetry.points()
    stream = {name: value for name, value in PROCESS.items() if "operation" not in name}
    (consumed,) = points.pop("messaging.client.consumed.messages")
    receive = {"messaging.operation.name": "receive", "messaging.operation.type": "receive"}
    assert (consumed.value, dict(consumed.attributes)) == (2, stream | receive)
    send = {name: value for name, value in SEND.items() if "destination" not in name}
    assert [
        (point.value, dict(point.attributes)) for point in points.pop("messaging.client.sent.messages")
    ] == [
        (2, send),
        (0, send | {"error.type": "_OTHER"}),
    ]
    assert {name: point.value for name, (point,) in points.items()} == {
        "nsqgw.consumer.messages.finished": 2,
        "nsqgw.consumer.messages.requeued": 0,
        "nsqgw.consumer.messages.in_flight": 0,
        "nsqgw.consumer.rdy": 7,
        "nsqgw.consumer.connections": 1,
        "nsqgw.producer.messages.outstanding": 0,
        "nsqgw.producer.connections": 1,
    }
    assert dict(points["nsqgw.consumer.rdy"][0].attributes) == stream


def test_facts_are_counted(telemetry: Telemetry) -> None:
    count_facts(telemetry.meter_provider)(HandlerFailed(KeyError("user"), ()))
    (point,) = telemetry.points()["nsqgw.facts"]
    assert (point.value, dict(point.attributes)) == (
        1,
        {
            "messaging.system": "nsq",
            "nsqgw.fact.kind": "handler_failed",
            "nsqgw.fact.outcome": "KeyError",
        },
    )
