"""TLS from the answer to IDENTIFY to the last FIN, against a server that decides what shares a packet."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.certificates import Certificates, make_certificates
from harness.polling import eventually_async
from harness.raw_server import raw_server
from harness.scripted import error, message, response
from nsqgw.config import ConnectionConfig, TlsConfig
from nsqgw.connection.connection import Connection, connect
from nsqgw.errors import ConfigError, ConnectionClosed, ConnectionFailed
from nsqgw.message import Message

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
FEATURES = {"max_rdy_count": 2500, "version": "1.3.0", "max_msg_timeout": 900_000, "msg_timeout": 60_000}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(Path(tmp_path_factory.mktemp("tls")))


class Server:
    """nsqd's end: plain up to the answer to IDENTIFY, then TLS whose bytes are written when it says so."""

    def __init__(self, certificates: Certificates) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()
        self.ready = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.behind_answer = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = certificates.serving.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        await reader.readexactly(4)
        await reader.readline()
        await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        features = {**FEATURES, "tls_v1": True}
        writer.write(response(json.dumps(features).encode()) + self.behind_answer)
        while not self._handshake_done():
            writer.write(self._outgoing.read())
            self._incoming.write(await self._some(reader))
        self.send(response(b"OK"))  # with what ends the handshake, in one write
        self.ready.set()
        try:
            while data := await self._some(reader):
                self._incoming.write(data)
                self._take()
        finally:
            self.ended.set()

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self.writer.write(self._outgoing.read())

    def send_end(self, data: bytes) -> None:
        """`data`, and behind it in the same write that nothing follows."""
        self._tls.write(data)
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        self.writer.write(self._outgoing.read())

    async def _some(self, reader: asyncio.StreamReader) -> bytes:
        await self.reading.wait()
        return await reader.read(65536)

    def _handshake_done(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _take(self) -> None:
        try:
            while data := self._tls.read(65536):
                self.received += data
        except ssl.SSLWantReadError:
            pass


@asynccontextmanager
async def connected(
    server: Server, certificates: Certificates, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[tuple[Connection, asyncio.Task[None]]]:
    context = ssl.create_default_context(cafile=certificates.ca)
    context.maximum_version = version
    async with raw_server(server.serve) as raw:
        connection = await connect(raw.address, ConnectionConfig(tls=context, connect_timeout=5.0))
        running = asyncio.ensure_future(connection.run())
        try:
            yield connection, running
        finally:
            connection.close()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_comes_with_the_end_of_the_handshake_stops_nothing(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    server = Server(certificates)
    async with connected(server, certificates, version) as (connection, _):
        answer = connection.request(b"PUB topic\n\0\0\0\1x")
        await eventually_async(lambda: b"PUB" in server.received, what="the command")
        server.send(response(b"OK"))
        await asyncio.wait_for(answer, 5)


@pytest.mark.parametrize("writes", [1, 2])
async def test_all_that_was_sent_arrives_before_the_end_though_it_is_read_late(
    certificates: Certificates, writes: int
) -> None:
    """Whether the number of writes is even or odd, and though the kernel holds only a part of them."""
    server = Server(certificates)
    async with connected(server, certificates) as (connection, running):
        await server.ready.wait()
        server.reading.clear()
        for _ in range(writes):
            connection.send(bytes(8 << 20))
            await asyncio.sleep(0)
        hanging_up = asyncio.ensure_future(connection.hang_up())
        await asyncio.sleep(0.05)
        server.reading.set()
        await asyncio.wait_for(server.ended.wait(), 10)
        assert len(server.received) == writes * (8 << 20)
        await hanging_up
        with pytest.raises(ConnectionClosed):
            await running


async def test_hanging_up_waits_for_nothing_when_all_is_sent(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the server's end ends it: its deadline is so far away that the test would fail."""
    monkeypatch.setattr("nsqgw.connection.connection._CLOSE_TIMEOUT", 60.0)
    for writes in range(3):
        server = Server(certificates)
        async with connected(server, certificates) as (connection, _):
            for _ in range(writes):
                connection.send(b"NOP\n")
                await asyncio.sleep(0)
            await asyncio.wait_for(connection.hang_up(), 10)
            assert server.received == b"NOP\n" * writes


async def test_plain_bytes_behind_the_answer_to_identify_are_no_frames(certificates: Certificates) -> None:
    """Who sits on the way, and has no certificate, cannot slip in a message."""
    server = Server(certificates)
    server.behind_answer = response(b"OK") + message(1, b"forged")
    with pytest.raises(ConnectionFailed, match="TLS handshake failed"):
        async with connected(server, certificates):
            pass


async def test_messages_before_the_end_of_tls_are_handed_on(certificates: Certificates) -> None:
    server = Server(certificates)
    async with connected(server, certificates) as (connection, running):
        received: list[Message] = []
        connection.receive = received.extend
        server.send_end(message(1) + message(2))
        with pytest.raises(ConnectionClosed, match="nsqd closed the connection"):
            await asyncio.wait_for(running, 5)
        assert len(received) == 2


async def test_bytes_that_are_no_tls_end_the_connection_with_the_reason(certificates: Certificates) -> None:
    server = Server(certificates)
    async with connected(server, certificates) as (_, running):
        server.writer.write(error("E_INVALID in the clear"))
        with pytest.raises(ConnectionClosed, match=r"(?i)version"):
            await asyncio.wait_for(running, 5)


@pytest.mark.parametrize("name", ["", ".example", "a..b"])
async def test_a_server_name_that_is_none(certificates: Certificates, name: str) -> None:
    server = Server(certificates)
    tls = TlsConfig(ca_file=certificates.ca, server_name=name)
    async with raw_server(server.serve) as raw:
        with pytest.raises(ConfigError, match=f"server_name = {name!r}"):
            await connect(raw.address, ConnectionConfig(tls=tls))
