"""Who follows a channel or a pattern, grouped by what is written to them: by filter and encoding.

What is to be done for a burst is done once a group: a filter is asked, frames are encoded and joined, and the
same bytes go to every subscriber of the group. No socket in here.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence, Set
from typing import Protocol

from gateways.push.filter import Filter
from gateways.push.frame import Burst, Encoding, Frame

SLICE = 256
"""Subscribers served in a row; a thousand writes of 200 bytes take about eight milliseconds."""


class Subscriber(Protocol):
    """Where a browser's messages go."""

    encoding: Encoding

    def offer(self, data: bytes, burst: Burst) -> None:
        """Write or queue `data`, which is `burst` in this subscriber's encoding; never blocks or raises."""
        ...

    def miss(self, channel: str) -> None:
        """Nobody knows how many messages of `channel` are lost here; never blocks or raises."""
        ...


Group = tuple["Filter | None", Encoding, tuple[Subscriber, ...], Set[Subscriber]]
"""What is written, to whom when the burst came, and who of them still wants it."""


class Audience:
    """The subscribers of one channel, or of one pattern."""

    __slots__ = ("_filters", "_groups")

    def __init__(self) -> None:
        self._groups: dict[tuple[Filter | None, Encoding], set[Subscriber]] = {}
        self._filters: dict[Subscriber, Filter] = {}

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def __iter__(self) -> Iterator[Subscriber]:
        for group in tuple(self._groups.values()):
            yield from tuple(group)

    def add(self, subscriber: Subscriber, wanted: Filter | None) -> None:
        """From the next burst on `subscriber` gets what is `wanted`, None for everything."""
        self._groups.setdefault((wanted, subscriber.encoding), set()).add(subscriber)
        if wanted is not None:
            self._filters[subscriber] = wanted

    def discard(self, subscriber: Subscriber) -> None:
        """Forget `subscriber`; it may be unknown."""
        name = (self._filters.pop(subscriber, None), subscriber.encoding)
        group = self._groups.get(name)
        if group is not None:
            group.discard(subscriber)
            if not group:
                del self._groups[name]

    def groups(self) -> Iterator[Group]:
        """Everybody, as it is now: subscribers come and go while a burst is handed out."""
        for (wanted, encoding), group in self._groups.items():
            yield wanted, encoding, tuple(group), group


class Shares:
    """What of a burst each filter lets through, told once; equal shares are one burst."""

    def __init__(self, burst: Burst) -> None:
        self._burst = burst
        self._shares: dict[Filter, Burst | None] = {}
        self._bursts: dict[tuple[int, ...], Burst] = {}

    def of(self, wanted: Filter | None) -> Burst | None:
        """What subscribers with this filter get; None for nothing."""
        if wanted is None:
            return self._burst
        if wanted not in self._shares:
            self._shares[wanted] = self._choose(wanted)
        return self._shares[wanted]

    def _choose(self, wanted: Filter) -> Burst | None:
        chosen = wanted_frames(self._burst.frames, wanted)
        if len(chosen) == len(self._burst.frames):
            return self._burst
        if not chosen:
            return None
        places = tuple(frame.offset for frame in chosen)
        if places not in self._bursts:
            self._bursts[places] = Burst(self._burst.channel, chosen)
        return self._bursts[places]


def wanted_frames(frames: Iterable[Frame], wanted: Filter | None) -> tuple[Frame, ...]:
    """The frames that a subscriber with this filter gets."""
    if wanted is None:
        return tuple(frames)
    return tuple(frame for frame in frames if wanted.matches(frame.entry))


def hand_out(burst: Burst, groups: Iterable[Group]) -> Generator[None, None, int]:
    """Offer everybody in `groups` their share of `burst`; yields between slices, returns the deliveries."""
    shares = Shares(burst)
    delivered = served = 0
    paused = False
    for wanted, encoding, subscribers, present in groups:
        share = shares.of(wanted)
        for start in range(0, len(subscribers) if share is not None else 1, SLICE):
            if served >= SLICE:
                served = 0
                paused = True
                yield
            if share is None:
                served += 1  # asking the filter took its time, too
                continue
            data = share.encoded(encoding)
            some: Sequence[Subscriber] = subscribers[start : start + SLICE]
            if paused:  # who has left meanwhile, or may follow it no longer, gets nothing more
                some = [subscriber for subscriber in some if subscriber in present]
            for subscriber in some:
                subscriber.offer(data, share)
            served += len(some)
            delivered += len(some) * len(share.frames)
    return delivered
