"""The settings of a browser gateway, as one value."""

from __future__ import annotations

import math
import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from gateways.access import NsqAccess
from gateways.push.access.security import Security
from gateways.push.channel import ChannelLimits
from gateways.push.history import HistoryLimits
from gateways.push.limits import Limits
from gateways.push.policy import Policy
from gateways.push.push_stream.settings import PushStreamSettings
from gateways.push.routing import Route
from gateways.push.shared.settings import SHARED_CHANNEL, SharedSettings
from nsqgw.errors import ConfigError
from nsqgw.lookup.client import lookup_address
from nsqgw.protocol.names import EPHEMERAL_SUFFIX, check_channel, check_topic
from nsqgw.service.hosts import AllowedHosts, check_host_name
from nsqgw.service.origin import OriginPolicy
from nsqgw.service.settings import parse_address

_MAX_HOST = 24

_SEVERAL = ("topics", "nsqd_tcp_addresses", "lookupd_http_addresses", "allow_hosts", "allow_origins")

MAX_WINDOW = 0.02
"""Seconds; longer ones would be felt."""


@dataclass(frozen=True)
class PushConfig:
    """Wrong values raise ConfigError.

    topics             what browsers may ask for, each under /stream/<topic>
    listen             host:port for browsers; empty when an application hands them over (see `embed`)
    share_port         whether other processes listen there, too, and the kernel spreads browsers over all
    nsqd_tcp_addresses, lookupd_http_addresses  where the messages come from, one of them at least
    access             TLS and secrets towards them
    channel            None for an ephemeral one of this process, so that every gateway gets every message
    allow_hosts        its names for browsers, beside those of `AllowedHosts` and the hosts of `allow_origins`
    allow_origins      pages of other hosts that may connect, as in `OriginPolicy`
    max_in_flight      messages of a topic that nsqd may have on the way
    connect_timeout    for the first connection to nsqd, in seconds
    drain_timeout      for stopping in order, in seconds
    drain_delay        of these, for load balancers to see that it is not ready any more, before it stops
    policies           by topic, what becomes of messages a browser does not take; else it is disconnected
    routes             which channels the messages of topics go to; without one a topic is its own channel
    channels           how many there may be, and for how long without use
    history            what is kept of each channel for browsers that come back
    publish_topics     where browsers may publish; of the topics
    presence_topics    whose browsers may know of each other; of the topics
    push_stream        whether and where the URLs of nginx-push-stream-module are served
    shared             a history in Redis for all processes, which consume one channel together
    max_age            seconds; messages published earlier are not shown, such as the backlog of a channel
    security           who may come: tokens, signatures, proxies, limits by address, TLS
    window             messages are gathered for so many seconds into one write a browser; at most MAX_WINDOW
    """

    topics: tuple[str, ...]
    listen: str = "127.0.0.1:8080"
    share_port: bool = False
    nsqd_tcp_addresses: tuple[str, ...] = ()
    lookupd_http_addresses: tuple[str, ...] = ()
    access: NsqAccess = field(default_factory=NsqAccess)
    channel: str | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    max_in_flight: int = 1000
    connect_timeout: float = 10.0
    drain_timeout: float = 10.0
    drain_delay: float = 0.0
    limits: Limits = field(default_factory=Limits)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    channels: ChannelLimits = field(default_factory=ChannelLimits)
    history: HistoryLimits = field(default_factory=HistoryLimits)
    window: float = 0.0
    publish_topics: tuple[str, ...] = ()
    presence_topics: tuple[str, ...] = ()
    push_stream: PushStreamSettings = field(default_factory=PushStreamSettings)
    shared: SharedSettings = field(default_factory=SharedSettings)
    max_age: float = math.inf
    security: Security = field(default_factory=Security)

    def __post_init__(self) -> None:
        for name in _SEVERAL:
            if isinstance(given := getattr(self, name), str):
                raise ConfigError(f"{name} is the text {given!r}: give several, such as ({given!r},)")
        if not self.topics:
            raise ConfigError("no topic given: name at least one to stream")
        for topic in self.topics:
            check_topic(topic)
        if self.channel is not None:
            check_channel(self.channel)
        if not self.nsqd_tcp_addresses and not self.lookupd_http_addresses:
            raise ConfigError("no source given: name an nsqd (TCP address) or an nsqlookupd (HTTP address)")
        routed = (route.topic for route in self.routes)
        for topic in (*self.policies, *self.publish_topics, *self.presence_topics, *routed):
            if topic not in self.topics:
                raise ConfigError(f"there is a setting for {topic!r}, which is not streamed: add the topic")
        if not 0 <= self.window <= MAX_WINDOW:
            raise ConfigError(f"the window must be 0 to {MAX_WINDOW} seconds, not {self.window!r}")
        self._check_addresses()
        self.security.check_exposure(self.listen, self.allow_origins)

    def _check_addresses(self) -> None:
        if self.drain_delay >= self.drain_timeout:
            raise ConfigError(
                f"a drain delay of {self.drain_delay:g}s leaves nothing of the drain: make it less than the "
                f"drain timeout, {self.drain_timeout:g}s"
            )
        for address in self.lookupd_http_addresses:
            lookup_address(address)
        for name in self.allow_hosts:
            check_host_name(name)
        if self.listen:
            parse_address(self.listen)
        self._check_shared()

    @property
    def drain_time(self) -> float:
        """Seconds for stopping, once it has begun."""
        return self.drain_timeout - self.drain_delay

    def consumed_channel(self) -> str:
        """The channel of NSQ: the one set, else a shared one, or one of this process alone."""
        return self.channel or (SHARED_CHANNEL if self.shared.url else process_channel())

    def _check_shared(self) -> None:
        if self.shared.url and self.channel is not None and self.channel.endswith(EPHEMERAL_SUFFIX):
            raise ConfigError(
                f"channel {self.channel!r} is ephemeral, and a shared history loses what it loses: "
                f"use a durable one, such as {SHARED_CHANNEL!r}"
            )
        if self.shared.url and not math.isinf(self.max_age):
            raise ConfigError("max_age is for processes without a shared history: leave one of them out")

    def guards(self) -> tuple[AllowedHosts, OriginPolicy]:
        """Whom the port for browsers answers to."""
        origins = OriginPolicy(self.allow_origins)
        return AllowedHosts(self.listen or "localhost:0", (*self.allow_hosts, *origins.hosts)), origins

    def feeding(self, topic: str) -> tuple[object, ...]:
        """What the feed of `topic` depends on: another value needs another feed."""
        policy = self.policies.get(topic, Policy())
        return (
            self.nsqd_tcp_addresses,
            self.lookupd_http_addresses,
            self.access,
            self.channel,
            self.max_in_flight,
            self.window,
            self.max_age,
            policy.rate,
        )

    def shown(self) -> dict[str, object]:
        """All settings, for people to read, without the passwords in URLs."""
        lookupds = tuple(str(lookup_address(address)) for address in self.lookupd_http_addresses)
        policies = {topic: str(policy) for topic, policy in self.policies.items()}
        shown = {"policies": policies, "lookupd_http_addresses": lookupds, "access": self.access.shown()}
        shown["shared"] = {**asdict(self.shared), "url": self.shared.shown_url}
        shown["security"] = self.security.shown()
        return {**asdict(self), **shown}


def process_channel() -> str:
    """An ephemeral channel of this process alone: nsqd deletes it when the process is gone."""
    host = re.sub(r"[^a-zA-Z0-9_-]", "-", socket.gethostname().split(".")[0])[:_MAX_HOST]
    return check_channel(f"push-{host}-{os.getpid()}-{secrets.token_hex(3)}{EPHEMERAL_SUFFIX}")
