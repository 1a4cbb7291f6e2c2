"""The gateway on our broker: what is published is seen, finished, counted; nsqd may go and come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.request import urlopen

import pytest
from prometheus_client import generate_latest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from websockets.asyncio.client import connect

from gateways.push.config import PushConfig, process_channel
from gateways.push.gateway import PushGateway
from gateways.push.limits import Limits
from harness.polling import eventually_async
from nsqgw import Producer
from nsqgw.errors import ConfigError, ListenFailed, NotConnected
from nsqgw.service.admin import service_registry

Start = Callable[..., Awaitable[PushGateway]]


@pytest.fixture
async def start(nsqd) -> AsyncIterator[Start]:
    """Starts a gateway for topic `events` on the fixture's nsqd."""
    gateways: list[PushGateway] = []

    async def started(**settings) -> PushGateway:
        settings = {
            "topics": ("events",),
            "listen": "127.0.0.1:0",
            "nsqd_tcp_addresses": (nsqd.tcp_address,),
            "limits": Limits(close_timeout=2.0),
            **settings,
        }
        gateway = PushGateway(PushConfig(**settings))
        gateways.append(gateway)
        await gateway.start()
        return gateway

    yield started
    for gateway in gateways:
        await gateway.stop()


@pytest.fixture
async def producer(nsqd) -> AsyncIterator[Producer]:
    async with Producer([nsqd.tcp_address], reconnect_max_delay=0.2) as producer:
        yield producer


def stream(gateway: PushGateway, topic: str = "events") -> connect:
    return connect(f"ws://{gateway.address}/stream/{topic}", proxy=None)


async def connected(gateway: PushGateway) -> dict[str, bool]:
    """What it tells its page."""
    answer = await AsyncHTTPClient().fetch(f"http://{gateway.address}/status")
    return json.loads(answer.body)["connected"]


def channels(nsqd, topic: str = "events") -> list[dict]:
    with urlopen(f"http://{nsqd.http_address}/stats?format=json&topic={topic}") as answer:
        return [channel for found in json.load(answer)["topics"] for channel in found["channels"]]


async def test_what_is_published_is_seen_and_finished(start, producer, nsqd) -> None:
    gateway = await start()
    async with stream(gateway) as first, stream(gateway) as second:
        bodies = [b"%d" % number for number in range(100)] + [b"\xff\xfe"]
        for body in bodies:
            await producer.publish("events", body)
        for websocket in (first, second):
            seen = [await asyncio.wait_for(websocket.recv(), 10) for _ in bodies]
            assert seen == [str(number) for number in range(100)] + [b"\xff\xfe"]

    def settled() -> bool:
        (channel,) = channels(nsqd)
        return (channel["depth"], channel["in_flight_count"], channel["message_count"]) == (0, 0, 101)

    await eventually_async(settled)
    assert gateway.delivered == 202


async def test_messages_nobody_looks_at_are_finished(start, producer, nsqd) -> None:
    await start()
    await producer.publish_many("events", [b"x"] * 50)
    await eventually_async(lambda: channels(nsqd)[0]["message_count"] == 50)
    await eventually_async(lambda: channels(nsqd)[0]["in_flight_count"] == 0)
    assert channels(nsqd)[0]["depth"] == 0


async def test_its_channel_is_its_own_and_goes_with_it(start, producer, nsqd) -> None:
    gateway, other = await start(), await start()
    await producer.publish("events", b"x")
    names = {channel["channel_name"] for channel in channels(nsqd)}
    assert names == {gateway.channel, other.channel}
    assert all(name.endswith("#ephemeral") and len(name) <= 64 for name in names)
    await other.stop()
    await eventually_async(lambda: len(channels(nsqd)) == 1)


async def test_nsqd_goes_and_comes_while_browsers_stay(start, producer, nsqd) -> None:
    gateway = await start()
    async with stream(gateway) as websocket:
        await producer.publish("events", b"before")
        assert await asyncio.wait_for(websocket.recv(), 10) == "before"
        await asyncio.to_thread(nsqd.stop)
        refused = f"no connection to nsqd for events: {nsqd.tcp_address}: Connection refused"
        await eventually_async(lambda: gateway.ready() == refused)
        assert await connected(gateway) == {"events": False}
        await asyncio.to_thread(nsqd.start)
        await eventually_async(lambda: gateway.ready() is None)
        assert await connected(gateway) == {"events": True}
        await producer.publish("events", b"after")
        assert await asyncio.wait_for(websocket.recv(), 10) == "after"


async def test_what_a_browser_publishes_goes_through_nsqd(start) -> None:
    gateway = await start(topics=("events", "other"), publish_topics=("events",))
    url = f"ws://{gateway.address}/connect"
    async with connect(url, proxy=None, subprotocols=["nsqgw.v1.json"]) as websocket:
        commands = (
            {"id": 1, "op": "subscribe", "channel": "events"},
            {"id": 2, "op": "publish", "channel": "events", "data": "hello"},
            {"id": 3, "op": "publish", "channel": "other", "data": "hello"},
        )
        for command in commands:
            await websocket.send(json.dumps(command))
        told = [json.loads(await asyncio.wait_for(websocket.recv(), 10)) for _ in range(5)]
    assert [answer.get("ok") for answer in told if answer.get("id") in (1, 2)] == ["subscribe", "publish"]
    assert [answer["error"]["code"] for answer in told if answer.get("id") == 3] == [103]
    assert [answer["data"] for answer in told if answer.get("push") == "message"] == ["hello"]


async def test_a_setting_for_a_topic_that_is_not_streamed_is_refused() -> None:
    with pytest.raises(ConfigError, match="'other', which is not streamed"):
        PushConfig(topics=("events",), nsqd_tcp_addresses=("h:1",), publish_topics=("other",))


async def test_metrics_and_settings(start, producer, nsqd) -> None:
    gateway = await start(topics=("events", "other"))
    async with stream(gateway) as websocket:
        await producer.publish("events", b"x")
        await asyncio.wait_for(websocket.recv(), 10)
        text = generate_latest(service_registry(gateway)).decode()
    for line in (
        'nsqgw_push_nsqd_connections{topic="events"} 1.0',
        'nsqgw_push_subscribers{topic="events"} 1.0',
        'nsqgw_push_subscribers{topic="other"} 0.0',
        'nsqgw_push_messages_total{topic="events"} 1.0',
        'nsqgw_push_deliveries_total{topic="events"} 1.0',
        'nsqgw_push_connections{kind="websocket"} 1.0',
        "nsqgw_push_connections_accepted_total 1.0",
        'nsqgw_push_requests_refused_total{status="404"} 0.0',
        'nsqgw_push_streams_ended_total{reason="slow"} 0.0',
    ):
        assert line in text.splitlines()
    assert gateway.settings()["topics"] == ("events", "other")
    assert gateway.settings()["channel"] == gateway.channel


async def test_a_port_in_use_and_an_nsqd_that_is_not_there(start, nsqd) -> None:
    gateway = await start()
    with pytest.raises(ListenFailed, match=f"cannot listen on {gateway.address}"):
        await start(listen=gateway.address)
    await asyncio.to_thread(nsqd.stop)
    with pytest.raises(NotConnected, match=nsqd.tcp_address):
        await start(connect_timeout=0.3)


async def test_names_by_which_browsers_may_come(start) -> None:
    allowed = {"allow_hosts": ("push.example",), "allow_origins": ("https://shop.example", "http://[::2]")}
    named, open_to_all = await start(**allowed), await start(allow_origins=("*",))

    async def status(gateway: PushGateway, host: str) -> int:
        request = HTTPRequest(f"http://{gateway.address}/topics", headers={"Host": host})
        return (await AsyncHTTPClient().fetch(request, raise_error=False)).code

    names = ("127.0.0.1", "localhost", "push.example:80", "shop.example", "evil.example")
    assert [await status(named, name) for name in names] == [200, 200, 200, 200, 421]
    assert await status(open_to_all, "evil.example") == 200


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"topics": ()}, "no topic given"),
        ({"topics": ("a b",)}, "topic name 'a b'"),
        ({"channel": "a b"}, "channel name 'a b'"),
        ({"nsqd_tcp_addresses": ()}, "no source given"),
        ({"listen": "8080"}, "address '8080'"),
        ({"allow_hosts": ("http://a",)}, "host 'http://a'"),
    ],
)
def test_wrong_settings_are_named(settings: dict, text: str) -> None:
    settings = {"topics": ("events",), "nsqd_tcp_addresses": ("127.0.0.1:4150",), **settings}
    with pytest.raises(ConfigError, match=text):
        PushConfig(**settings)


def test_the_channel_of_a_process_on_a_host_with_a_long_name(monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "ä_host-" * 40 + ".example.org")
    assert len(process_channel()) <= 64
