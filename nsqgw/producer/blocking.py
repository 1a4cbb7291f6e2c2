"""The producer for code without an event loop: scripts, Django, Flask, threads of any kind."""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any

from nsqgw.config import ProducerConfig
from nsqgw.connection.address import address_list
from nsqgw.errors import Closed, DeadlineExceeded, PublishError
from nsqgw.instrument import OnFact, to_logging
from nsqgw.producer.producer import Producer, ProducerStats
from nsqgw.producer.thread import ProducerThread, Step, outcome_of

logger = logging.getLogger(__name__)

EXIT_TIMEOUT = 5.0
"""Seconds a program that ends waits for the answers to what it published."""


class BlockingProducer:
    """A `Producer` in a background thread, for any number of threads; same arguments, settings and errors,
    but for `topology_feed`, which belongs to one event loop.

    It connects when it is first used, and works as a context manager. What is under way when the program
    ends is waited for, up to EXIT_TIMEOUT seconds.

    After a fork the child connects anew when it first publishes, also where it inherited a producer that
    was in use, as under a preloading application server. What was under way stays the parent's.

    Called on its own thread, as from a future's callback or `on_fact`, a method that waits raises
    RuntimeError instead of waiting for itself; `publish_soon` is fine there.
    """

    def __init__(
        self,
        nsqd_tcp_addresses: Iterable[str] = (),
        *,
        lookupd_http_addresses: Iterable[str] = (),
        topology_http_addresses: Iterable[str] = (),
        address_map: Mapping[str, str] | None = None,
        config: ProducerConfig | None = None,
        on_fact: OnFact = to_logging,
        **options: Any,
    ) -> None:
        self._make = partial(
            Producer,
            address_list("nsqd_tcp_addresses", nsqd_tcp_addresses),
            lookupd_http_addresses=address_list("lookupd_http_addresses", lookupd_http_addresses),
            topology_http_addresses=address_list("topology_http_addresses", topology_http_addresses),
            address_map=address_map,
            config=config,
            on_fact=on_fact,
            **options,
        )
        self.config = self._make().config
        self._closed = False
        # One run for each process, by pid. A lock that a fork has copied may be held for ever, so that the
        # child gets new ones, and setdefault, which needs none, decides between its first threads.
        self._runs: dict[int, _Run] = {}

    # -- life

    def start(self) -> None:
        """Begin to connect; returns at once. Publishing does it, too."""
        self._run().start()

    def close(self, timeout: float | None = None) -> None:
        """Wait up to `timeout` seconds (by default `publish_timeout`) for the answers due, then disconnect.

        Futures that have none by then fail as `Producer.stop` says. Calling it again does nothing.
        """
        self._closed = True
        run = self._runs.get(os.getpid())
        if run is not None:
            run.stop(self.config.publish_timeout if timeout is None else timeout)
        atexit.unregister(self._close_at_exit)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all published so far is answered; the futures tell how.

        DeadlineExceeded after `timeout` seconds, by default `publish_timeout`.
        """
        run = self._runs.get(os.getpid())
        if run is not None:
            run.flush(self.config.publish_timeout if timeout is None else timeout)

    def wait_connected(self, timeout: float | None = None) -> None:
        """Until some nsqd is connected; NotConnected after `timeout` seconds, naming each and its trouble."""
        self._run().wait(lambda producer: producer.wait_connected(timeout))

    def __enter__(self) -> BlockingProducer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(0.0 if error is not None else None)

    @property
    def stats(self) -> ProducerStats:
        """Figures up to now, of this process."""
        run = self._runs.get(os.getpid())
        return (run.producer if run is not None else self._make()).stats

    # -- publishing

    def publish(
        self,
        topic: str,
        body: bytes,
        delay: float | None = None,
        timeout: float | None = None,
        *,
        key: bytes | None = None,
    ) -> None:
        """Publish one message and wait for nsqd's confirmation; errors as from `Producer.publish`.

        With `delay` it is delivered after so many seconds. `timeout` in seconds replaces `publish_timeout`.
        Messages with the same `key` go to the same nsqd while it lives. Interrupted
        (KeyboardInterrupt), the message may be published or not.
        """
        run = self._run()
        run.forbid_inside()
        outcome_of(run.publish_soon(topic, body, delay, timeout, key))

    def publish_many(self, topic: str, bodies: Iterable[bytes], timeout: float | None = None) -> None:
        """Publish messages in as few commands as nsqd's limit allows; see `Producer.publish_many`."""
        messages = list(bodies)
        self._run().wait(lambda producer: producer.publish_many(topic, messages, timeout=timeout))

    def publish_soon(
        self,
        topic: str,
        body: bytes,
        delay: float | None = None,
        timeout: float | None = None,
        *,
        key: bytes | None = None,
    ) -> Future[None]:
        """Publish one message; the future is done when nsqd has confirmed, and fails as `publish` would.

        It waits only while `max_outstanding` messages or `max_outstanding_bytes` are unanswered, and raises
        PublishError when that takes longer than the time-out. All other errors are the future's.
        """
        return self._run().publish_soon(topic, body, delay, timeout, key)

    def _run(self) -> _Run:
        """This process's run."""
        if self._closed:
            raise Closed("the producer was closed; make a new one")
        pid = os.getpid()
        run = self._runs.get(pid)
        if run is None:
            run = self._runs.setdefault(pid, _Run(self._make()))
            atexit.unregister(self._close_at_exit)
            atexit.register(self._close_at_exit)
        return run

    def _close_at_exit(self) -> None:
        self.close(min(EXIT_TIMEOUT, self.config.publish_timeout))


class _Run:
    """The life of a blocking producer in one process: its thread, and how much is under way."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self._config = producer.config
        self._room = threading.Condition()
        self._under_way: set[Future[None]] = set()
        self._count = 0
        self._bytes = 0
        self._thread: ProducerThread | None = None
        self._ended = False

    def start(self) -> ProducerThread:
        thread = self._thread
        if thread is None:
            with self._room:
                if self._ended:
                    raise Closed("the producer was closed; make a new one")
                if self._thread is None:
                    self._thread = ProducerThread(self.producer)
                thread = self._thread
        return thread

    def stop(self, timeout: float) -> None:
        self.forbid_inside()
        with self._room:
            self._ended = True
            self._room.notify_all()
        if self._thread is None:
            return
        failed = self.producer.stats.failed
        self._thread.stop(timeout)
        if lost := self.producer.stats.failed - failed + len(self._under_way):
            logger.warning("closed with %d messages unconfirmed after %g s", lost, timeout)

    def flush(self, timeout: float) -> None:
        self.forbid_inside()
        with self._room:
            under_way = set(self._under_way)
        left = concurrent.futures.wait(under_way, timeout).not_done
        if left:
            raise DeadlineExceeded(f"{len(left)} messages are not confirmed after {timeout:g} s")

    def wait(self, step: Step[None]) -> None:
        """Have `step` done on the thread, and wait for it."""
        thread = self.start()
        self.forbid_inside()
        outcome_of(thread.submit(step))

    def publish_soon(
        self, topic: str, body: bytes, delay: float | None, timeout: float | None, key: bytes | None
    ) -> Future[None]:
        body = _frozen(body)
        size = len(body) if type(body) is bytes else 0
        thread = self.start()
        timeout = self._enter(size, timeout)
        try:
            future = thread.submit(
                lambda producer: producer.publish_soon(topic, body, delay=delay, timeout=timeout, key=key)
            )
            with self._room:
                self._under_way.add(future)
        except BaseException:
            self._leave(size)
            raise
        future.add_done_callback(partial(self._settled, size))
        return future

    def forbid_inside(self) -> None:
        thread = self._thread
        if thread is None:
            with self._room:  # the thread may be at work before who starts it has put it here
                thread = self._thread
        if thread is not None and thread.inside:
            raise RuntimeError(
                "a blocking call on the producer's own thread (a callback of it, or on_fact) would wait for "
                "itself: use publish_soon there"
            )

    def _enter(self, size: int, timeout: float | None) -> float | None:
        """Wait for room; what is left of `timeout` then."""
        with self._room:
            if self._has_room(size):
                self._count += 1
                self._bytes += size
                return timeout
            seconds = self._config.publish_timeout if timeout is None else timeout
            end = time.monotonic() + seconds
            patience = 0.0 if self._thread is not None and self._thread.inside else seconds
            if not self._room.wait_for(lambda: self._ended or self._has_room(size), patience):
                under_way = f"{self._count} publishes are unanswered (max_outstanding)"
                raise PublishError(f"not sent within {patience:g} s: {under_way}")
            if self._ended:
                raise Closed("the producer was closed")
            self._count += 1
            self._bytes += size
        return max(0.0, end - time.monotonic())

    def _has_room(self, size: int) -> bool:
        return not self._count or (
            self._count < self._config.max_outstanding
            and self._bytes + size <= self._config.max_outstanding_bytes
        )

    def _settled(self, size: int, future: Future[None]) -> None:
        with self._room:
            self._under_way.discard(future)
        self._leave(size)

    def _leave(self, size: int) -> None:
        with self._room:
            self._count -= 1
            self._bytes -= size
            self._room.notify()


def _frozen(body: Any) -> Any:
    """The caller may change a buffer before the other thread comes to read it; what is none, it refuses."""
    return bytes(body) if isinstance(body, bytearray | memoryview) else body
