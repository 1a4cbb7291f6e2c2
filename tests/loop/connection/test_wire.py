"""The wire: read by whoever asks in the handshake, handed over after it, and closed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness.polling import eventually_async
from nsqgw.connection.wire import READ_SIZE, Wire, WireClosed, open_wire


class Peer:
    """The other end: what it has read, and its writer."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while data := await reader.read(65536):
                self.received += data
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()

    def send(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def stop_reading(self) -> None:
        self.transport.pause_reading()

    def read_on(self) -> None:
        self.transport.resume_reading()

    @property
    def transport(self) -> asyncio.Transport:
        assert self.writer is not None
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        return transport


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Wire, Peer]]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    wire = await open_wire("{}:{}".format(*server.sockets[0].getsockname()), 5.0)
    await eventually_async(lambda: peer.writer is not None, what="the server has accepted")
    yield wire, peer
    peer.read_on()
    wire.close()
    await wire.wait_lost()
    await asyncio.wait_for(peer.ended.wait(), 5)
    server.close()
    await server.wait_closed()


async def test_reads_are_awaited_then_handed_over(pair: tuple[Wire, Peer]) -> None:
    wire, peer = pair
    peer.send(b"first")
    assert await wire.read() == b"first"
    peer.send(b"second")
    taken: list[bytes] = []
    wire.pump(taken.append, lambda: None)
    await eventually_async(lambda: b"".join(taken) == b"second", what="the second piece")


async def test_nobody_makes_a_wire_hold_more_than_a_read(pair: tuple[Wire, Peer]) -> None:
    """Who floods a client that is busy with the handshake is left waiting in the kernel."""
    wire, peer = pair
    everything = bytes(64 * READ_SIZE)
    peer.send(everything)
    received = len(await wire.read())
    for _ in range(50):
        await asyncio.sleep(0)
        assert len(wire._held) <= READ_SIZE
    taken: list[int] = []
    wire.pump(lambda data: taken.append(len(data)), lambda: None)
    await eventually_async(lambda: received + sum(taken) == len(everything), what="all of it")


async def test_the_end_wakes_who_reads(pair: tuple[Wire, Peer]) -> None:
    wire, peer = pair
    reading = asyncio.ensure_future(wire.read())
    await asyncio.sleep(0)
    assert peer.writer is not None
    peer.writer.close()
    with pytest.raises(WireClosed):
        await reading
    assert wire.error is None


async def test_a_reset_is_told_with_its_cause(pair: tuple[Wire, Peer]) -> None:
    wire, peer = pair
    lost = asyncio.Event()
    wire.pump(lambda data: None, lost.set)
    assert peer.writer is not None
    peer.writer.transport.abort()
    await asyncio.wait_for(lost.wait(), 5)
    assert wire.closed


async def test_an_end_before_the_pump_is_told_at_once(pair: tuple[Wire, Peer]) -> None:
    wire, _ = pair
    wire.close()
    await wire.wait_lost()
    lost: list[bool] = []
    wire.pump(lambda data: None, lambda: lost.append(True))
    assert lost == [True]


async def test_closing_wakes_who_waits_for_writes(pair: tuple[Wire, Peer]) -> None:
    wire, peer = pair
    peer.stop_reading()
    wire.write(bytes(64 << 20))
    waiting = asyncio.ensure_future(wire.wait_written())
    await asyncio.sleep(0)
    assert not waiting.done()
    wire.close()
    await asyncio.wait_for(waiting, 5)


async def test_all_is_written_before_the_peer_hears_the_end(pair: tuple[Wire, Peer]) -> None:
    wire, peer = pair
    wire.pump(lambda data: None, lambda: None)
    data = bytes(range(256)) * (16 << 10)
    wire.write(data)
    await wire.wait_written()
    wire.shut_down()
    await asyncio.wait_for(peer.ended.wait(), 5)
    assert bytes(peer.received) == data
    await asyncio.wait_for(wire.wait_lost(), 5)


async def test_paused_it_hands_nothing_over(pair: tuple[Wire, Peer]) -> None:
    wire, peer = pair
    taken: list[bytes] = []
    wire.pump(taken.append, lambda: None)
    wire.pause()
    peer.send(b"x")
    assert peer.writer is not None
    await peer.writer.drain()
    for _ in range(20):
        await asyncio.sleep(0)
    assert taken == []
    wire.resume()
    await eventually_async(lambda: taken == [b"x"], what="what came meanwhile")


async def test_an_end_is_told_though_what_was_sent_is_not_taken(pair: tuple[Wire, Peer]) -> None:
    """asyncio would wait until it is: on a half-closed connection perhaps for ever."""
    wire, peer = pair
    lost = asyncio.Event()
    wire.pump(lambda data: None, lost.set)
    peer.stop_reading()
    wire.write(bytes(64 << 20))
    assert peer.writer is not None
    peer.writer.write_eof()
    await asyncio.wait_for(lost.wait(), 5)
    peer.read_on()
    assert wire.closed
    assert wire.error is None


async def test_what_is_written_after_the_end_was_told_takes_nothing_with_it(pair: tuple[Wire, Peer]) -> None:
    """A heartbeat answered too late is no reason for a reset before the peer has read the rest."""
    wire, peer = pair
    wire.pump(lambda data: None, lambda: None)
    peer.stop_reading()
    wire.write(b"the last answers")
    await wire.wait_written()
    wire.shut_down()
    peer.send(b"unread")
    wire.write(b"too late")
    for _ in range(20):
        await asyncio.sleep(0)
    peer.read_on()
    await asyncio.wait_for(wire.wait_lost(), 5)
    assert bytes(peer.received) == b"the last answers"
    assert wire.error is None


async def test_what_came_before_the_end_is_handed_over(pair: tuple[Wire, Peer]) -> None:
    wire, _ = pair
    wire._hold(b"held")
    wire.close()
    taken: list[bytes] = []
    wire.pump(taken.append, lambda: taken.append(b"lost"))
    assert taken == [b"held", b"lost"]


async def test_a_transport_need_not_be_one_by_class(pair: tuple[Wire, Peer]) -> None:
    """uvloop's are none."""

    class Foreign:
        def __init__(self, own: asyncio.Transport) -> None:
            self._own = own

        def __getattr__(self, name: str) -> Any:
            return getattr(self._own, name)

    wire, peer = pair
    other = Wire()
    other.connection_made(Foreign(wire._transport))  # type: ignore[arg-type]
    other.write(b"through it")
    await eventually_async(lambda: peer.received == b"through it", what="what was written")
