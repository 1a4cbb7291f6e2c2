"""The consumer: finds nsqds, keeps a subscription to each, hands messages on, and stops in good order."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any

from nsqgw.config import ConsumerConfig, configured
from nsqgw.connection import Connection
from nsqgw.connection.address import address_list, parse_address, tell_problems
from nsqgw.connection.address_map import AddressMap
from nsqgw.consumer.batches import Batch, Batches
from nsqgw.consumer.failures import E, FailureRules
from nsqgw.consumer.flow import Flow
from nsqgw.consumer.handlers import BatchHandler, Handler
from nsqgw.consumer.handover import Handlers, Handover
from nsqgw.consumer.inbox import Inbox
from nsqgw.consumer.stats import ConsumerStats, Totals
from nsqgw.consumer.subscription import Subscription
from nsqgw.consumer.topics import Topics, split_topics
from nsqgw.deadline import within
from nsqgw.errors import Closed, ConfigError, NotConnected, NSQError, ServerError
from nsqgw.instrument import (
    Connected,
    Disconnected,
    LookupFailed,
    OnFact,
    ServerRefused,
    TouchExhausted,
    guarded,
    to_logging,
)
from nsqgw.lookup.client import all_topics, lookup_address, who_has
from nsqgw.lookup.discovery import Discovery, OnFound
from nsqgw.lookup.feed import JoinedFeeds, TopologyFeed, Unfollow
from nsqgw.lookup.feed_stream import stream_of
from nsqgw.lookup.sources import Sources, discovery_for
from nsqgw.message import Message
from nsqgw.protocol.names import check_channel


class Consumer:
    """Consumes one channel of one or more topics from any number of nsqds.

    `topic` is a name, a pattern like `logs.*`, or several of both; what patterns match is looked up again
    at each poll of nsqlookupd. All topics share `max_in_flight` and the handler.

    `handler` is called with each message, `batch_handler` with all messages of a read; both may be
    sync (never blocking) or async. Returning finishes, raising gives back with backoff, and an explicit
    `message.finish()` or `message.requeue()` inside has the last word. Without a handler iterate over
    the consumer, or over `batches()`, and answer every message yourself.

    Async handlers are awaited by tasks that handle one message after the other: a context variable that one
    sets and does not reset is seen by some of those that follow.

    A message that came more than `max_attempts` times, or whose handler raised an exception for which
    `failure_rules` says so, is given up: it goes to `dead_letter_topic` or to `on_giving_up`, a handler
    like any other. Without either there is no giving up: nothing is dropped silently.

    The nsqds are those given by address and those the nsqlookupds know for the topic; an `address_map`
    says how to reach what they advertise. New ones are heard of at the next poll, or at once from
    `topology_http_addresses`, the event streams of our nsqlookupds or of `nsqgw topology`, or from a
    `topology_feed` that the caller keeps. All other settings are fields of `ConsumerConfig`, given as
    `config` or one by one. `on_fact` is called with what happens (see `nsqgw.instrument`); by default
    facts are logged. Wrong arguments raise ConfigError; an nsqd that is away raises nothing, it is tried
    again.
    """

    def __init__(
        self,
        topic: str | Iterable[str],
        channel: str,
        handler: Handler | None = None,
        *,
        batch_handler: BatchHandler | None = None,
        on_giving_up: Handler | None = None,
        failure_rules: FailureRules[E] | None = None,
        nsqd_tcp_addresses: Iterable[str] = (),
        lookupd_http_addresses: Iterable[str] = (),
        topology_http_addresses: Iterable[str] = (),
        topology_feed: TopologyFeed | None = None,
        address_map: Mapping[str, str] | None = None,
        config: ConsumerConfig | None = None,
        on_fact: OnFact = to_logging,
        **options: Any,
    ) -> None:
        self._names, self._patterns = split_topics(topic)
        self.topic = ",".join(self._names + self._patterns)
        self.channel = check_channel(channel)
        self.config = configured(ConsumerConfig, config, options)
        self._nsqds = address_list("nsqd_tcp_addresses", nsqd_tcp_addresses)
        self._lookupds = address_list("lookupd_http_addresses", lookupd_http_addresses)
        for address in self._nsqds:
            parse_address(address)
        for address in self._lookupds:
            lookup_address(address)
        streams = address_list("topology_http_addresses", topology_http_addresses)
        if not self._nsqds and not self._lookupds and topology_feed is None:
            raise ConfigError("no source given: set nsqd_tcp_addresses or lookupd_http_addresses")
        if self._patterns and not self._lookupds:
            raise ConfigError(
                f"topic {self._patterns[0]!r} is a pattern: set lookupd_http_addresses to resolve it"
            )
        self._address_map = AddressMap(address_map)
        self._handlers = Handlers(handler, batch_handler, on_giving_up, failure_rules or {})
        self._handlers.check(self.config)
        self._on_fact = guarded(on_fact)
        self._stream = stream_of(streams, self.config, self._on_fact)
        self._feed = JoinedFeeds(self._stream, *([topology_feed] if topology_feed is not None else []))
        self._unfollow: list[Unfollow] = []
        self._totals = Totals()
        self._figures = threading.Lock()
        self._started = False
        self._stopping = False
        self._closed: asyncio.Event | None = None

    # -- life

    async def start(self) -> None:
        """Begin to connect; returns at once. `wait_connected` waits for the first connection."""
        if self._started:
            raise Closed("a consumer can be started once; make a new one")
        self._started = True
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._connected = asyncio.Event()
        self._flow = Flow(self.config, self._on_fact)
        self._handover = Handover(self._handlers, lambda: self.config, self._on_fact)
        self._topics = Topics(self._names, self._patterns, self._make_sources, self._watch_topics)
        self._tend_timer: asyncio.TimerHandle | None = None
        self._topics.start()
        if self._patterns:
            self._unfollow.append(self._feed.follow_topics(self._topics.seen))
        self._stream.start()

    async def stop(self, timeout: float | None = None) -> None:
        """Stop receiving, let what is being handled finish, give back the rest, disconnect.

        Messages no handler has seen go back at once. Those being handled have `timeout` seconds, by
        default `drain_timeout`; then they are given back, too, and their handlers are cancelled.
        Returns when all is done; calling it again waits for the same end. A handler that calls it goes on at
        once: its own message is among those being handled.
        """
        if self._closed is None:
            self._started = True
            return
        if self._handover.is_run_by(asyncio.current_task()):
            self._stopped_by_handler = self._loop.create_task(self._stop(timeout))
            return
        await self._stop(timeout)

    async def _stop(self, timeout: float | None) -> None:
        assert self._closed is not None
        if self._stopping:
            await self._closed.wait()
            return
        self._stopping = True
        try:
            await self._drain(self.config.drain_timeout if timeout is None else timeout)
        finally:
            try:
                await self._handover.close()
            finally:
                await self._topics.close()
                self._closed.set()

    async def wait_closed(self) -> None:
        """Until the consumer has stopped."""
        self._check_started()
        assert self._closed is not None
        await self._closed.wait()

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Until nsqd has confirmed a subscription.

        Raises NotConnected after `timeout` seconds; its text names each address and what went wrong there.
        """
        self._check_started()
        try:
            await within(timeout, self._connected.wait())
        except asyncio.TimeoutError:
            raise NotConnected(self._why_not_connected(timeout)) from None

    async def __aenter__(self) -> Consumer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An iterating body that failed will not answer its message any more: waiting would be in vain.
        hopeless = error is not None and self._handover.inbox is not None
        await self.stop(0.0 if hopeless else None)

    # -- messages

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._inbox()

    def batches(
        self, *, max_messages: int = 500, max_bytes: int = 5_000_000, max_wait: float = 1.0
    ) -> AsyncIterator[Batch]:
        """Messages in batches by count, bytes of bodies and age in seconds, partial ones included.

        A batch goes out early when nsqd would send no more before answers (`is_starved`). Every
        batch is to be answered by `finish` or `requeue`, or its messages one by one.
        """
        if max_messages < 1 or max_bytes < 1 or max_wait < 0:
            raise ConfigError(
                f"batches need max_messages >= 1, max_bytes >= 1 and max_wait >= 0, not "
                f"{max_messages!r}, {max_bytes!r} and {max_wait!r}"
            )
        return Batches(self._inbox(), max_messages, max_bytes, max_wait, lambda: self.is_starved)

    # -- pace

    def pause(self) -> None:
        """Stop deliveries; connections and messages in flight stay."""
        self._check_started()
        self._flow.pause()

    def resume(self) -> None:
        """Undo `pause`."""
        self._check_started()
        self._flow.resume()

    def set_max_in_flight(self, count: int) -> None:
        """Change `max_in_flight` while running; 0 stops deliveries."""
        self._check_started()
        self.config = dataclasses.replace(self.config, max_in_flight=count)
        self._flow.set_max_in_flight(count)

    @property
    def is_starved(self) -> bool:
        """Whether more messages can hardly come before some are answered: the moment to flush a batch."""
        self._check_started()
        return self._flow.starved

    @property
    def stats(self) -> ConsumerStats:
        """Figures up to now; may be read from any thread, and no count ever goes back."""
        with self._figures:
            subscriptions = self._flow.subscriptions if self._closed else []
            return self._totals.with_living(tuple(subscription.stats() for subscription in subscriptions))

    @property
    def problems(self) -> dict[str, str]:
        """The last trouble with each nsqd and nsqlookupd that has not recovered from it, by address."""
        return self._topics.problems if self._closed else {}

    # -- what a subscription asks (consumer.subscription.Subscriber)

    def subscribed(self, subscription: Subscription) -> None:
        """nsqd has confirmed the subscription."""
        if self._stopping:
            subscription.stop_receiving()
            return
        self._flow.add(subscription)
        self._topics.connected(subscription.topic, subscription.address)
        self._connected.set()
        self._on_fact(Connected(subscription.address, subscription.topic, self.channel))
        self._tend()

    def received(self, subscription: Subscription, messages: list[Message]) -> None:
        """Messages of one read have arrived."""
        self._flow.heard(subscription)
        if self._stopping:
            # They crossed our CLS; nobody will handle them here.
            for message in messages:
                message.requeue(0.0, backoff=False)
        else:
            self._handover.dispatch(messages)

    def refused(self, subscription: Subscription, error: ServerError) -> None:
        """An answer came too late."""
        self._on_fact(ServerRefused(subscription.address, error))

    def touch_exhausted(self, messages: list[Message], seconds: float) -> None:
        """nsqd's hard limit for these messages comes in so many seconds."""
        self._on_fact(TouchExhausted(tuple(messages), seconds))

    def succeeded(self) -> None:
        """Messages were finished."""
        self._flow.succeeded()

    def failed(self) -> None:
        """A message was given back because of a failure."""
        self._flow.failed()

    def requeue_delay(self, message: Message) -> float:
        """What a message given back without a delay waits, in seconds."""
        return min(self.config.requeue_delay * message.attempts, self.config.max_requeue_delay)

    # -- inside

    def _make_sources(self, topic: str) -> Sources:
        return Sources(
            who_has(topic),
            self._nsqds,
            self._lookupds,
            self.config,
            partial(self._serve, topic),
            self._on_fact,
            address_map=self._address_map,
            follow=partial(self._feed.follow, topic),
        )

    def _watch_topics(self, seen: OnFound) -> Discovery:
        return discovery_for(
            all_topics(),
            self._lookupds,
            self.config,
            on_found=seen,
            on_failed=lambda address, error: self._on_fact(LookupFailed(address, error)),
        )

    async def _serve(self, topic: str, connection: Connection) -> None:
        subscription = Subscription(connection, topic, self.channel, self)
        reason: NSQError | None = None
        try:
            await subscription.run()
        except NSQError as error:
            reason = error
        finally:
            with self._figures:
                self._flow.remove(subscription)
                last = subscription.stats()
                self._totals.add(last)
            subscription.abandon()
            self._handover.discard_stale()
            self._on_fact(
                Disconnected(connection.address, None if self._stopping else reason, last.in_flight)
            )
            if not self._stopping:
                self._topics.disconnected(topic, connection.address, reason or Closed("cancelled"))

    async def _drain(self, timeout: float) -> None:
        subscriptions = self._flow.subscriptions
        self._flow.close()
        for subscription in subscriptions:
            subscription.stop_receiving()
        for unfollow in self._unfollow:
            unfollow()
        await asyncio.gather(self._stream.stop(), self._topics.stop_connecting())
        for message in self._handover.take_unhandled():
            if not message.answered:
                message.requeue(0.0, backoff=False)
        drained = asyncio.gather(*(subscription.wait_drained() for subscription in subscriptions))
        try:
            await within(timeout, drained)
        except asyncio.TimeoutError:
            for subscription in subscriptions:
                subscription.requeue_unanswered()
        finally:
            if self._tend_timer is not None:
                self._tend_timer.cancel()
        await asyncio.gather(*(subscription.hang_up() for subscription in subscriptions))

    def _inbox(self) -> Inbox:
        self._check_started()
        if self._handover.inbox is None:
            raise ConfigError("messages go to the handler; leave it out to iterate over the consumer")
        return self._handover.inbox

    def _tend(self) -> None:
        """Look after unanswered messages, and again as soon as the shortest time-out needs it."""
        if self._tend_timer is not None:
            self._tend_timer.cancel()
        now = self._loop.time()
        subscriptions = self._flow.subscriptions
        expired = [subscription.tend(now, self.config.auto_touch) for subscription in subscriptions]
        if any(expired):
            self._handover.discard_stale()
        interval = min((subscription.tend_every for subscription in subscriptions), default=None)
        self._tend_timer = None if interval is None else self._loop.call_later(interval, self._tend)

    def _check_started(self) -> None:
        if self._closed is None:
            raise Closed("the consumer is not running: use 'async with Consumer(...)' or await start()")

    def _why_not_connected(self, timeout: float | None) -> str:
        problems = tell_problems(self._topics.addresses, self._topics.problems)
        if not problems:
            asked = ", ".join(str(lookup_address(address)) for address in self._lookupds)
            problems = f"nsqlookupd at {asked} knows no nsqd with topic {self.topic!r}"
        return f"no nsqd connected within {timeout:g} s: {problems}"
