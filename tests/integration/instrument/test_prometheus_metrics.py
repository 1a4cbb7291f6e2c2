"""What a real registry shows of clients that work with a broker."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from harness.polling import eventually_async
from nsqgw import BlockingProducer, Consumer, Producer
from nsqgw.errors import NSQError
from nsqgw.instrument import Connected, HandlerFailed, tee
from nsqgw.instrument.prometheus import count_facts, expose_stats

STREAM = 'channel="ch",topic="t"'


def lines(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample, by name and labels; when a counter was made is left out."""
    text = generate_latest(registry).decode()
    samples = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples if "_created" not in name}


async def test_figures_and_facts_of_consumer_and_producer(nsqd: Any) -> None:
    registry = CollectorRegistry()
    count = count_facts(registry)
    facts: list[Any] = []

    def refuse_first_time(message: Any) -> None:
        if message.attempts == 1 and message.body == b"bad":
            raise ValueError(message.body)

    nsqds = [nsqd.tcp_address]
    hook = tee(facts.append, count)
    options: dict[str, Any] = {"nsqd_tcp_addresses": nsqds, "requeue_delay": 0.0, "max_backoff_duration": 0}
    async with (
        Consumer("t", "ch", refuse_first_time, on_fact=hook, max_in_flight=7, **options) as consumer,
        Producer(nsqds, on_fact=hook) as producer,
    ):
        clients = expose_stats(consumer, producer, registry=registry)
        await consumer.wait_connected(5)
        await producer.publish_many("t", [b"good", b"bad"])
        await eventually_async(lambda: consumer.stats.finished == 2)
        clients.add(Producer(nsqds))
        assert lines(registry) == {
            f"nsqgw_consumer_messages_received_total{{{STREAM}}}": 3,
            f"nsqgw_consumer_messages_finished_total{{{STREAM}}}": 2,
            f"nsqgw_consumer_messages_requeued_total{{{STREAM}}}": 1,
            f"nsqgw_consumer_messages_in_flight{{{STREAM}}}": 0,
            f"nsqgw_consumer_rdy{{{STREAM}}}": 7,
            f"nsqgw_consumer_connections{{{STREAM}}}": 1,
            "nsqgw_producer_messages_published_total": 2,
            "nsqgw_producer_messages_failed_total": 0,
            "nsqgw_producer_messages_outstanding": 0,
            "nsqgw_producer_connections": 1,
            'nsqgw_facts_total{channel="ch",kind="connected",outcome="",topic="t"}': 1,
            'nsqgw_facts_total{channel="",kind="connected",outcome="",topic=""}': 1,
            'nsqgw_facts_total{channel="ch",kind="handler_failed",outcome="ValueError",topic="t"}': 1,
        }
    assert {Connected, HandlerFailed} <= {type(fact) for fact in facts}
    after = lines(registry)
    assert after[f"nsqgw_consumer_messages_received_total{{{STREAM}}}"] == 3
    assert after[f"nsqgw_consumer_connections{{{STREAM}}}"] == 0


def test_consumers_of_one_channel_are_summed_up_and_the_same_metrics_are_not_exposed_twice() -> None:
    registry = CollectorRegistry()
    first, second = (Consumer("t", "ch", nsqd_tcp_addresses=["127.0.0.1:1"]) for _ in range(2))
    expose_stats(first, registry=registry).add(second)
    assert lines(registry)[f"nsqgw_consumer_connections{{{STREAM}}}"] == 0
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        expose_stats(first, registry=registry)


def test_a_blocking_producer_is_a_producer(nsqd: Any) -> None:
    registry = CollectorRegistry()
    with BlockingProducer([nsqd.tcp_address]) as producer:
        expose_stats(producer, registry=registry)
        producer.publish("t", b"body")
        assert lines(registry)["nsqgw_producer_messages_published_total"] == 1


def test_addresses_are_labels_only_where_asked_for() -> None:
    registry = CollectorRegistry()
    count = count_facts(registry, addresses=True)
    count(Connected("n:4150", "t", "ch"))
    count(HandlerFailed(NSQError("no messages"), ()))
    assert list(lines(registry)) == [
        'nsqgw_facts_total{address="n:4150",channel="ch",kind="connected",outcome="",topic="t"}',
        'nsqgw_facts_total{address="",channel="",kind="handler_failed",outcome="NSQError",topic=""}',
    ]
