"""The daemons that the pytest fixtures give: what all nsqds can do, and those that run in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

from compat.nsqd import Nsqd, NsqdOptions
from compat.nsqlookupd import NsqlookupdOptions
from compat.testing.clock import Clock, TurnableLoop, TurningClock
from compat.testing.faults import Faults
from compat.testing.records import ChannelRecord, Records
from compat.testing.views import ChannelFigures, TopicView
from compat.testing.watched import WatchedNsqd
from compat.threaded import ThreadedDaemon, ThreadedNsqlookupd


class NsqdUnderTest(ABC):
    """What the fixture `nsqd` gives; `tcp_address` and `http_address` are "host:port".

    `stop()` ends it as a crash would, `start()` brings it back on the same ports.
    """

    real: ClassVar[bool]
    tcp_address: str
    http_address: str

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """Its clock, to be turned. Raises OnlyInProcess for a real nsqd."""

    @property
    @abstractmethod
    def faults(self) -> Faults:
        """What it is to do wrong. Raises OnlyInProcess for a real nsqd."""

    @abstractmethod
    def start(self) -> None:
        """Listen, on the same ports as before."""

    @abstractmethod
    def stop(self) -> None:
        """End abruptly; nothing happens when it does not run."""

    @abstractmethod
    def close(self) -> None:
        """End for good, and remove what it left on disk."""

    def topic(self, name: str) -> TopicView:
        """What became of the messages of a topic."""
        return TopicView(self, name)

    def publish(self, topic: str, *bodies: bytes, delay: float = 0.0) -> None:
        """Publish messages over HTTP, to be delivered after `delay` seconds; errors as in `nsqgw.http`."""
        from nsqgw.http import NsqdHttp

        with NsqdHttp(self.http_address) as http:
            for body in bodies:
                http.publish(topic, body, delay=delay)

    @abstractmethod
    def published_count(self, topic: str) -> int: ...

    @abstractmethod
    def published_bodies(self, topic: str) -> list[bytes]: ...

    @abstractmethod
    def channel_figures(self, topic: str, channel: str) -> ChannelFigures: ...

    @abstractmethod
    def channel_record(self, topic: str, channel: str) -> ChannelRecord: ...


class EmbeddedNsqd(NsqdUnderTest):
    """nsqd in this process, in a thread; `flags` are the fields of NsqdOptions.

    Clock, faults and records outlive `stop` and `start`.
    """

    real: ClassVar[bool] = False

    def __init__(self, **flags: Any) -> None:
        options = NsqdOptions(**({"broadcast_address": "127.0.0.1"} | flags))
        self._clock = TurningClock()
        self._faults = Faults()
        self._records = Records()

        def create(tcp: str, http: str) -> WatchedNsqd:
            settings = replace(options, tcp_address=tcp, http_address=http)
            return WatchedNsqd(settings, self._clock, self._faults, self._records)

        self._daemon = ThreadedDaemon(create, lambda: TurnableLoop(self._clock))

    @property
    def clock(self) -> Clock:
        return Clock(self._daemon, self._clock)

    @property
    def faults(self) -> Faults:
        return self._faults

    def start(self) -> None:
        self._daemon.start()
        self.tcp_address = self._daemon.tcp_address
        self.http_address = self._daemon.http_address

    def stop(self) -> None:
        self._clock.unfreeze()  # closing connections has deadlines of its own
        self._daemon.stop()

    def close(self) -> None:
        self.stop()

    def published_count(self, topic: str) -> int:
        return len(self._records.published.get(topic, ()))

    def published_bodies(self, topic: str) -> list[bytes]:
        return list(self._records.published.get(topic, ()))

    def channel_record(self, topic: str, channel: str) -> ChannelRecord:
        return self._records.channels.get((topic, channel), ChannelRecord()).copy()

    def channel_figures(self, topic: str, channel: str) -> ChannelFigures:
        record = self.channel_record(topic, channel)
        counts = ChannelFigures(
            delivered=len(record.delivered),
            finished=len(record.finished),
            requeued=len(record.requeued),
            touched=len(record.touched),
        )
        if not self._daemon.running:
            return counts

        async def look(nsqd: WatchedNsqd) -> ChannelFigures:
            return _with_state(counts, nsqd, topic, channel)

        return self._daemon.run(look)


class EmbeddedNsqlookupd(ThreadedNsqlookupd):
    """nsqlookupd in this process, in a thread; `flags` are the fields of NsqlookupdOptions."""

    real: ClassVar[bool] = False

    def __init__(self, **flags: Any) -> None:
        super().__init__(NsqlookupdOptions(**({"broadcast_address": "127.0.0.1"} | flags)))

    def close(self) -> None:
        """End for good."""
        self.stop()


def _with_state(counts: ChannelFigures, nsqd: Nsqd, topic_name: str, channel_name: str) -> ChannelFigures:
    nsqd.settle()
    topic = nsqd.topics.get(topic_name)
    channel = topic.channels.get(channel_name) if topic is not None else None
    if channel is None:
        return counts
    return replace(
        counts,
        depth=channel.depth,
        in_flight=channel.in_flight_count,
        deferred=channel.deferred_count,
        consumers=len(channel.consumers),
        timed_out=channel.timeout_count,
    )
