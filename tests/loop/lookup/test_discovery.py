"""Discovery against nsqlookupds that answer, lie, hang, break off and send far too much."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from harness.polling import eventually_async
from harness.raw_server import Script, hang, raw_server
from harness.web import serving
from nsqgw.errors import DiscoveryError, NSQError
from nsqgw.lookup.client import Question, all_nsqds, all_topics, who_has
from nsqgw.lookup.discovery import Discovery

ASYNC_TIMEOUT = 20.0


class FakeLookupd:
    """Answers /lookup as it is told to and counts the questions."""

    def __init__(self, *hosts: str) -> None:
        self.document: Any = {"channels": [], "producers": []}
        self.set_hosts(*hosts)
        self.status = 200
        self.headers = {"X-NSQ-Content-Type": "nsq; version=1.0"}
        self.questions: list[str] = []
        self.address = ""

    def set_hosts(self, *hosts: str) -> None:
        self.document["producers"] = [{"broadcast_address": host, "tcp_port": 4150} for host in hosts]


class _Lookup(RequestHandler):
    def initialize(self, fake: FakeLookupd) -> None:
        self.fake = fake

    def get(self) -> None:
        self.fake.questions.append(self.request.uri or "")
        self.set_status(self.fake.status)
        for name, value in self.fake.headers.items():
            self.set_header(name, value)
        self.finish(json.dumps(self.fake.document))


@asynccontextmanager
async def running(fake: FakeLookupd) -> AsyncIterator[FakeLookupd]:
    async with serving(("/.*", _Lookup, {"fake": fake})) as fake.address:
        yield fake


@asynccontextmanager
async def broken_lookupd(script: Script) -> AsyncIterator[str]:
    """Runs `script` for each connection after its request was read; gives the address."""

    async def after_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await script(reader, writer)

    async with raw_server(after_the_request) as server:
        yield server.address


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One byte now and then: alive all the time, and never done."""
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def too_much(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    for _ in range(10):
        writer.write(b"x" * 1_000_000)
        await writer.drain()


async def endless_chunks(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def endless_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\x00\x00\x06\x00\x00\x00\x00OK\r\n\r\n")
    await writer.drain()


async def cut_short(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"producers"')
    await writer.drain()


async def silent_end(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


class Told:
    """What a Discovery called back."""

    def __init__(self, question: Question | None = None) -> None:
        self.question = question or who_has("events")
        self.found: list[frozenset[str]] = []
        self.failed: list[tuple[str, NSQError]] = []

    def discovery(self, *addresses: str, **options: Any) -> Discovery:
        options = {"poll_interval": 60.0, "poll_jitter": 0.0, "timeout": 0.5} | options
        return Discovery(self.question, addresses, on_found=self.found.append, on_failed=self.fail, **options)

    def fail(self, address: str, error: NSQError) -> None:
        self.failed.append((address, error))


async def test_the_union_of_all_is_told_at_once() -> None:
    told = Told()
    async with running(FakeLookupd("a", "b")) as one, running(FakeLookupd("b", "c")) as two:
        discovery = told.discovery(one.address, f"http://{two.address}/lookup?dc=1")
        discovery.start()
        await eventually_async(lambda: told.found and told.found[-1] == {"a:4150", "b:4150", "c:4150"})
        assert one.questions == ["/lookup?topic=events"]
        assert two.questions == ["/lookup?dc=1&topic=events"]
        await discovery.stop()
    assert told.failed == []


@pytest.mark.parametrize("suffix", ["", "/lookup"])
@pytest.mark.parametrize(
    ("question", "path", "found"),
    [(all_nsqds(), "/nodes", {"a:4150", "b:4150"}), (all_topics(), "/topics", {"events", "logs"})],
)
async def test_all_nsqds_and_all_topics_are_asked_for_alike(
    question: Question, path: str, found: set[str], suffix: str
) -> None:
    told = Told(question)
    async with running(FakeLookupd("a", "b", "")) as lookupd:
        lookupd.document["topics"] = ["events", "no topic!", "logs"]
        discovery = told.discovery(f"http://{lookupd.address}{suffix}")
        discovery.start()
        await eventually_async(lambda: told.found == [found])
        await discovery.stop()
    assert lookupd.questions == [path]
    assert f"1 senseless entries of {path}" in str(told.failed[0][1])


async def test_c_cli_23_and_24_new_ones_are_found_and_vanished_ones_only_left_out() -> None:
    told = Told()
    async with running(FakeLookupd("a")) as lookupd:
        discovery = told.discovery(lookupd.address, poll_interval=0.02)
        discovery.start()
        await eventually_async(lambda: {"a:4150"} in told.found)
        lookupd.set_hosts("b")
        await eventually_async(lambda: {"b:4150"} in told.found)
        await discovery.stop()


async def test_an_unknown_topic_is_told_as_nothing_found() -> None:
    told = Told()
    async with running(FakeLookupd()) as lookupd:
        lookupd.status, lookupd.document = 404, {"message": "TOPIC_NOT_FOUND"}
        discovery = told.discovery(lookupd.address)
        discovery.start()
        await eventually_async(lambda: told.found == [frozenset()])
        await discovery.stop()
    assert told.failed == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (hang, "no answer within 0.5 s"),
        (drip, "no answer within 0.5 s"),
        (too_much, "larger than 4194304 bytes"),
        (endless_chunks, "larger than 4194304 bytes"),
        (endless_body, "larger than 4194304 bytes"),
        (garbage, "no HTTP"),
        (cut_short, "cut short"),
        (silent_end, "closed by the server"),
    ],
)
async def test_a_broken_one_stops_neither_the_others_nor_the_next_poll(script: Script, reason: str) -> None:
    told = Told()
    async with broken_lookupd(script) as broken, running(FakeLookupd("a")) as good:
        # The sizes take a while to send on a busy machine: only the silent ones may run into the time-out.
        timeout = 0.5 if "0.5 s" in reason else 15.0
        discovery = told.discovery(broken, good.address, timeout=timeout, poll_interval=0.05)
        discovery.start()
        await eventually_async(lambda: len(told.failed) >= 2 and len(good.questions) >= 2)
        await discovery.stop()
    assert set(told.found) == {frozenset({"a:4150"})}
    for address, error in told.failed:
        assert address == broken
        assert isinstance(error, DiscoveryError)
        assert reason in str(error) or "connection lost" in str(error), error


async def test_a_hanging_one_delays_nobody() -> None:
    told = Told()
    async with broken_lookupd(hang) as hanging, running(FakeLookupd("a")) as good:
        discovery = told.discovery(hanging, good.address, timeout=60.0)
        discovery.start()
        await eventually_async(lambda: told.found == [{"a:4150"}])
        await discovery.stop()
    assert told.failed == []


@pytest.mark.parametrize("status", [500, 301])
async def test_an_error_answer_is_told_with_its_status(status: int) -> None:
    told = Told()
    async with running(FakeLookupd("a")) as lookupd:
        lookupd.status = status
        discovery = told.discovery(lookupd.address)
        discovery.start()
        await eventually_async(lambda: told.failed)
        await discovery.stop()
    assert str(status) in str(told.failed[0][1])
    assert told.found == []


async def test_another_port_than_nsqlookupds_is_guessed(nsqd, nsqlookupd) -> None:
    told = Told()
    wrong = (nsqd.http_address, nsqd.tcp_address, nsqlookupd.tcp_address)
    discovery = told.discovery(*wrong)
    discovery.start()
    await eventually_async(lambda: len(told.failed) >= len(wrong))
    await discovery.stop()
    assert {address for address, _ in told.failed} == set(wrong)
    for _, error in told.failed:
        assert str(error).endswith("; is it nsqlookupd's HTTP port (4161 by default)?")


async def test_liars_are_told_of_and_the_sensible_part_is_used() -> None:
    told = Told()
    async with running(FakeLookupd("a", "/tmp/socket", "")) as lookupd:
        discovery = told.discovery(lookupd.address)
        discovery.start()
        await eventually_async(lambda: told.found == [{"a:4150"}])
        await discovery.stop()
    assert "2 senseless entries of /lookup" in str(told.failed[0][1])
    assert list(discovery.problems) == [lookupd.address]


async def test_nobody_listens_and_names_that_cannot_be() -> None:
    told = Told()
    sockets = bind_sockets(0, "127.0.0.1")
    refused = "{}:{}".format(*sockets[0].getsockname())
    sockets[0].close()
    impossible = "a" * 64 + "..invalid:4161"
    discovery = told.discovery(refused, impossible, timeout=10.0)
    discovery.start()
    await eventually_async(lambda: {address for address, _ in told.failed} >= {refused, impossible})
    await discovery.stop()


async def test_one_that_appears_later_is_found_long_before_the_interval_is_over() -> None:
    told = Told()
    fake = FakeLookupd("a")
    async with running(fake):
        address = fake.address
    discovery = told.discovery(address)
    discovery.start()
    await eventually_async(lambda: told.failed)
    assert "Connection refused" in discovery.problems[address]
    async with AsyncExitStack() as stack:
        server = HTTPServer(Application([("/lookup", _Lookup, {"fake": fake})], log_function=lambda _: None))
        server.add_sockets(bind_sockets(int(address.rpartition(":")[2]), "127.0.0.1"))
        stack.push_async_callback(server.close_all_connections)
        stack.callback(server.stop)
        await eventually_async(lambda: told.found == [{"a:4150"}])
        assert discovery.problems == {}, "it has recovered"
        await discovery.stop()


async def test_pokes_ask_again_soon_but_not_each() -> None:
    told = Told()
    async with running(FakeLookupd("a")) as lookupd:
        discovery = told.discovery(lookupd.address)
        discovery.start()
        await eventually_async(lambda: told.found)
        started = time.monotonic()
        for _ in range(100):
            discovery.poke()
        await eventually_async(lambda: len(lookupd.questions) == 2)
        await discovery.stop()
        assert time.monotonic() - started < ASYNC_TIMEOUT
        assert len(lookupd.questions) == 2


async def test_stop_does_not_wait_for_one_that_hangs_and_calls_nothing_back() -> None:
    told = Told()
    asked = asyncio.Event()

    async def note_and_hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with broken_lookupd(note_and_hang) as hanging:
        discovery = told.discovery(hanging, timeout=300.0)
        discovery.start()
        await asyncio.wait_for(asked.wait(), ASYNC_TIMEOUT)
        await asyncio.wait_for(discovery.stop(), ASYNC_TIMEOUT)
        await discovery.stop()
    assert told.found == []
    assert told.failed == []


async def test_a_callback_that_raises_does_not_end_discovery(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[frozenset[str]] = []

    def raising(addresses: frozenset[str]) -> None:
        calls.append(addresses)
        raise RuntimeError("a mistake")

    async with running(FakeLookupd("a")) as lookupd:
        discovery = Discovery(
            who_has("events"),
            [lookupd.address],
            poll_interval=0.02,
            poll_jitter=0,
            on_found=raising,
            on_failed=lambda *_: None,
        )
        discovery.start()
        await eventually_async(lambda: len(calls) >= 2)
        await discovery.stop()
    assert "a mistake" in caplog.text
