"""The gateway inside an application of tornado: its paths and streams on the application's port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import tornado.web
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateways.push.config import PushConfig
from gateways.push.embed import PushHandler
from gateways.push.gateway import PushGateway
from harness.embedded import EmbeddedNsqd
from harness.http import post


class Page(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish("the application")


class Application:
    """Pages of its own, and the gateway under /live."""

    def __init__(self, gateway: PushGateway, **options: Any) -> None:
        self.gateway = gateway
        handlers: list[Any] = [("/", Page), (r"/live(/.*)", PushHandler, {"gateway": gateway})]
        self._server = HTTPServer(tornado.web.Application(handlers), **options)
        (listener,) = bind_sockets(0, "127.0.0.1")
        self._server.add_socket(listener)
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"

    async def fetch(self, path: str, **request: Any) -> Any:
        return await AsyncHTTPClient().fetch(f"http://{self.address}{path}", raise_error=False, **request)

    async def close(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()


@pytest.fixture
def nsqd() -> Any:
    daemon = EmbeddedNsqd()
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
async def application(nsqd) -> AsyncIterator[Application]:
    gateway = PushGateway(PushConfig(topics=("events",), listen="", nsqd_tcp_addresses=(nsqd.tcp_address,)))
    application = Application(gateway)
    await gateway.start()
    yield application
    await gateway.stop()
    await application.close()


async def test_both_answer_on_one_port(application) -> None:
    assert (await application.fetch("/")).body == b"the application"
    topics = await application.fetch("/live/topics")
    assert json.loads(topics.body) == {"topics": ["events"]}
    assert (await application.fetch("/")).body == b"the application"
    assert application.gateway.address == ""


async def test_what_the_gateway_refuses_is_refused_by_it(application) -> None:
    for path, headers, status in (
        ("/live/stream/other", {"Accept": "text/event-stream"}, 404),
        ("/live/stream/events", {"Origin": "http://elsewhere.example"}, 403),
        ("/live/stream/events", {"Host": "rebound.example"}, 421),
        ("/live/stream/events", {}, 406),
    ):
        answer = await application.fetch(path, headers=headers)
        assert answer.code == status
        assert json.loads(answer.body)["error"]


async def test_a_path_is_no_place_for_headers(application) -> None:
    made_up = "%20HTTP/1.1%0d%0aHost:%20localhost%0d%0aSec-Fetch-Site:%20none%0d%0a%0d%0a"
    answer = await application.fetch(f"/live/topics{made_up}", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.code == 403, "as what the browser says, not the page"
    answer = await application.fetch("/live/stream/a%20b%C3%A9", headers={"Accept": "text/event-stream"})
    assert json.loads(answer.body)["error"] == "topic 'a bé' is not streamed here"


async def test_a_websocket_gets_messages_and_is_sent_off_at_the_stop(application, nsqd) -> None:
    async with connect(f"ws://{application.address}/live/stream/events", proxy=None) as websocket:
        await asyncio.to_thread(post, nsqd.http_address, "/pub?topic=events", b"hello")
        assert await asyncio.wait_for(websocket.recv(), 10) == "hello"
        await application.gateway.stop()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(websocket.recv(), 10)
        assert websocket.close_code == 1012
    assert (await application.fetch("/live/topics")).code == 503


async def test_commands_sent_along_with_the_upgrade_are_not_lost(application) -> None:
    reader, writer = await asyncio.open_connection(*application.address.split(":"))
    command = b'{"id":1,"op":"ping"}'
    writer.write(
        b"GET /live/connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: nsqgw.v1.json\r\n\r\n"
        + bytes([0x81, 0x80 | len(command), 0, 0, 0, 0])
        + command
    )
    await asyncio.wait_for(reader.readuntil(b'{"id":1,"ok":"ping"}'), 10)
    writer.close()
    await writer.wait_closed()


async def test_before_the_start_the_application_says_so(nsqd) -> None:
    gateway = PushGateway(PushConfig(topics=("events",), listen="", nsqd_tcp_addresses=(nsqd.tcp_address,)))
    application = Application(gateway)
    assert (await application.fetch("/live/topics")).code == 503
    await application.close()
