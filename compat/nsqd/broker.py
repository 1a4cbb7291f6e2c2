"""nsqd in this process: topics, channels, the TCP and HTTP ports, and the clock that drives time-outs.

Everything runs in one event loop. What arrives is put into topics; at the end of the loop turn the messages
move on to channels and consumers (see Turn); a tick every 100 ms puts back what timed out or came due.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol

from compat.accepting import Acceptor, with_protocol
from compat.go_logs import LOG_LEVELS
from compat.nsqd.channel import Channel
from compat.nsqd.consumer import Consumer
from compat.nsqd.data_path import DataPath, NoDataPath, Storage
from compat.nsqd.http import HttpPort
from compat.nsqd.latency import LatencyWindow
from compat.nsqd.lookup_peers import LookupPeers
from compat.nsqd.metadata import TopicMetadata, encode_metadata
from compat.nsqd.options import NsqdOptions
from compat.nsqd.statsd import statsd_push
from compat.nsqd.tcp import ClientConnection
from compat.nsqd.tls import ClientTunnel, server_context, tunnel_maker
from compat.nsqd.topic import Topic
from compat.nsqd.turn import Turn
from nsqgw.errors import SubFailed
from nsqgw.protocol.names import is_ephemeral
from nsqgw.service.listen import bound_address, bound_port, listen, remove_socket

if TYPE_CHECKING:
    from compat.nsqd.auth_servers import AuthServers

logger = logging.getLogger(__name__)

QUEUE_SCAN_INTERVAL = 0.1
"""Time between two looks at time-outs and deferrals, in seconds; fixed in the original too."""


class Clock(Protocol):
    """Where a broker reads the time; the module `time` is one."""

    def monotonic(self) -> float:
        """Seconds, for time-outs and deferrals."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, for messages' timestamps."""


class Nsqd:
    """One broker. `await start()` and `await stop()`, or `async with`.

    What it holds at `stop` is stored in `options.data_path`, or gone if that is empty. `tcp_address`,
    `http_address` and `https_address` are what it really listens on, once it was started: "host:port", or the
    path of a unix socket.
    """

    connection_class: ClassVar[type[ClientConnection]] = ClientConnection

    def __init__(self, options: NsqdOptions | None = None, clock: Clock = time) -> None:
        self.options = options or NsqdOptions()
        self.limits = self.options.limits
        self.topics: dict[str, Topic] = {}
        self.clients: dict[ClientConnection, None] = {}
        self.start_time = 0
        self.tcp_address = ""
        self.http_address = ""
        self.https_address = ""
        self.make_tunnel: Callable[[], ClientTunnel] | None = None
        self.auth_servers: AuthServers | None = None
        self.lookup_peers = LookupPeers(self, self.options.lookupd_tcp_addresses)
        self.storage: Storage = DataPath(self.options) if self.options.data_path else NoDataPath()
        self.now = clock.monotonic
        self.now_ns = clock.time_ns
        self._turn = Turn(self._after_this_turn, self.now)
        self._acceptor: Acceptor | None = None
        self._http = HttpPort(self)
        self._https = HttpPort(self)
        self._starting: dict[Topic, asyncio.Task[None]] = {}
        self._scan_timer: asyncio.TimerHandle | None = None
        self._statsd: asyncio.Task[None] | None = None
        self._all_left = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises ListenFailed or ConfigError, whose text names the address and the remedy."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self.start_time = int(time.time())
        tls = server_context(self.options)
        self.make_tunnel = tunnel_maker(self.options, tls)
        if self.options.auth_http_addresses:
            from compat.nsqd.auth_servers import AuthServers  # else nsqd starts without

            self.auth_servers = AuthServers(self.options, self.now)
        self._load()
        sockets = listen(self.options.tcp_address)
        self.tcp_address = bound_address(sockets)
        self._acceptor = Acceptor(sockets, with_protocol(lambda: self.connection_class(self)))
        logger.info("TCP: listening on %s", self.tcp_address)
        if self.options.http_address:
            self.http_address = self._http.listen(self.options.http_address)
            logger.info("HTTP: listening on %s", self.http_address)
        if tls is not None and self.options.https_address:
            self.https_address = self._https.listen(self.options.https_address, tls)
            logger.info("HTTPS: listening on %s", self.https_address)
        self._scan_timer = loop.call_later(QUEUE_SCAN_INTERVAL, self._scan)
        self.options = self.options.with_ports(max(self.tcp_port, 0), max(self.http_port, 0))
        if self.options.statsd_address:
            self._statsd = loop.create_task(statsd_push(self).run())
        await self.lookup_peers.start()

    async def stop(self) -> None:
        """Close the ports and all connections, and store what is queued."""
        if self._acceptor is not None:
            await self._acceptor.stop()
        if self._scan_timer is not None:
            self._scan_timer.cancel()
        await self._close_clients()
        await self._http.stop()
        await self._https.stop()
        for address in (self.tcp_address, self.http_address):
            remove_socket(address)
        if self._statsd is not None:
            self._statsd.cancel()
            await asyncio.gather(self._statsd, return_exceptions=True)
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        await self.lookup_peers.stop()
        if self.storage.durable:
            self._store()
        await self.storage.close()
        self.topics.clear()

    async def __aenter__(self) -> Nsqd:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def joined(self, client: ClientConnection) -> None:
        """A client connected."""
        self.clients[client] = None
        self._all_left.clear()

    def left(self, client: ClientConnection) -> None:
        """A client's connection is gone."""
        self.clients.pop(client, None)
        if not self.clients:
            self._all_left.set()

    def publish(self, topic: str, bodies: Sequence[bytes], deferral: float = 0.0) -> None:
        """Put messages into a topic, which is created when missing; `deferral` in seconds.

        Raises BackendFailed: then none of them was taken. Confirm them only after `storage.synced`, if
        `storage.answers_wait`.
        """
        self.topic(topic).put(bodies, self.now_ns(), deferral)

    def topic(self, name: str) -> Topic:
        """The topic of that name, created when missing."""
        topic = self.topics.get(name)
        return topic if topic is not None else self._create_topic(name)

    async def started(self, topic: Topic) -> None:
        """Return when the topic has the channels nsqlookupd knows; at once for all but a new one."""
        if (task := self._starting.get(topic)) is not None:
            await asyncio.wait({task})

    def channel(self, topic: Topic, name: str) -> Channel:
        """The channel of that name, created when missing."""
        channel = topic.channels.get(name)
        if channel is None:
            channel = Channel(
                topic.name,
                name,
                mem_queue_size=self.options.mem_queue_size,
                max_msg_timeout=self.options.max_msg_timeout,
                wake=self._turn.wake_channel,
                open_backend=self.storage.backend,
                latencies=self._latency_window(),
            )
            topic.add_channel(channel)
            logger.info("TOPIC(%s): new channel(%s)", topic.name, name)
            self.lookup_peers.channel_created(topic.name, name)
            self._changed(channel)
        return channel

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its channels and messages; its consumers' connections are closed."""
        topic = self.topics.pop(name)
        for channel in list(topic.channels):
            self._delete_channel(topic, channel)
        topic.delete()
        logger.info("TOPIC(%s): deleting", name)
        self.lookup_peers.topic_deleted(name)
        self._changed(topic)

    def delete_channel(self, topic: Topic, name: str) -> None:
        """Delete a channel; its consumers' connections are closed. An ephemeral topic goes with its last."""
        self._delete_channel(topic, name)
        if topic.ephemeral and not topic.channels and self.topics.get(topic.name) is topic:
            self.delete_topic(topic.name)

    def set_paused(self, paused: bool, which: Topic | Channel) -> None:
        """Pause a topic or channel, or let it go on; nsqd.dat keeps it."""
        which.set_paused(paused)
        self._changed(which)

    def subscribe(self, topic_name: str, channel_name: str, consumer: Consumer) -> Channel:
        """Make `consumer` one of the channel's; topic and channel are created when missing.

        Raises SubFailed when the channel has as many consumers as it may have.
        """
        channel = self.channel(self.topic(topic_name), channel_name)
        limit = self.options.max_channel_consumers
        if limit and len(channel.consumers) >= limit:
            raise SubFailed(f"SUB failed consumers for {topic_name}:{channel_name} exceeds limit of {limit}")
        channel.add_consumer(consumer)
        return channel

    def unsubscribe(self, channel: Channel, consumer: Consumer) -> None:
        """A consumer's connection is gone; an ephemeral channel goes with its last (nsqd-tcp section 14)."""
        channel.remove_consumer(consumer)
        if not channel.ephemeral or channel.consumers:
            return
        topic = self.topics.get(channel.topic_name)
        if topic is not None and topic.channels.get(channel.name) is channel:
            self.delete_channel(topic, channel.name)

    @property
    def tcp_port(self) -> int:
        """The TCP port listened on; -1 with a unix socket, as the original tells it."""
        return bound_port(self.tcp_address)

    @property
    def http_port(self) -> int:
        """The HTTP port listened on; 0 without one, -1 with a unix socket."""
        return bound_port(self.http_address)

    @property
    def https_port(self) -> int:
        """The HTTPS port listened on; 0 without one."""
        return bound_port(self.https_address)

    def set_log_level(self, level: str) -> None:
        """Log from this level on, a key of LOG_LEVELS."""
        self.options = replace(self.options, log_level=level)
        logging.getLogger("compat").setLevel(LOG_LEVELS[level])

    def set_lookupd_tcp_addresses(self, addresses: tuple[str, ...]) -> None:
        """Register with these nsqlookupds from now on."""
        self.options = replace(self.options, lookupd_tcp_addresses=addresses)
        self.lookup_peers.set_addresses(addresses)

    def settle(self) -> None:
        """Move on what this loop turn brought, so that what is read next is up to date."""
        self._turn.run()

    def scan(self) -> None:
        """Put back what timed out, and what was deferred and is due."""
        self._turn.scan()

    def _load(self) -> None:
        """Bring back what nsqd.dat names; nsqlookupd is not asked about it (nsqd-behaviour section 3)."""
        for each in self.storage.open(lambda: encode_metadata(self.topics.values())):
            self._load_topic(each)
        self.storage.loaded()

    def _load_topic(self, metadata: TopicMetadata) -> None:
        topic = self.topics.get(metadata.name) or self._add_topic(metadata.name)
        topic.set_paused(metadata.paused)
        for each in metadata.channels:
            self.channel(topic, each.name).set_paused(each.paused)
        topic.start()

    def _store(self) -> None:
        """Write all that is in memory to disk, channels before the topics that feed them."""
        for topic in self.topics.values():
            lost = sum(channel.store() for channel in topic.channels.values()) + topic.store()
            if lost:
                logger.error("TOPIC(%s): %d messages could not be stored and are lost", topic.name, lost)

    def _changed(self, which: Topic | Channel) -> None:
        if not which.ephemeral:
            self.storage.metadata_changed()

    def _add_topic(self, name: str) -> Topic:
        options = self.options
        wake, open_backend = self._turn.wake_topic, self.storage.backend
        topic = Topic(name, options.node_id, options.mem_queue_size, wake, open_backend)
        self.topics[name] = topic
        logger.info("TOPIC(%s): created", name)
        return topic

    def _create_topic(self, name: str) -> Topic:
        topic = self._add_topic(name)
        self.lookup_peers.topic_created(name)
        self._changed(topic)
        if self.lookup_peers.addresses:
            task = asyncio.get_running_loop().create_task(self._start_topic(topic))
            self._starting[topic] = task
            task.add_done_callback(lambda _: self._starting.pop(topic, None))
        else:
            topic.start()
        return topic

    async def _start_topic(self, topic: Topic) -> None:
        """Create the channels nsqlookupd knows, then let messages flow, whatever became of the question."""
        try:
            known = await self.lookup_peers.channels_of(topic.name)
            if self.topics.get(topic.name) is topic:
                for name in known:
                    if not is_ephemeral(name):
                        self.channel(topic, name)
        finally:
            topic.start()

    def _latency_window(self) -> LatencyWindow | None:
        options = self.options
        if not options.e2e_processing_latency_percentiles:
            return None
        return LatencyWindow(options.e2e_processing_latency_window_time)

    def _delete_channel(self, topic: Topic, name: str) -> None:
        channel = topic.channels.pop(name)
        channel.delete()
        for consumer in list(channel.consumers):
            consumer.close()
        logger.info("TOPIC(%s): deleting channel %s", topic.name, name)
        self.lookup_peers.channel_deleted(topic.name, name)
        self._changed(channel)

    def _scan(self) -> None:
        loop = asyncio.get_running_loop()
        self._scan_timer = loop.call_later(QUEUE_SCAN_INTERVAL, self._scan)
        self.scan()

    @staticmethod
    def _after_this_turn(run: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(run)

    async def _close_clients(self) -> None:
        """End all connections; each gives up on its own when what is queued cannot be written."""
        for client in list(self.clients):
            client.close()
        if self.clients:
            await self._all_left.wait()
