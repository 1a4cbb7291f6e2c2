"""The topics a consumer takes part in: names, and patterns held against nsqlookupd's list of topics."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from nsqgw.errors import ConfigError, NSQError
from nsqgw.lookup.discovery import Discovery, OnFound
from nsqgw.lookup.sources import Sources
from nsqgw.protocol.names import EPHEMERAL_SUFFIX, check_topic

_WILDCARDS = re.compile(r"[*?\[]")


def split_topics(topics: str | Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names and the patterns (`logs.*`, with `*`, `?` and `[...]`) among `topics`.

    ConfigError when there is none, or a name that nsqd would refuse.
    """
    try:
        given: list[str] = [topics] if isinstance(topics, str | bytes) else list(topics)
    except TypeError:
        raise ConfigError(f"topic = {topics!r} must be a str, or several") from None
    if not given:
        raise ConfigError("no topic given: name at least one")
    patterns = [topic for topic in given if isinstance(topic, str) and _WILDCARDS.search(topic)]
    names = [check_topic(topic) for topic in given if topic not in patterns]
    for pattern in patterns:
        check_topic(re.sub(r"[*?\[\]!]", "x", pattern)[:64] or "x")
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(patterns))


class Topics:
    """One `Sources` per topic; a topic that a pattern once matched stays, even if nsqlookupd forgets it."""

    def __init__(
        self,
        names: Iterable[str],
        patterns: Iterable[str],
        make_sources: Callable[[str], Sources],
        watch_topics: Callable[[OnFound], Discovery],
    ) -> None:
        self._names = tuple(names)
        self._patterns = tuple(patterns)
        self._make_sources = make_sources
        self._sources: dict[str, Sources] = {}
        self._stopping = False
        self._watch = watch_topics(self.seen) if self._patterns else None

    @property
    def names(self) -> tuple[str, ...]:
        """The topics taken part in now."""
        return tuple(self._sources)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The nsqds that are connected or to be connected, of all topics."""
        return tuple(dict.fromkeys(a for sources in self._sources.values() for a in sources.addresses))

    @property
    def problems(self) -> dict[str, str]:
        """The last trouble with each address that has not recovered."""
        found = dict(self._watch.problems) if self._watch is not None else {}
        for sources in self._sources.values():
            found |= sources.problems
        return found

    def start(self) -> None:
        """Begin to connect for the topics given by name, and to look for those that match the patterns."""
        for name in self._names:
            self._join(name)
        if self._watch is not None:
            self._watch.start()

    def seen(self, topics: Iterable[str]) -> None:
        """These topics exist: join what a pattern matches; ephemeral ones only if the pattern says so."""
        for topic in sorted(topics):
            if topic not in self._sources and any(matches(topic, pattern) for pattern in self._patterns):
                self._join(topic)

    def connected(self, topic: str, address: str) -> None:
        """A connection of `topic` has its subscription."""
        self._sources[topic].recovered(address)

    def disconnected(self, topic: str, address: str, error: NSQError) -> None:
        """A connection of `topic` was lost."""
        self._sources[topic].disconnected(address, error)

    async def stop_connecting(self) -> None:
        """Make no new connections; the living ones stay."""
        self._stopping = True
        if self._watch is not None:
            await self._watch.stop()
        await asyncio.gather(*(sources.stop_connecting() for sources in self._sources.values()))

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(sources.close() for sources in self._sources.values()))

    def _join(self, topic: str) -> None:
        if not self._stopping:
            self._sources[topic] = self._make_sources(topic)
            self._sources[topic].start()


def matches(topic: str, pattern: str) -> bool:
    """Whether the pattern means the topic; an ephemeral one only if the pattern says so."""
    if topic.endswith(EPHEMERAL_SUFFIX) and not pattern.endswith(EPHEMERAL_SUFFIX):
        return False
    return fnmatchcase(topic, pattern)
