"""nsqd's side of the directory: one connection to each nsqlookupd, kept up to date (nsqlookupd section 4).

Whatever was created or deleted while a connection was down needs no memory: a new connection registers all
that there is then. What an nsqlookupd does, or fails to do, never holds up the broker.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tornado.iostream import IOStream, StreamClosedError

from compat.version import NSQ_VERSION
from nsqgw.errors import ConnectionClosed, DeadlineExceeded, NSQError
from nsqgw.lookup.wake import Wake
from nsqgw.protocol.lookup import (
    MAGIC,
    IdentifyNode,
    LookupCommand,
    NodeInfo,
    Ping,
    Register,
    ResponseReader,
    Unregister,
    parse_directory_info,
    response_error,
)
from nsqgw.protocol.names import is_valid_name
from nsqgw.service.settings import Address

if TYPE_CHECKING:
    from compat.nsqd.broker import Nsqd

logger = logging.getLogger(__name__)

PING_INTERVAL = 15.0
"""Seconds between two PINGs, and between two tries to connect."""
OPERATION_TIMEOUT = 1.0
"""For connecting, and for each command with its response, in seconds."""
MAX_PENDING = 10_000
"""Commands that may wait for an nsqlookupd; one further behind is connected to anew."""

_READ_SIZE = 65536


class LookupPeers:
    """All nsqlookupds of one nsqd; the calls that report a change return at once."""

    def __init__(self, nsqd: Nsqd, addresses: Iterable[str], ping_interval: float = PING_INTERVAL) -> None:
        self._nsqd = nsqd
        self._ping_interval = ping_interval
        self._wanted = tuple(dict.fromkeys(addresses))
        self._peers: dict[str, _Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The `host:port` of the nsqlookupds registered with."""
        return self._wanted

    async def start(self) -> None:
        """Begin to connect; nobody waits for it."""
        self._running = True
        self.set_addresses(self._wanted)

    async def stop(self) -> None:
        """Disconnect from all; nsqlookupd takes that for leaving."""
        self._running = False
        for peer in self._peers.values():
            peer.task.cancel()
        self._peers.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Register with these nsqlookupds from now on, and with no others."""
        self._wanted = tuple(dict.fromkeys(addresses))
        if not self._running:
            return
        for address in self._peers.keys() - set(self._wanted):
            logger.info("LOOKUP(%s): removing peer", address)
            self._peers.pop(address).task.cancel()
        for address in self._wanted:
            if address not in self._peers:
                logger.info("LOOKUP(%s): adding peer", address)
                peer = self._peers[address] = _Peer(self._nsqd, address, self._ping_interval)
                self._tasks.add(peer.task)
                peer.task.add_done_callback(self._tasks.discard)

    def topic_created(self, topic: str) -> None:
        """The topic exists from now on."""
        self._tell(Register(topic))

    def topic_deleted(self, topic: str) -> None:
        """The topic is gone; `channel_deleted` was called for each of its channels before."""
        self._tell(Unregister(topic))

    def channel_created(self, topic: str, channel: str) -> None:
        """The channel exists from now on."""
        self._tell(Register(topic, channel))

    def channel_deleted(self, topic: str, channel: str) -> None:
        """The channel is gone."""
        self._tell(Unregister(topic, channel))

    async def channels_of(self, topic: str) -> frozenset[str]:
        """The channels any nsqlookupd knows for the topic (nsqd-tcp section 14).

        Takes no longer than `http_client_request_timeout` for the nsqlookupds that are connected, and the
        time of a first try to connect. Failures are logged and no more.
        """
        for peer in list(self._peers.values()):
            await peer.tried.wait()
        known = [peer.http_address for peer in self._peers.values() if peer.http_address]
        if not known:
            logger.error("no available nsqlookupd to query for channels to pre-create for topic %s", topic)
        answers = await asyncio.gather(*(self._channels_at(address, topic) for address in known))
        return frozenset().union(*answers)

    async def _channels_at(self, address: str, topic: str) -> frozenset[str]:
        from nsqgw.http import LookupdHttpAsync  # not before there is an nsqlookupd: nsqd starts faster

        timeout = self._nsqd.options.http_client_request_timeout
        try:
            async with LookupdHttpAsync(address, timeout=timeout) as lookupd:
                return frozenset(filter(is_valid_name, await lookupd.channels(topic)))
        except NSQError as error:
            text = "failed to query nsqlookupd for channels to pre-create for topic %s - %s"
            logger.warning(text, topic, error)
            return frozenset()

    def _tell(self, command: LookupCommand) -> None:
        for peer in self._peers.values():
            peer.tell(command)


class _Peer:
    """One nsqlookupd: connects, registers everything, passes on changes, pings; again and again."""

    def __init__(self, nsqd: Nsqd, address: str, ping_interval: float) -> None:
        self._nsqd = nsqd
        self._address = address
        self._ping_interval = ping_interval
        self._connected = False
        self._pending: deque[LookupCommand] = deque()
        self._responses = ResponseReader()
        self._wake = Wake()
        self.http_address = ""
        """Where this nsqlookupd answers questions; empty until it said so."""
        self.tried = asyncio.Event()
        """Set when the first try to connect has succeeded or failed."""
        self.task = asyncio.get_running_loop().create_task(self._run())

    def tell(self, command: LookupCommand) -> None:
        """Send a command when its turn comes; without a connection it makes for a try to connect."""
        if self._connected:
            self._pending.append(command)
        self._wake.set()

    async def _run(self) -> None:
        try:
            while True:
                lasted = await self._converse()
                self.tried.set()
                # A connection that had lasted is replaced at once; who refuses is not asked in a hurry.
                if lasted < OPERATION_TIMEOUT:
                    await self._pause()
        finally:
            self.tried.set()

    async def _pause(self) -> None:
        """Until the next tick or the next change, but never more than one try a second."""
        shortest = min(OPERATION_TIMEOUT, self._ping_interval)
        await asyncio.sleep(shortest)
        self._wake = Wake()
        await self._wake.sleep(self._ping_interval - shortest)

    async def _converse(self) -> float:
        """One connection from its beginning to its end; how long it was of use, in seconds."""
        from nsqgw.connection.stream import open_stream  # likewise

        clock = asyncio.get_running_loop().time
        used_from: float | None = None
        logger.info("LOOKUP connecting to %s", self._address)
        stream: IOStream | None = None
        try:
            stream = await open_stream(self._address, OPERATION_TIMEOUT)
            stream.set_close_callback(self._wake.set)
            await self._introduce(stream)
            used_from = clock()
            await self._keep_up_to_date(stream)
        except NSQError as error:
            logger.error("LOOKUPD(%s): %s", self._address, error)
        finally:
            if stream is not None:
                stream.close()
            self._connected = False
            self._pending.clear()
            self.http_address = ""
        return 0.0 if used_from is None else clock() - used_from

    async def _introduce(self, stream: IOStream) -> None:
        self._responses = ResponseReader()
        response = await self._ask(stream, IdentifyNode(_node_info(self._nsqd)), prefix=MAGIC)
        info = parse_directory_info(response)
        logger.info("LOOKUPD(%s): peer info %s", self._address, info)
        if info.broadcast_address:
            self.http_address = str(Address(info.broadcast_address, info.http_port))
        else:
            logger.error("LOOKUPD(%s): no broadcast address", self._address)
        self.tried.set()
        # From here on changes are queued: they come after what is registered now.
        self._connected = True
        for command in _registrations(self._nsqd):
            await self._say(stream, command)

    async def _keep_up_to_date(self, stream: IOStream) -> None:
        clock = asyncio.get_running_loop().time
        next_ping = clock() + self._ping_interval
        while not stream.closed():
            if len(self._pending) > MAX_PENDING:
                raise DeadlineExceeded(f"more than {MAX_PENDING} changes wait for it, connecting anew")
            if self._pending:
                await self._say(stream, self._pending.popleft())
            elif (pause := next_ping - clock()) <= 0:
                logger.debug("LOOKUPD(%s): sending heartbeat", self._address)
                await self._ask(stream, Ping())
                next_ping = clock() + self._ping_interval
            else:
                await self._wake.sleep(pause)
        raise ConnectionClosed("it closed the connection")

    async def _say(self, stream: IOStream, command: LookupCommand) -> None:
        logger.info("LOOKUPD(%s): %s", self._address, command.encode().decode().rstrip())
        await self._ask(stream, command)

    async def _ask(self, stream: IOStream, command: LookupCommand, prefix: bytes = b"") -> bytes:
        """The response to a command; an NSQError when there is none in time, or it is an error."""
        late = asyncio.get_running_loop().call_later(OPERATION_TIMEOUT, stream.close)
        try:
            await stream.write(prefix + command.encode())
            while not (responses := self._responses.read(await self._read(stream))):
                pass
        except StreamClosedError as error:
            if late.when() <= asyncio.get_running_loop().time():
                raise DeadlineExceeded(f"no response within {OPERATION_TIMEOUT:g} s") from error
            raise ConnectionClosed(f"connection lost: {error.real_error or 'closed'}") from error
        finally:
            late.cancel()
        if (refusal := response_error(responses[0])) is not None:
            raise refusal
        return responses[0]

    @staticmethod
    async def _read(stream: IOStream) -> bytes:
        return await stream.read_bytes(_READ_SIZE, partial=True)


def _node_info(nsqd: Nsqd) -> NodeInfo:
    options = nsqd.options
    return NodeInfo(
        broadcast_address=options.broadcast_address,
        tcp_port=options.broadcast_tcp_port or nsqd.tcp_port,
        http_port=options.broadcast_http_port or nsqd.http_port,
        version=NSQ_VERSION,
        hostname=socket.gethostname(),
        topology_zone=options.topology_zone,
        topology_region=options.topology_region,
    )


def _registrations(nsqd: Nsqd) -> list[Register]:
    """All topics and channels; a topic with channels is registered by these."""
    registrations: list[Register] = []
    for topic in nsqd.topics.values():
        registrations += [Register(topic.name, channel) for channel in topic.channels] or [
            Register(topic.name)
        ]
    return registrations
