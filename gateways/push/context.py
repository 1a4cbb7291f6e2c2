"""What all connections of one gateway share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateways.push.access.gate import Gate
from gateways.push.backlog import Backlog
from gateways.push.errands import Errands
from gateways.push.hub import Hub
from gateways.push.limits import Limits
from gateways.push.pattern import prefix_of
from gateways.push.policy import Lag, Policy
from gateways.push.presence import Presence
from gateways.push.wheel import Wheel
from nsqgw.errors import NSQError

WHEEL_SLOTS = 8
_DISCONNECT = Policy()


class Connection(Protocol):
    """A connection on the wheel, in whatever state it is."""

    def look(self, now: float) -> None:
        """Do what has become due by `now`: give up, ping, abort."""
        ...

    def leave_in(self, seconds: float) -> None:
        """Tell the client that this server goes away, and ends the connection in so many seconds."""
        ...

    def end(self) -> None:
        """Tell the client that this server goes away, and close once it has what waits for it."""
        ...

    def abort(self) -> None:
        """Drop the connection and what waits for it, now."""
        ...


class Publisher(Protocol):
    """A `Producer`, as far as it is needed here."""

    def publish_then(self, topic: str, body: bytes, then: Callable[[NSQError | None], None]) -> None:
        """Publish, and call `then` with None when nsqd has confirmed, else with the error."""
        ...


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Context:
    """The hub, the bounds and the books; `clock` is the event loop's."""

    hub: Hub
    limits: Limits
    clock: Callable[[], float]
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """What slow browsers are in for, by topic; without one they are disconnected."""
    connections: Wheel[Connection] = field(default_factory=lambda: Wheel(WHEEL_SLOTS))
    accepted: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Requests answered with an error, by HTTP status."""
    closed: Counter[str] = field(default_factory=Counter)
    """Streams that ended, by reason."""
    lost: Counter[str] = field(default_factory=Counter)
    """Messages slow browsers were not given, by topic."""
    client_frames: int = 0
    """Frames browsers sent."""

    gate: Gate = field(default_factory=Gate)
    """Who may come, and what for."""
    errands: Errands = field(default_factory=Errands)
    """What connections wait for."""
    presence: Presence = field(default_factory=Presence)
    publisher: Publisher | None = None
    """Takes what clients publish; None when none may."""
    publish_topics: frozenset[str] = frozenset()
    """Where clients may publish."""

    vacant: asyncio.Event = field(default_factory=_set_event)
    """Set while there is no connection."""

    def policy_of(self, channel: str) -> Policy:
        """What becomes of messages of `channel` that a browser does not take."""
        policy = self.policies.get(channel)
        return policy or self.policies.get(self.hub.topic_of(channel) or "", _DISCONNECT)

    def new_backlog(self, topics: Collection[str]) -> Backlog:
        """The queue of a browser that follows `topics` and stops taking its messages."""
        limits = self.limits
        strict = any(policy.lag is Lag.DISCONNECT for topic in topics for policy in self._policies(topic))
        return Backlog(
            self.policy_of,
            max_bytes=limits.max_queue_bytes,
            max_age=limits.max_queue_age,
            patience=limits.max_queue_age if strict else limits.stall_timeout,
        )

    def _policies(self, name: str) -> Iterator[Policy]:
        """Those of a channel, or of all that begin as a pattern does."""
        prefix = prefix_of(name)
        channels = (name,) if prefix is None else self.hub.routing.topics_of(prefix)
        return map(self.policy_of, channels)

    def admit(self, connection: Connection) -> None:
        """Put `connection` on the wheel."""
        self.connections.add(connection)
        self.vacant.clear()

    def release(self, connection: Connection) -> None:
        """Take `connection` off the wheel: it is gone, or goes on as another."""
        self.connections.discard(connection)
        if not self.connections:
            self.vacant.set()

    async def turn_wheel(self) -> None:
        """Look at every connection once in `look_interval`, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.look_interval / WHEEL_SLOTS)
            self.hub.sweep()
            for connection in self.connections.tick():
                connection.look(self.clock())
