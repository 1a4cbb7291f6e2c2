"""The browser gateway as a service: feeds from NSQ, the hub, the front for browsers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gateways.push.access.assembly import Assembly
from gateways.push.companions import check_alone
from gateways.push.config import PushConfig
from gateways.push.context import Context
from gateways.push.drain import send_off
from gateways.push.feeds import Feeds
from gateways.push.front import Front
from gateways.push.http import Response
from gateways.push.hub import Hub
from gateways.push.outlet import HubOutlet, Outlet
from gateways.push.presence import Presence
from gateways.push.push_stream.routes import PushStreamRoutes
from gateways.push.revocation import disconnect
from gateways.push.routes import Routes, client_module, static_pages
from gateways.push.routing import Routing
from gateways.push.session import Session
from gateways.push.shared.follower import Follower
from gateways.push.shared.store import Store
from gateways.push.statistics import Statistics, joined, statistics
from nsqgw import Producer
from nsqgw.protocol.names import EPHEMERAL_SUFFIX
from nsqgw.service.hosts import AllowedHosts
from nsqgw.service.origin import OriginPolicy

if TYPE_CHECKING:
    from prometheus_client import Metric
    from tornado.routing import Rule

logger = logging.getLogger(__name__)

# Parts of the drain: for browsers to be sent off, and when those who are left are dropped.
_SPREAD_PART, _BROWSERS_PART = 0.3, 0.9


class PushGateway:
    """Streams the topics of `config` to browsers. `pages` replaces or adds to what it serves beside them.

    `load` reads the settings anew for `reload`; it raises NSQError when they cannot be used.
    A `nsqgw.service` service: make it, `start`, `stop`. Wrong settings raise ConfigError here.
    """

    name = "nsqgw push"

    def __init__(
        self,
        config: PushConfig,
        pages: Mapping[str, Response] | None = None,
        load: Callable[[], PushConfig] | None = None,
    ) -> None:
        self._config = config
        self._load = load
        self.reloads = {"done": 0, "failed": 0}
        self._channel = config.consumed_channel()
        self._hosts, self._origins = config.guards()
        self._pages = {**static_pages("gateways.push"), **client_module(), **(pages or {})}
        self._feeds: Feeds | None = None
        self._routes: Routes | None = None
        self._assembly = Assembly(config.security, config.listen)
        self._front: Front | None = None
        self._context: Context | None = None
        self._producer: Producer | None = None
        self._follower: Follower | None = None
        self._stopping = False

    async def start(self) -> None:
        """Listen, then connect to nsqd; ListenFailed or NotConnected when that cannot be done."""
        clock = asyncio.get_running_loop().time
        routing = Routing(self._config.topics, self._config.routes)
        hub = Hub(routing, clock, self._config.history, self._config.channels)
        self._producer = self._new_producer() if self._config.publish_topics else None
        self._context = Context(
            hub=hub,
            gate=self._assembly.gate,
            limits=self._config.limits,
            clock=clock,
            policies=self._config.policies,
            presence=Presence(self._config.presence_topics, hub.topic_of),
            publisher=self._producer,
            publish_topics=frozenset(self._config.publish_topics),
        )
        self._routes = Routes(
            self._context, self._hosts, self._origins, self._pages, self.connected, self._push_stream()
        )
        self._front = Front(self._context, self._routes, self._assembly.tls)
        await self._assembly.start(self._context.errands)
        await self._check_alone()
        outlet = await self._new_outlet(hub)
        await self._front.start(self._config.listen, shared=self._config.share_port)
        if self._producer is not None:
            await self._producer.start()
        self._feeds = Feeds(self._config, self._channel, self._context, outlet, self._follower)
        await self._feeds.start()
        scheme = "http" if self._assembly.tls is None else "https"
        where = f"{scheme}://{self.address}" if self.address else "what is handed over"
        logger.info("streaming %s on %s", ", ".join(hub.topics), where)

    async def stop(self) -> None:
        """Send browsers off, one after the other, with what comes until then; leave NSQ; drop who is left.

        They are told to come back whatever becomes of the feeds.
        """
        clock = asyncio.get_running_loop().time
        ends = clock() + self._config.drain_delay + self._config.drain_time * _BROWSERS_PART
        try:
            await asyncio.sleep(self._config.drain_delay)
            self._stopping = True
            if self._front is not None and self._context is not None:
                self._front.stop_listening()
                await send_off(self._context, self._config.drain_time * _SPREAD_PART)
            if self._feeds is not None:
                await self._feeds.stop()
        finally:
            if self._follower is not None:
                await self._follower.stop()
            if self._front is not None:
                await self._front.close(ends - clock())
            self._assembly.close()
            if self._producer is not None:
                await self._producer.stop(self._config.drain_time * (1 - _BROWSERS_PART))

    async def wait_closed(self) -> None:
        """Until a feed ends, which it does before `stop` and a reload only by raising."""
        assert self._feeds is not None, "not started"
        await self._feeds.wait_closed()

    async def reload(self) -> None:
        """Read the settings, keys and certificate anew; only browsers of channels that go are sent off.

        Raises NSQError, with the old ones in force, when they cannot be used.
        """
        try:
            config = await asyncio.to_thread(self._load) if self._load is not None else self._config
            hosts, origins = config.guards()
            assembly = await self._assembled(config)
        except BaseException:
            self.reloads["failed"] += 1
            raise
        self._put_in_force(assembly)
        await self._renew(config, hosts, origins)
        self.reloads["done"] += 1

    @property
    def serving(self) -> bool:
        """Whether connections may come: between `start` and `stop`."""
        return self._front is not None and not self._stopping

    async def adopt(self, sock: socket.socket, received: bytes) -> None:
        """Serve a connection that another server accepted and read `received` from, the head at least."""
        assert self._front is not None, "not started"
        await self._front.adopt(sock, received)

    @property
    def address(self) -> str:
        """The `host:port` browsers reach; empty when the gateway does not listen itself."""
        assert self._front is not None, "not started"
        return self._front.address

    @property
    def channel(self) -> str:
        """The channel it consumes."""
        return self._channel

    @property
    def streamed(self) -> int:
        """Messages given to whoever listened, since the start."""
        return sum(self._context.hub.messages.values()) if self._context is not None else 0

    @property
    def delivered(self) -> int:
        """Messages handed to browsers since the start: one message to ten browsers counts ten."""
        return sum(self._context.hub.deliveries.values()) if self._context is not None else 0

    def connected(self) -> dict[str, bool]:
        """For each topic whether an nsqd is connected."""
        connections = self._feeds.connections if self._feeds is not None else {}
        return {topic: connections.get(topic, 0) > 0 for topic in dict.fromkeys(self._config.topics)}

    def ready(self) -> str | None:
        """None while every topic has a connection to nsqd."""
        if self._follower is not None and not self._follower.connected:
            return f"the shared history in {self._config.shared.shown_url} is not reached"
        return self._feeds.starved() if self._feeds is not None else "not started"

    def metrics(self) -> Iterable[Metric]:
        """See `push_metrics`."""
        from gateways.push.metrics import push_metrics  # needs the extra `gateways`

        if self._context is None or self._feeds is None:
            return ()
        return push_metrics(self._context, self._feeds.connections, self.reloads)

    async def disconnect(
        self, *, user: str | None = None, client: str | None = None, channel: str | None = None
    ) -> int:
        """Send off those who fit all that is given, or end their subscription of `channel`; how many."""
        if self._context is None:
            return 0
        return disconnect(self._context, user=user, client=client, channel=channel)

    def admin_routes(self) -> Sequence[Rule]:
        """/disconnect and /stats."""
        from gateways.push.access.admin_pages import access_pages  # needs the extra `gateways`
        from gateways.push.admin_pages import stats_page

        return [*access_pages(self), stats_page(self.statistics)]

    def statistics(self, channel: str | None = None) -> Statistics:
        """See `statistics`; of one channel alone when it is named."""
        return joined([statistics(self._context, name=channel)] if self._context is not None else [])

    def settings(self) -> dict[str, object]:
        """The settings in force."""
        return {**self._config.shown(), "channel": self._channel}

    async def _assembled(self, config: PushConfig) -> Assembly:
        """Keys and certificates read again, or all of the gate where its settings changed."""
        assert self._context is not None, "not started"
        if config.security == self._config.security:
            self._assembly.reload()
            return self._assembly
        assembly = Assembly(config.security, config.listen)
        await assembly.start(self._context.errands)
        return assembly

    def _put_in_force(self, assembly: Assembly) -> None:
        """Ask `assembly` from now on; who was counted stays counted."""
        assert self._context is not None, "not started"
        if assembly is not self._assembly:
            if (assembly.tls is None) != (self._assembly.tls is None):
                logger.warning("TLS on the port for browsers changes at the next start")
            elif self._front is not None:
                self._front.tls = assembly.tls
            assembly.gate.arrivals.take_over(self._assembly.gate.arrivals)
            self._assembly.close()
            self._context.gate, self._assembly = assembly.gate, assembly

    async def _renew(self, config: PushConfig, hosts: AllowedHosts, origins: OriginPolicy) -> None:
        assert self._context is not None, "not started"
        assert self._routes is not None, "not started"
        assert self._feeds is not None, "not started"
        before, context = self._config, self._context
        if config.listen != before.listen:
            logger.warning("the port for browsers, %s, is opened at the next start", config.listen)
        if config.shared != before.shared:
            logger.warning("another shared history is followed at the next start")
        if config.push_stream != before.push_stream:
            logger.warning("what changed in [push_stream] takes effect at the next start")
        self._config = config
        self._routes.renew(hosts, origins)
        await self._renew_producer()
        context.limits, context.policies = config.limits, config.policies
        context.publisher, context.publish_topics = self._producer, frozenset(config.publish_topics)
        context.presence.show(config.presence_topics)
        await self._feeds.end_others(config)
        routing = Routing(config.topics, config.routes)
        for channel, subscriber in context.hub.renew(routing, config.history, config.channels):
            if isinstance(subscriber, Session):
                subscriber.channel_ended(channel)
        await self._feeds.renew(config)

    async def _check_alone(self) -> None:
        config = self._config
        if (
            config.channel is not None
            and not config.shared.url
            and not self._channel.endswith(EPHEMERAL_SUFFIX)
        ):
            lookupds = config.lookupd_http_addresses
            await check_alone(lookupds, config.topics, self._channel, config.connect_timeout)

    async def _new_outlet(self, hub: Hub) -> Outlet:
        """Where feeds give their messages; with a shared history, this process follows it from here on."""
        config = self._config
        if not config.shared.url:
            return HubOutlet(hub)
        store = Store(config.shared, config.history, config.channels.max_channels)
        self._follower = Follower(store, hub)
        await self._follower.start(config.connect_timeout)
        return store

    async def _renew_producer(self) -> None:
        """There is one while browsers may publish anywhere."""
        if self._config.publish_topics and self._producer is None:
            self._producer = self._new_producer()
            await self._producer.start()

    def _push_stream(self) -> PushStreamRoutes | None:
        """The URLs of nginx-push-stream-module, where they are served."""
        settings = self._config.push_stream
        return PushStreamRoutes(self._context, settings) if settings.on and self._context else None

    def _new_producer(self) -> Producer:
        """For what browsers publish."""
        return Producer(
            self._config.nsqd_tcp_addresses,
            lookupd_http_addresses=self._config.lookupd_http_addresses,
            **self._config.access.options(),
        )
