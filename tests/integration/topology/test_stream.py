"""nsqlookupd's own stream: snapshot first, numbered events, going on where one was, slow readers cut."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harness.embedded import EmbeddedNsqd, EmbeddedNsqlookupd
from harness.http import get, post
from harness.polling import eventually
from harness.wire import LookupWire
from nsqgw import Consumer
from nsqgw.http.event_stream import EventStreamParser, ServerSentEvent
from nsqgw.topology.events import Snapshot, decode


@pytest.fixture
def lookupd() -> Iterator[EmbeddedNsqlookupd]:
    daemon = EmbeddedNsqlookupd()
    daemon.start()
    yield daemon
    daemon.close()


class Reader:
    """An event stream as a plain HTTP client sees it."""

    def __init__(self, address: str, last_event_id: str | None = None, **headers: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=15)
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        self._connection.request("GET", "/topology/stream", headers=headers)
        self.response = self._connection.getresponse()
        self._parser = EventStreamParser(2**20)
        self._events: list[ServerSentEvent] = []

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next event: its id and its JSON."""
        while not self._events:
            chunk = self.response.read1(65536)
            assert chunk, "the stream ended"
            self._events += self._parser.feed(chunk)
        event = self._events.pop(0)
        return event.id, json.loads(event.data)

    def close(self) -> None:
        self.response.close()
        self._connection.close()


@contextmanager
def reading(lookupd: EmbeddedNsqlookupd, *arguments: Any, **headers: str) -> Iterator[Reader]:
    with closing(Reader(lookupd.http_address, *arguments, **headers)) as reader:
        yield reader


def topic_created(lookupd: EmbeddedNsqlookupd, name: str) -> None:
    assert post(lookupd.http_address, f"/topic/create?topic={name}").status == 200


def test_a_snapshot_comes_first_and_then_what_happens(lookupd: EmbeddedNsqlookupd) -> None:
    topic_created(lookupd, "before")
    with reading(lookupd) as reader:
        assert reader.response.headers["Content-Type"] == "text/event-stream"
        place, first = reader.next()
        assert (first["event"], list(first["topics"]), first["schema"]) == ("snapshot", ["before"], 1)
        assert place == f"{first['epoch']}-{first['sequence']}"
        with LookupWire(lookupd.tcp_address) as wire:
            wire.identify(broadcast_address="n", tcp_port=4150, http_port=4151)
            assert wire.ask("REGISTER t c") == b"OK"
            told = [reader.next()[1] for _ in range(4)]
        told.append(reader.next()[1])
    assert [event["event"] for event in told] == [
        "node_up",
        "topic_created",
        "channel_created",
        "registered",
        "node_down",
    ]
    assert [event["sequence"] for event in told] == list(range(first["sequence"] + 1, first["sequence"] + 6))
    assert told[0]["details"]["tcp_port"] == 4150
    assert {event["node"] for event in told if "node" in event} == {"n:4150"}


def test_a_reader_goes_on_where_it_was(lookupd: EmbeddedNsqlookupd) -> None:
    with reading(lookupd) as reader:
        place, _ = reader.next()
    for name in ("a", "b"):
        topic_created(lookupd, name)
    with reading(lookupd, place) as reader:
        assert [reader.next()[1]["topic"] for _ in range(2)] == ["a", "b"]
    with reading(lookupd, "another-7") as reader:
        assert reader.next()[1]["event"] == "snapshot"
    assert sorted(get(lookupd.http_address, "/topology").json["topics"]) == ["a", "b"]


def test_tombstones_are_told_and_their_end(lookupd: EmbeddedNsqlookupd) -> None:
    lookupd.close()
    with closing(EmbeddedNsqlookupd(tombstone_lifetime=0.1)) as short:
        short.start()
        with LookupWire(short.tcp_address) as wire, reading(short) as reader:
            wire.identify(broadcast_address="n", tcp_port=4150, http_port=4151)
            wire.ask("REGISTER t")
            post(short.http_address, "/topic/tombstone?topic=t&node=n:4151")
            names = [reader.next()[1]["event"] for _ in range(6)]
    assert names[-2:] == ["tombstoned", "tombstone_ended"]


def test_a_silent_node_is_down_until_it_pings() -> None:
    with closing(EmbeddedNsqlookupd(inactive_producer_timeout=0.1)) as short:
        short.start()
        with LookupWire(short.tcp_address) as wire, reading(short) as reader:
            reader.next()
            wire.identify(broadcast_address="n", tcp_port=4150, http_port=4151)
            names = [reader.next()[1]["event"] for _ in range(2)]
            assert wire.ask("PING") == b"OK"
            names.append(reader.next()[1]["event"])
    assert names == ["node_up", "node_down", "node_up"]


def test_websocket_readers_get_the_same(lookupd: EmbeddedNsqlookupd) -> None:
    url = f"ws://{lookupd.http_address}/topology/stream"
    with websockets.sync.client.connect(url, close_timeout=1) as client:
        first = json.loads(client.recv(10))
        assert first["event"] == "snapshot"
        topic_created(lookupd, "t")
        assert json.loads(client.recv(10))["topic"] == "t"
        client.ping().wait(10)
        place = f"{first['epoch']}-{first['sequence']}"
    with websockets.sync.client.connect(f"{url}?last_event_id={place}", close_timeout=1) as client:
        assert json.loads(client.recv(10))["event"] == "topic_created"
        lookupd.stop()
        with pytest.raises(ConnectionClosed) as ended:
            client.recv(10)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1012


def test_pages_of_others_may_not_read(lookupd: EmbeddedNsqlookupd) -> None:
    with reading(lookupd, Origin="https://elsewhere.example") as reader:
        assert reader.response.status == 403
    with pytest.raises(InvalidStatus):
        websockets.sync.client.connect(
            f"ws://{lookupd.http_address}/topology/stream", origin="https://elsewhere.example"
        )
    with reading(lookupd, Upgrade="websocket", Connection="Upgrade") as reader:
        assert reader.response.status == 400
    with reading(lookupd, Origin=f"http://{lookupd.http_address}") as reader:
        assert reader.next()[1]["event"] == "snapshot"


def test_a_reader_that_does_not_read_is_cut_and_holds_nobody_up(
    lookupd: EmbeddedNsqlookupd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsqgw.service.topology_stream.WRITE_TIMEOUT", 0.3)
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = lookupd.http_address.split(":")
    with closing(lazy), reading(lookupd) as reader:
        reader.next()
        lazy.connect((host, int(port)))
        lazy.sendall(b"GET /topology/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for number in range(100):
            with LookupWire(lookupd.tcp_address) as wire:
                wire.identify(
                    broadcast_address="n", tcp_port=4150, http_port=1, hostname=f"{number:x<200000}"
                )
                while reader.next()[1]["event"] != "node_up":
                    pass
            if _cut(lookupd):
                break
        eventually(lambda: _cut(lookupd) == 1)


def _cut(lookupd: EmbeddedNsqlookupd) -> int:
    assert lookupd._life is not None
    return lookupd._life.daemon.topology.streams.cut


async def test_events_go_to_a_topic_too() -> None:
    """On whichever nsqd registers first, snapshot first."""
    with closing(EmbeddedNsqlookupd(topology_topic="changes")) as lookupd:
        lookupd.start()
        with closing(EmbeddedNsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))) as nsqd:
            nsqd.start()
            events = []
            async with Consumer("changes", "ch", nsqd_tcp_addresses=[nsqd.tcp_address]) as consumer:
                async for message in consumer:
                    events.append(decode(message.body))
                    message.finish()
                    if events[-1].what.name == "registered":
                        break
    assert isinstance(events[0].what, Snapshot)
    numbers = [event.sequence for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
