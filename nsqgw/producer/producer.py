"""The producer: publishes to whichever nsqd is alive, and says of each message what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any

from nsqgw.config import ProducerConfig, configured
from nsqgw.connection import Connection
from nsqgw.connection.address import address_list, parse_address, tell_problems
from nsqgw.connection.address_map import AddressMap
from nsqgw.connection.replies import Then
from nsqgw.deadline import within
from nsqgw.errors import (
    Closed,
    ConfigError,
    MessageTooBig,
    NotConnected,
    NSQError,
    PublishError,
)
from nsqgw.instrument import OnFact, guarded, to_logging
from nsqgw.lookup.client import lookup_address
from nsqgw.lookup.feed import JoinedFeeds, TopologyFeed
from nsqgw.lookup.feed_stream import stream_of
from nsqgw.producer.merge import Merger
from nsqgw.producer.outbox import Outbox
from nsqgw.producer.pool import Pool
from nsqgw.producer.request import Deadline, tell_of
from nsqgw.producer.window import Window
from nsqgw.protocol.commands import encode_dpub, encode_mpub, size_prefix
from nsqgw.protocol.delays import check_delay, delay_ms
from nsqgw.protocol.frames import OK
from nsqgw.protocol.names import check_topic


@dataclasses.dataclass(frozen=True, slots=True)
class ProducerStats:
    """A producer's figures: messages confirmed, failed and without an answer yet, nsqds connected."""

    published: int
    failed: int
    outstanding: int
    connected: tuple[str, ...]


class Producer:
    """Publishes to one or more nsqds; each message goes to one of them, in turn over those alive.

    `publish` returns when nsqd has confirmed, and raises otherwise: PublishError when the message
    certainly was not accepted, ConnectionClosed or DeadlineExceeded when that is unknown, ServerError when
    nsqd refused. What nsqd certainly did not take is sent again, to another nsqd where there is one; what
    it may have taken only with `retry_unknown`. It ends at its deadline: `publish_timeout` seconds after
    the call when it had to wait, after the first failure when it was sent at once. Publishes of one loop
    turn leave in one write; without a connection they wait for one.

    The nsqds are those given by address and all that the nsqlookupds know, asked again and again; an
    `address_map` says how to reach what they advertise. New ones are heard of at once from
    `topology_http_addresses` or a `topology_feed`, as consumers do. One that nsqlookupd names no more is used
    as long as its connection lives. Settings are fields of `ProducerConfig`, given as `config` or one by one.
    """

    def __init__(
        self,
        nsqd_tcp_addresses: Iterable[str] = (),
        *,
        lookupd_http_addresses: Iterable[str] = (),
        topology_http_addresses: Iterable[str] = (),
        topology_feed: TopologyFeed | None = None,
        address_map: Mapping[str, str] | None = None,
        config: ProducerConfig | None = None,
        on_fact: OnFact = to_logging,
        **options: Any,
    ) -> None:
        self.config = configured(ProducerConfig, config, options)
        self._addresses = address_list("nsqd_tcp_addresses", nsqd_tcp_addresses)
        self._lookupds = address_list("lookupd_http_addresses", lookupd_http_addresses)
        for address in self._addresses:
            parse_address(address)
        for address in self._lookupds:
            lookup_address(address)
        streams = address_list("topology_http_addresses", topology_http_addresses)
        if not self._addresses and not self._lookupds and topology_feed is None:
            raise ConfigError(
                "nsqd_tcp_addresses is empty: name at least one nsqd, or lookupd_http_addresses"
            )
        self._address_map = AddressMap(address_map)
        self._on_fact = guarded(on_fact)
        self._stream = stream_of(streams, self.config, self._on_fact)
        self._feed = JoinedFeeds(self._stream, *([topology_feed] if topology_feed is not None else []))
        self._max_message_size = self.config.max_message_size
        self._window = Window(self.config.max_outstanding, self.config.max_outstanding_bytes)
        self._enter = self._window.try_enter
        self._pool = Pool(_with_reply_timeout(self.config), self._on_fact)
        self._outbox = Outbox(self._pool, self._window, self.config, self._on_fact, self._blocked)
        self._pick: Callable[[], Connection | None] = _pick_none
        self._merger: Merger | None = None
        self._started = False
        self._closing = False
        self._stopped = asyncio.Event()

    # -- life

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._started:
            raise Closed("a producer can be started once; make a new one")
        self._started = True
        sources = (self._addresses, self._lookupds, self._feed, self._address_map)
        self._pool.start(*sources, self._outbox, self._outbox.send)
        self._stream.start()
        self._pick = self._pool.pick
        if self.config.merge:
            self._merger = Merger(self._publish_batch, self.config.max_batch_size)

    async def stop(self, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds (by default `publish_timeout`) for the answers due, then disconnect.

        What was published before is still sent meanwhile, for the first time or again. Publishes that have
        no answer then raise ConnectionClosed, those not sent yet Closed. Calling it again waits for the same
        end.
        """
        if not self._started:
            return
        if self._closing:
            await self._stopped.wait()
            return
        if self._merger is not None:
            self._merger.flush()
            self._merger = None
        self._closing = True
        self._pick = _pick_none
        seconds = self.config.publish_timeout if timeout is None else timeout
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(seconds, self._window.wait_empty())
        finally:
            self._outbox.close()
            await asyncio.gather(self._stream.stop(), self._pool.close())
            self._stopped.set()

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Until some nsqd is connected; NotConnected after `timeout` seconds, naming each and its trouble."""
        self._check_running()
        try:
            await within(timeout, self._pool.wait())
        except asyncio.TimeoutError:
            raise self._not_connected(f"within {timeout:g} s") from None

    async def __aenter__(self) -> Producer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop(0.0 if error is not None else None)

    @property
    def stats(self) -> ProducerStats:
        """Figures up to now."""
        outbox = self._outbox
        return ProducerStats(outbox.published, outbox.failed, self._window.count, self._pool.addresses)

    # -- publishing

    async def publish(
        self,
        topic: str,
        body: bytes,
        *,
        delay: float | None = None,
        key: bytes | None = None,
        timeout: float | None = None,
    ) -> None:
        """Publish one message and wait for nsqd's confirmation; see the class for the errors.

        With `delay` it is delivered after so many seconds (DPUB), at most `max_delay`. Messages with the same
        `key` go to the same nsqd as long as that is alive. `timeout` in seconds is for everything from the
        call on, tries again included; by default `publish_timeout` is, see there.
        """
        await self._publish_one(topic, body, delay, key, timeout)

    def publish_soon(
        self,
        topic: str,
        body: bytes,
        *,
        delay: float | None = None,
        key: bytes | None = None,
        timeout: float | None = None,
    ) -> asyncio.Future[None]:
        """Publish one message now, to be awaited later; the cheapest way to have many under way.

        The future is done when nsqd has confirmed, and fails as `publish` would. Wrong arguments raise at
        once, and so does, with PublishError, a program that publishes faster than nsqd takes it: beyond
        `max_outstanding` unanswered messages as many again wait in line, and no more.
        """
        if self._window.line_full:
            raise self._line_full()
        return self._publish_one(topic, body, delay, key, timeout)

    def publish_then(
        self,
        topic: str,
        body: bytes,
        then: Then,
        *,
        delay: float | None = None,
        key: bytes | None = None,
        timeout: float | None = None,
    ) -> None:
        """Publish one message now and have `then` called when its fate is known; cheaper than a future.

        `then(None)` says that nsqd has confirmed; otherwise it is called with the error `publish` would
        raise. It is called once, in the loop, and must not block. Whatever wrong arguments and
        `publish_soon` raise is raised here, and `then` not called.
        """
        if delay is None and key is None and timeout is None and self._merger is None:
            data = self._pub(topic, body)
            connection = self._pick()
            if connection is not None and self._enter(len(data), 1):
                connection.ask(then, data, OK, 1)
                return
        tell_of(self.publish_soon(topic, body, delay=delay, key=key, timeout=timeout), then)

    async def publish_many(
        self, topic: str, bodies: Iterable[bytes], *, timeout: float | None = None
    ) -> None:
        """Publish messages with as few MPUBs as nsqd's limit allows; one, up to `max_batch_size` bytes.

        nsqd looks at all messages of an MPUB before it takes any, so that one it refuses leaves nothing
        behind; after MpubFailed, as after a broken connection, some of it may be stored. `published` of the
        error says how many messages, counted from the first, the MPUBs before it have certainly published;
        of those after it nothing was sent. `timeout` is for all of them together, by default
        `publish_timeout` is.
        """
        check_topic(topic)
        all_bodies, lengths = self._check_bodies(list(bodies))
        if 0 < 4 * len(lengths) + sum(lengths) <= self.config.max_batch_size - 4:
            await self._publish(encode_mpub(topic, all_bodies, lengths), len(lengths), timeout=timeout)
            return
        deadline = self._deadline(timeout)
        published = 0
        for batch in self._split(all_bodies):
            try:
                await self._publish_by(deadline, encode_mpub(topic, batch), len(batch))
            except NSQError as error:
                if not published:
                    raise
                partial = copy.copy(error)  # others may have failed with the same one
                partial.published = published
                raise partial from error
            published += len(batch)

    def _publish_one(
        self, topic: str, body: bytes, delay: float | None, key: bytes | None, timeout: float | None
    ) -> asyncio.Future[None]:
        if delay is not None:
            milliseconds = delay_ms(self._check_delay(delay))
            data = encode_dpub(check_topic(topic), milliseconds, self._check_body(body))
        elif self._merger is not None and key is None and timeout is None:
            return self._merger.add(check_topic(topic), self._check_body(body))
        else:
            data = self._pub(topic, body)
        return self._publish(data, 1, key, timeout)

    def _pub(self, topic: str, body: bytes) -> bytes:
        if type(body) is not bytes or not 0 < len(body) <= self._max_message_size:
            body = self._check_body(body)
        if type(topic) is not str:
            check_topic(topic)
        return _pub_head(topic) + size_prefix(len(body)) + body

    def _publish(
        self, data: bytes, count: int, key: bytes | None = None, timeout: float | None = None
    ) -> asyncio.Future[None]:
        # The way nearly all messages take: a connection is there, and there is room.
        connection = self._pick() if key is None and timeout is None else None
        if connection is not None and self._enter(len(data), count):
            return connection.request(data, OK, count)
        return self._publish_by(self._deadline(timeout), data, count, key)

    def _publish_batch(self, topic: str, bodies: list[bytes]) -> asyncio.Future[None]:
        return self._publish(encode_mpub(topic, bodies), len(bodies))

    def _publish_by(
        self, deadline: Deadline, data: bytes, count: int, key: bytes | None = None
    ) -> asyncio.Future[None]:
        """Wait for room, for a connection and for the answer."""
        self._check_running()
        if key is not None and not isinstance(key, bytes):
            raise TypeError(f"key must be bytes, not {type(key).__name__}; encode it, e.g. text.encode()")
        return self._outbox.add(data, count, key, deadline)

    def _deadline(self, timeout: float | None) -> Deadline:
        seconds = self.config.publish_timeout if timeout is None else timeout
        return Deadline(asyncio.get_running_loop().time() + seconds, f"within {seconds:g} s")

    def _check_running(self) -> None:
        if not self._started or self._closing:
            raise Closed("the producer is not running: use 'async with Producer(...)' or await start()")

    def _blocked(self, deadline: str) -> PublishError:
        """Why something could not be sent so long."""
        if self._pool.pick() is None:
            return self._not_connected(deadline)
        return PublishError(
            f"not sent {deadline}: {self._window.count} publishes are unanswered (max_outstanding)"
        )

    def _not_connected(self, deadline: str) -> NotConnected:
        problems = tell_problems(self._addresses, self._pool.problems)
        if not problems:
            problems = (
                f"nsqlookupd at {', '.join(map(str, map(lookup_address, self._lookupds)))} knows no nsqd"
            )
        return NotConnected(f"no nsqd connected {deadline}: {problems}")

    def _line_full(self) -> PublishError:
        return PublishError(
            f"{self._window.count} publishes are unanswered and as much again is in line (max_outstanding, "
            "max_outstanding_bytes): await the futures of some, or use publish, which waits"
        )

    def _check_delay(self, delay: float) -> float:
        if check_delay(delay) > self.config.max_delay:
            raise ConfigError(
                f"delay = {delay!r} is more than max_delay = {self.config.max_delay:g}: nsqd closes the "
                "connection over more than its -max-req-timeout; raise both"
            )
        return delay

    def _check_body(self, body: bytes) -> bytes:
        if type(body) is not bytes:
            if not isinstance(body, bytes | bytearray | memoryview):
                raise TypeError(
                    f"body must be bytes, not {type(body).__name__}; encode it, e.g. text.encode()"
                )
            body = bytes(body)
        if not body:
            raise PublishError("the body is empty; nsqd takes messages of one byte and more")
        if len(body) > self.config.max_message_size:
            raise MessageTooBig(
                f"the body has {len(body)} bytes, max_message_size is {self.config.max_message_size}"
            )
        return body

    def _check_bodies(self, bodies: list[bytes]) -> tuple[list[bytes], list[int]]:
        """The bodies as bytes, and their lengths."""
        # Three passes in C find nearly always that there is nothing to look at one by one.
        lengths = list(map(len, bodies)) if set(map(type, bodies)) == {bytes} else [0]
        if min(lengths) == 0 or max(lengths) > self._max_message_size:
            bodies = [self._check_body(body) for body in bodies]
            lengths = list(map(len, bodies))
        return bodies, lengths

    def _split(self, bodies: list[bytes]) -> Iterator[list[bytes]]:
        batch: list[bytes] = []
        size = 4
        for body in bodies:
            if batch and size + 4 + len(body) > self.config.max_batch_size:
                yield batch
                batch, size = [], 4
            batch.append(body)
            size += 4 + len(body)
        if batch:
            yield batch


def _with_reply_timeout(config: ProducerConfig) -> ProducerConfig:
    """A connection is not given longer for an answer than a publish has."""
    reply_timeout = min(config.connection.reply_timeout, config.publish_timeout)
    return dataclasses.replace(
        config, connection=dataclasses.replace(config.connection, reply_timeout=reply_timeout)
    )


def _pick_none() -> None:
    """There is no connection while the producer is not running."""


@lru_cache(maxsize=1024)
def _pub_head(topic: str) -> bytes:
    return b"PUB " + check_topic(topic).encode("ascii") + b"\n"
