"""Two processes on one durable channel would get a part of the messages each: the second does not start."""

from __future__ import annotations

import pytest

from gateways.push.companions import check_alone
from nsqgw import Consumer, Producer
from nsqgw.errors import ConfigError


async def test_a_channel_with_another_consumer_is_refused(nsq_cluster) -> None:
    cluster = nsq_cluster(1)
    lookupds, (nsqd,) = (cluster.lookupd.http_address,), cluster.nsqds
    async with Producer([nsqd.tcp_address]) as producer:
        await producer.publish("events", b"1")
    await check_alone(lookupds, ["events", "unknown"], "push-1", 5.0)
    other = Consumer("events", "push-1", lambda message: None, nsqd_tcp_addresses=[nsqd.tcp_address])
    async with other:
        await other.wait_connected(10.0)
        with pytest.raises(ConfigError, match="channel 'push-1' of topic 'events' has another consumer"):
            await check_alone(lookupds, ["events"], "push-1", 5.0)
        await check_alone(lookupds, ["events"], "push-2", 5.0)


async def test_who_cannot_be_asked_refuses_nothing() -> None:
    await check_alone(["127.0.0.1:9"], ["events"], "push-1", 1.0)  # discard, where nobody listens
