"""What the log and answers tell who is new: why a request was refused, and what a reload does not do."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gateways.push.config import PushConfig
from gateways.push.processes import PushProcesses
from gateways.push.routing import Route

GET = b"GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n"


@pytest.mark.parametrize(
    ("path", "headers", "line"),
    [
        (b"/stream/evnts", b"", "127.0.0.1 gets 404: topic 'evnts' is not streamed here"),
        (
            b"/stream/events",
            b"Origin: https://example.org\r\n",
            "127.0.0.1 gets 403: origin https://example.org is not allowed here: name it by --allow-origin",
        ),
    ],
)
async def test_a_refusal_is_logged(serve, dial, caplog, path: bytes, headers: bytes, line: str) -> None:
    caplog.set_level(logging.INFO)
    peer = await dial(await serve())
    peer.send(GET % (path + b"?token=secret", headers))
    await peer.read_all()
    assert line in caplog.messages
    assert "secret" not in caplog.text


async def test_the_topic_of_a_route_is_known_and_says_where_its_messages_are(serve, dial) -> None:
    peer = await dial(await serve(routes=(Route("events", "events.{id}"),)))
    peer.send(GET % (b"/stream/events", b""))
    answer = await peer.read_all()
    assert b"404" in answer
    assert b"topic 'events' has routes: follow the channels they make of its messages" in answer


async def test_processes_say_that_another_port_takes_a_new_start(caplog) -> None:
    config = PushConfig(topics=("events",), listen="127.0.0.1:8080", nsqd_tcp_addresses=("127.0.0.1:4150",))
    processes = PushProcesses(config, 2, (), lambda: replace(config, listen="127.0.0.1:8081"))
    await processes.reload()
    assert caplog.messages == ["the port for browsers, 127.0.0.1:8081, is opened at the next start"]
