"""The producer: publishes to whichever nsqd is alive, and says of each message what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeVar

from nsqgw.config import ProducerConfig, configured
from nsqgw.connection import Connection
from nsqgw.connection.address import address_list, parse_address, tell_problems
from nsqgw.deadline import within
from nsqgw.errors import (
    Closed,
    ConfigError,
    DeadlineExceeded,
    MessageTooBig,
    NotConnected,
    NSQError,
    PublishError,
)
from nsqgw.instrument import OnFact, PublishingAgain, guarded, to_logging
from nsqgw.producer.merge import Merger
from nsqgw.producer.pool import Pool
from nsqgw.producer.retry import may_retry
from nsqgw.producer.window import Window
from nsqgw.protocol.commands import encode_dpub, encode_mpub
from nsqgw.protocol.delays import check_delay, delay_ms
from nsqgw.protocol.frames import OK
from nsqgw.protocol.names import check_topic

T = TypeVar("T")
_pack_size = struct.Struct(">i").pack


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
    it may have taken only with `retry_unknown`. Publishes of one loop turn leave in
    one write; without a connection they wait for one, up to `publish_timeout`.

    Settings are fields of `ProducerConfig`, given as `config` or one by one.
    """

    def __init__(
        self,
        nsqd_tcp_addresses: Iterable[str],
        *,
        config: ProducerConfig | None = None,
        on_fact: OnFact = to_logging,
        **options: Any,
    ) -> None:
        self.config = configured(ProducerConfig, config, options)
        self._addresses = address_list("nsqd_tcp_addresses", nsqd_tcp_addresses)
        for address in self._addresses:
            parse_address(address)
        if not self._addresses:
            raise ConfigError("nsqd_tcp_addresses is empty: name at least one nsqd")
        self._on_fact = guarded(on_fact)
        self._max_message_size = self.config.max_message_size
        self._window = Window(self.config.max_outstanding, self.config.max_outstanding_bytes)
        self._enter = self._window.try_enter
        self._pool: Pool | None = None
        self._pick: Callable[[], Connection | None] = _pick_none
        self._merger: Merger | None = None
        self._closing = False
        self._again: dict[asyncio.Task[None], None] = {}
        self._published = 0
        self._failed = 0

    # -- life

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._pool is not None:
            raise Closed("a producer can be started once; make a new one")
        reply_timeout = min(self.config.connection.reply_timeout, self.config.publish_timeout)
        connection = dataclasses.replace(self.config.connection, reply_timeout=reply_timeout)
        config = dataclasses.replace(self.config, connection=connection)
        self._pool = Pool(self._addresses, config, self, self._on_fact)
        self._pool.start()
        self._pick = self._pool.pick
        self._merger = Merger(self._publish_batch, config.max_batch_size) if config.merge else None
        self._stopped = asyncio.Event()

    async def stop(self, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds (by default `publish_timeout`) for the answers due, then disconnect.

        Publishes that still have none then raise ConnectionClosed, those not sent yet Closed. Calling it
        again waits for the same end.
        """
        if self._pool is None:
            return
        if self._closing:
            await self._stopped.wait()
            return
        self._closing = True
        self._pick = _pick_none
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(
                    self.config.publish_timeout if timeout is None else timeout, self._window.wait_empty()
                )
        finally:
            await self._pool.close()
            await asyncio.gather(*self._again, return_exceptions=True)
            self._stopped.set()

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Until some nsqd is connected; NotConnected after `timeout` seconds, naming each and its trouble."""
        end = None if timeout is None else asyncio.get_running_loop().time() + timeout
        await _by(end, self._running_pool().wait(), self._not_connected(timeout))

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
        connected = self._pool.addresses if self._pool is not None else ()
        return ProducerStats(self._published, self._failed, self._window.count, connected)

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
        `key` go to the same nsqd as long as that is alive. `timeout` in seconds replaces `publish_timeout`.
        """
        await self.publish_soon(topic, body, delay=delay, key=key, timeout=timeout)

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
        once.
        """
        if type(body) is not bytes or not 0 < len(body) <= self._max_message_size:
            body = self._check_body(body)
        if type(topic) is not str:
            check_topic(topic)
        if delay is not None:
            data = encode_dpub(check_topic(topic), delay_ms(self._check_delay(delay)), body)
        elif self._merger is not None and key is None and timeout is None:
            return self._merger.add(check_topic(topic), body)
        else:
            data = _pub_head(topic) + _pack_size(len(body)) + body
        return self._publish(data, 1, key, timeout)

    async def publish_many(
        self, topic: str, bodies: Iterable[bytes], *, timeout: float | None = None
    ) -> None:
        """Publish messages with as few MPUBs as nsqd's limit allows, each accepted as a whole or not at all.

        Up to `max_batch_size` bytes that is one. When a later one fails, the earlier ones are published.
        """
        check_topic(topic)
        for batch in self._split(self._check_bodies(list(bodies))):
            await self._publish(encode_mpub(topic, batch), len(batch), None, timeout)

    def _publish_batch(self, topic: str, bodies: list[bytes]) -> asyncio.Future[None]:
        return self._publish(encode_mpub(topic, bodies), len(bodies), None, None)

    def _publish(
        self, data: bytes, count: int, key: bytes | None, timeout: float | None
    ) -> asyncio.Future[None]:
        # The way nearly all messages take: a connection is there, and there is room.
        connection = self._pick() if key is None and timeout is None else None
        if connection is not None and self._enter(len(data), count):
            return connection.request(data, OK, count)
        self._running_pool()
        seconds = self.config.publish_timeout if timeout is None else timeout
        return asyncio.ensure_future(self._publish_later(data, count, key, seconds))

    async def _publish_later(self, data: bytes, count: int, key: bytes | None, timeout: float) -> None:
        """Wait for room, then for a connection, then for the answer: all within `timeout`."""
        end = asyncio.get_running_loop().time() + timeout
        full = (
            f"not sent within {timeout:g} s: {self._window.count} publishes are unanswered (max_outstanding)"
        )
        await _by(end, self._window.enter(len(data), count), lambda: PublishError(full))
        try:
            connection = await _by(end, self._running_pool().wait(key), self._not_connected(timeout))
        except BaseException:
            self._leave(data, count)
            raise
        unknown = f"nsqd at {connection.address} did not confirm within {timeout:g} s"
        await _by(end, connection.request(data, OK, count), lambda: DeadlineExceeded(unknown))

    # -- what a connection tells (connection.replies.Requester)

    def confirmed(self, size: int, count: int) -> None:
        """nsqd has taken so many messages."""
        self._published += count
        self._window.leave(size, count)

    def lost(self, future: asyncio.Future[None], data: bytes, count: int, error: NSQError) -> None:
        """A publish failed: send it again where that is safe, or asked for."""
        if future.done() or self._closing or not may_retry(error, self.config.retry_unknown):
            self._leave(data, count)
            if not future.done():
                future.set_exception(error)
            return
        self._on_fact(PublishingAgain(count, error))
        task = asyncio.get_running_loop().create_task(self._send_again(future, data, count, error))
        self._again[task] = None
        task.add_done_callback(lambda done: self._again.pop(done, None))

    async def _send_again(
        self, future: asyncio.Future[None], data: bytes, count: int, error: NSQError
    ) -> None:
        timeout = self.config.publish_timeout
        end = asyncio.get_running_loop().time() + timeout
        try:
            connection = await _by(end, self._running_pool().wait(), self._not_connected(timeout))
        except NSQError as still_no_connection:
            self._leave(data, count)
            if not future.done():
                still_no_connection.__cause__ = error
                future.set_exception(still_no_connection)
        else:
            connection.send_again(future, data, OK, count)

    def _leave(self, data: bytes, count: int) -> None:
        self._failed += count
        self._window.leave(len(data), count)

    def _running_pool(self) -> Pool:
        if self._pool is None or self._closing:
            raise Closed("the producer is not running: use 'async with Producer(...)' or await start()")
        return self._pool

    def _not_connected(self, timeout: float | None) -> Callable[[], NotConnected]:
        def error() -> NotConnected:
            problems = self._pool.problems if self._pool is not None else {}
            return NotConnected(
                f"no nsqd connected within {timeout:g} s: {tell_problems(self._addresses, problems)}"
            )

        return error

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

    def _check_bodies(self, bodies: list[bytes]) -> list[bytes]:
        # Three passes in C find nearly always that there is nothing to look at one by one.
        lengths = list(map(len, bodies)) if set(map(type, bodies)) == {bytes} else [0]
        if min(lengths) > 0 and max(lengths) <= self._max_message_size:
            return bodies
        return [self._check_body(body) for body in bodies]

    def _split(self, bodies: list[bytes]) -> Iterator[list[bytes]]:
        if bodies and 4 + 4 * len(bodies) + sum(map(len, bodies)) <= self.config.max_batch_size:
            yield bodies
            return
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


def _pick_none() -> None:
    """There is no connection while the producer is not running."""


@lru_cache(maxsize=1024)
def _pub_head(topic: str) -> bytes:
    return b"PUB " + check_topic(topic).encode("ascii") + b"\n"


async def _by(end: float | None, step: Awaitable[T], late: Callable[[], Exception]) -> T:
    """`step`, or the error `late` makes when it is not done at `end` on the loop's clock."""
    try:
        return await within(None if end is None else end - asyncio.get_running_loop().time(), step)
    except asyncio.TimeoutError:
        raise late() from None
