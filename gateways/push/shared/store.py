"""The history in Redis, as far as the gateway asks it: state, what a channel has, adding messages.

Every question has a deadline and one answer; whoever asks decides about trying again. Trouble of any kind is
`StoreUnreachable`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgpack

from gateways.push.entry import Entry, timestamp_of
from gateways.push.history import HistoryLimits
from gateways.push.outlet import NotTaken
from gateways.push.shared.script import ADD, STATE, TEAR
from gateways.push.shared.settings import SharedSettings
from nsqgw.deadline import within
from nsqgw.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

T = TypeVar("T")

ADDED_AT_ONCE = 500
"""Messages in one call of the script; while it runs Redis does nothing else."""


class StoreUnreachable(NotTaken):
    """Redis did not answer, or with an error."""


@dataclass(frozen=True)
class State:
    """What holds for all processes."""

    epoch: str
    number: int
    forgotten: int
    """No more is known of channels whose last message has this number or a lower one."""
    torn: int
    """Until here messages may have been lost before they came to Redis."""


@dataclass(frozen=True)
class Stored:
    """A message with its number, and that of the one before it in its channel; no channel is a loss."""

    number: int
    before: int
    channel: str
    entry: Entry


class Store:
    """A connection pool; `open` before anything else."""

    def __init__(self, settings: SharedSettings, limits: HistoryLimits, max_channels: int) -> None:
        self._settings = settings
        self._limits = limits
        self._max_channels = max_channels
        self._redis: Redis | None = None

    @property
    def name(self) -> str:
        """For logs."""
        return self._settings.shown_url

    def open(self) -> None:
        """Prepare to connect, which the first question does; ConfigError without the library."""
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as error:
            raise ConfigError("a shared history needs redis: pip install 'nsqgw[redis]'") from error
        timeout = self._settings.timeout
        self._redis = Redis.from_url(
            self._settings.url,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            max_connections=16,
        )
        self._add, self._state, self._tear = map(self._redis.register_script, (ADD, STATE, TEAR))

    async def close(self) -> None:
        """Let the connections go."""
        if self._redis is not None:
            await self._ask(self._redis.aclose())

    async def ping(self) -> None:
        """Whether it answers; StoreUnreachable where it does not, or does not let us in."""
        await self._ask(self._client().ping())

    async def state(self) -> State:
        """What holds now."""
        answer: Any = await self._ask(self._state(keys=[self._settings.prefix], args=[secrets.token_hex(6)]))
        epoch, number, forgotten, torn = answer
        return State(epoch.decode(), number, forgotten, torn)

    async def tear(self) -> None:
        """Announce that messages may have been lost before they came here, nobody knows of which channels."""
        await self._ask(self._tear(keys=[self._settings.prefix], args=[secrets.token_hex(6)]))

    def unknown(self, topic: str, entries: Sequence[Entry]) -> Sequence[Entry]:
        """All of them: the script knows better, for all processes."""
        return entries

    async def put(self, routed: Mapping[str, Sequence[Entry]]) -> None:
        """Number, keep and announce the messages that are not known yet; once it returns they are there.

        When it raises, some may be there: adding them again does no harm.
        """
        limits = self._limits
        bounds = (limits.max_messages, limits.max_bytes, max(1, int(limits.max_age * 1000)))
        remember = max(1, int(self._settings.remember * 1000))
        pairs = [(channel, entry) for channel, entries in routed.items() for entry in entries]
        for start in range(0, len(pairs), ADDED_AT_ONCE):
            some = pairs[start : start + ADDED_AT_ONCE]
            flat = [part for channel, entry in some for part in (channel, entry.key, entry.body)]
            fixed: list[Any] = [secrets.token_hex(6), *bounds, remember, self._max_channels]
            await self._ask(self._add(keys=[self._settings.prefix], args=[*fixed, *flat]))

    async def channels_after(self, number: int) -> list[tuple[str, int]]:
        """Channels with messages after `number`, and the numbers of their last."""
        redis, prefix = self._client(), self._settings.prefix
        found: Any = await self._ask(
            redis.zrangebyscore(f"{prefix}:channels", f"({number}", "+inf", withscores=True)
        )
        return [(channel.decode(), int(score)) for channel, score in found]

    async def history(self, channel: str, after: int, until: int) -> list[Stored]:
        """What is kept of `channel`, after and until these numbers."""
        redis, prefix = self._client(), self._settings.prefix
        rows: Any = await self._ask(
            redis.xrange(f"{prefix}:history:{channel}", f"{after + 1}-0", f"{until}-0")
        )
        return [_stored(channel, row_id, fields) for row_id, fields in rows]

    @asynccontextmanager
    async def news(self) -> AsyncIterator[PubSub]:
        """A subscription to what is added from now on, in a connection of its own."""
        pubsub = self._client().pubsub()
        try:
            await self._ask(pubsub.subscribe(f"{self._settings.prefix}:news"))
            await self._ask(_confirmed(pubsub))
            yield pubsub
        finally:
            await self._ask(pubsub.aclose())

    async def next_news(self, pubsub: PubSub) -> tuple[str, list[Stored]] | None:
        """What was added at one go, and the epoch; None when Redis had nothing to say, but is there."""
        pinged = False
        while True:
            message = await self._ask(
                pubsub.get_message(ignore_subscribe_messages=True, timeout=self._settings.timeout / 2)
            )
            if message is not None and message["type"] == "message":
                return parse_news(message["data"])
            if message is not None:
                return None
            if pinged:
                raise StoreUnreachable(f"{self.name}: no answer to a ping")
            await self._ask(pubsub.ping())
            pinged = True

    def _client(self) -> Any:  # the library's types know of all its modes at once
        assert self._redis is not None, "not opened"
        return self._redis

    async def _ask(self, question: Awaitable[T]) -> T:
        from redis.exceptions import RedisError

        try:
            return await within(self._settings.timeout, question)
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            raise StoreUnreachable(f"{self.name}: {error or type(error).__name__}") from error


def parse_news(data: bytes) -> tuple[str, list[Stored]]:
    """What the script publishes."""
    epoch, *rows = msgpack.unpackb(data, raw=True)
    return epoch.decode(), [
        Stored(int(number), int(before), channel.decode(), _entry(key.decode(), body))
        for number, before, channel, key, body in rows
    ]


def by_channel(stored: Iterable[Stored]) -> dict[str, list[Stored]]:
    """The same, each channel's in order."""
    found: dict[str, list[Stored]] = {}
    for one in stored:
        found.setdefault(one.channel, []).append(one)
    return found


def _stored(channel: str, row_id: bytes, fields: Mapping[bytes, bytes]) -> Stored:
    entry = _entry(fields[b"key"].decode(), fields[b"body"])
    return Stored(int(row_id.partition(b"-")[0]), int(fields[b"before"]), channel, entry)


def _entry(key: str, body: bytes) -> Entry:
    return Entry(body, timestamp_of(key), key[16:].encode())


async def _confirmed(pubsub: Any) -> None:
    """Until Redis has confirmed the subscription: what is added from then on is heard."""
    while (await pubsub.get_message(timeout=None) or {}).get("type") != "subscribe":
        pass
