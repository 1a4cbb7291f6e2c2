"""What tests ask of an nsqd: `nsqd.topic("t").channel("c").assert_finished(3)`.

An assertion waits until it holds, or fails at its deadline (or at once, when more than expected happened,
since that does not mend) with an AssertionError that shows what was seen. Counts are those since the test's
nsqd was made. Time-outs are real seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from compat.testing.records import ChannelRecord, Seen
from compat.testing.waiting import refuse_in_loop, wait_until

TIMEOUT = 5.0
"""Seconds an assertion waits by default."""

_SHOWN = 10
_SHOWN_BYTES = 60


class OnlyInProcess(RuntimeError):
    """Asked of a real nsqd what only the one in this process can tell or do."""


@dataclass(frozen=True)
class ChannelFigures:
    """One channel at one moment; `touched` is None where nobody counts it."""

    depth: int = 0
    in_flight: int = 0
    deferred: int = 0
    consumers: int = 0
    delivered: int | None = 0
    finished: int = 0
    requeued: int = 0
    touched: int | None = 0
    timed_out: int = 0

    def __str__(self) -> str:
        known = {name.replace("_", " "): value for name, value in vars(self).items() if value is not None}
        return ", ".join(f"{name} {value}" for name, value in known.items())


class Observed(Protocol):
    """An nsqd that can be looked into."""

    def published_count(self, topic: str) -> int:
        """Messages the topic has taken in."""

    def published_bodies(self, topic: str) -> list[bytes]:
        """Their bodies; OnlyInProcess."""

    def channel_figures(self, topic: str, channel: str) -> ChannelFigures:
        """The channel now; all zero for one that there is not."""

    def channel_record(self, topic: str, channel: str) -> ChannelRecord:
        """A copy of its record; OnlyInProcess."""


class TopicView:
    """One topic, by name; there may be no such topic (yet)."""

    def __init__(self, nsqd: Observed, name: str) -> None:
        self.name = name
        self._nsqd = nsqd

    def channel(self, name: str) -> ChannelView:
        """One of its channels."""
        return ChannelView(self._nsqd, self.name, name)

    @property
    def published(self) -> list[bytes]:
        """The bodies published so far, in order. Raises OnlyInProcess for a real nsqd."""
        return self._nsqd.published_bodies(self.name)

    def assert_published(self, count: int, timeout: float = TIMEOUT) -> None:
        """Exactly `count` messages were published, by whatever command, within `timeout` seconds."""
        __tracebackhide__ = True
        refuse_in_loop("topic.assert_published", count)
        seen = wait_until(lambda: self._nsqd.published_count(self.name), lambda seen: seen >= count, timeout)
        if seen == count:
            return
        after = "" if seen > count else f" after {timeout:g} s"
        text = f"topic {self.name}: expected {count} published, seen {seen}{after}"
        with suppress(OnlyInProcess):  # of a real nsqd the count is all there is to show
            text += _listed("published", self.published)
        raise AssertionError(text)


class ChannelView:
    """One channel, by names; there may be no such channel (yet)."""

    def __init__(self, nsqd: Observed, topic: str, name: str) -> None:
        self.topic = topic
        self.name = name
        self._nsqd = nsqd

    @property
    def figures(self) -> ChannelFigures:
        """All its counts now."""
        return self._nsqd.channel_figures(self.topic, self.name)

    @property
    def delivered(self) -> list[Seen]:
        """What was sent to consumers so far, in order. This and the next three: OnlyInProcess."""
        return self._nsqd.channel_record(self.topic, self.name).delivered

    @property
    def finished(self) -> list[Seen]:
        """The messages finished so far."""
        return self._nsqd.channel_record(self.topic, self.name).finished

    @property
    def requeued(self) -> list[Seen]:
        """The messages requeued so far, with the delays asked for."""
        return self._nsqd.channel_record(self.topic, self.name).requeued

    @property
    def touched(self) -> list[Seen]:
        """The messages touched so far, once for each TOUCH."""
        return self._nsqd.channel_record(self.topic, self.name).touched

    def assert_finished(self, count: int, timeout: float = TIMEOUT) -> None:
        """Exactly `count` FINs were accepted within `timeout` seconds."""
        __tracebackhide__ = True
        self._assert_happened("finished", count, timeout)

    def assert_requeued(self, count: int, timeout: float = TIMEOUT) -> None:
        """Exactly `count` REQs were accepted within `timeout` seconds."""
        __tracebackhide__ = True
        self._assert_happened("requeued", count, timeout)

    def assert_touched(self, count: int, timeout: float = TIMEOUT) -> None:
        """Exactly `count` TOUCHes were accepted within `timeout` seconds. OnlyInProcess for a real nsqd."""
        __tracebackhide__ = True
        self._assert_happened("touched", count, timeout)

    def assert_timed_out(self, count: int, timeout: float = TIMEOUT) -> None:
        """Exactly `count` times a message in flight timed out, within `timeout` seconds."""
        __tracebackhide__ = True
        self._assert_happened("timed_out", count, timeout)

    def assert_depth(self, count: int, timeout: float = TIMEOUT) -> None:
        """Within `timeout` seconds there comes a moment with `count` messages waiting."""
        __tracebackhide__ = True
        self._assert_stands("depth", count, timeout)

    def assert_in_flight(self, count: int, timeout: float = TIMEOUT) -> None:
        """Within `timeout` seconds there comes a moment with `count` messages in flight."""
        __tracebackhide__ = True
        self._assert_stands("in_flight", count, timeout)

    def assert_deferred(self, count: int, timeout: float = TIMEOUT) -> None:
        """Within `timeout` seconds there comes a moment with `count` messages deferred."""
        __tracebackhide__ = True
        self._assert_stands("deferred", count, timeout)

    def assert_consumers(self, count: int, timeout: float = TIMEOUT) -> None:
        """Within `timeout` seconds there comes a moment with `count` consumers subscribed."""
        __tracebackhide__ = True
        self._assert_stands("consumers", count, timeout)

    def _assert_happened(self, what: str, count: int, timeout: float) -> None:
        __tracebackhide__ = True
        self._assert(what, count, timeout, lambda seen: seen >= count)

    def _assert_stands(self, what: str, count: int, timeout: float) -> None:
        __tracebackhide__ = True
        self._assert(what, count, timeout, lambda seen: seen == count)

    def _assert(self, what: str, count: int, timeout: float, settled: Callable[[int], bool]) -> None:
        __tracebackhide__ = True
        refuse_in_loop(f"channel.assert_{what}", count)

        def seen_in(figures: ChannelFigures) -> int:
            seen = getattr(figures, what)
            if seen is None:
                raise OnlyInProcess(f"a real nsqd does not tell what was {what}: run without --nsq-real")
            return int(seen)

        figures = wait_until(lambda: self.figures, lambda figures: settled(seen_in(figures)), timeout)
        seen = seen_in(figures)
        if seen != count:
            after = "" if settled(seen) else f" after {timeout:g} s"
            head = f"channel {self.topic}/{self.name}: expected {count} {what.replace('_', ' ')}, seen {seen}"
            raise AssertionError(f"{head}{after}\n  {figures}{self._events()}")

    def _events(self) -> str:
        try:
            record = self._nsqd.channel_record(self.topic, self.name)
        except OnlyInProcess:
            return ""
        return "".join(_listed(name, [each.body for each in getattr(record, name)]) for name in vars(record))


def _listed(name: str, bodies: Sequence[bytes]) -> str:
    if not bodies:
        return ""
    shown = ", ".join(
        repr(body) if len(body) <= _SHOWN_BYTES else f"{body[:_SHOWN_BYTES]!r}..." for body in bodies[:_SHOWN]
    )
    more = f" and {len(bodies) - _SHOWN} more" if len(bodies) > _SHOWN else ""
    return f"\n  {name}: {shown}{more}"
