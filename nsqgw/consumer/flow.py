"""The pace of a consumer: carries out what the pure policies (`rdy`, `backoff`) decide."""

from __future__ import annotations

import asyncio

from nsqgw.config import ConsumerConfig
from nsqgw.consumer.backoff import Backoff, Pace, Pause, Resume
from nsqgw.consumer.rdy import RdyAllocator
from nsqgw.consumer.subscription import Subscription
from nsqgw.instrument import BackoffChanged, OnFact

_STARVED_AT = 0.85
"""Share of its RDY in flight at which a connection counts as starved, as in the official clients."""


_PROBE_IDLE = 1.0
"""Seconds after which a probe without a message moves to the next connection."""


class Flow:
    """Sends RDY to all subscriptions of a consumer; nothing else does."""

    def __init__(self, config: ConsumerConfig, on_fact: OnFact) -> None:
        self._max_in_flight = config.max_in_flight
        self._rotate_interval = config.rdy_redistribute_interval
        self._allocator: RdyAllocator[Subscription] = RdyAllocator(
            config.max_in_flight,
            idle_timeout=config.low_rdy_idle_timeout,
            busy_timeout=config.low_rdy_timeout,
        )
        self._backoff = Backoff(config.backoff_multiplier, config.max_backoff_duration, config.backoff_jitter)
        self._on_fact = on_fact
        self._paused = False
        self._closed = False
        self._subscriptions: list[Subscription] = []
        self._loop = asyncio.get_running_loop()
        self._rotation = self._loop.call_later(self._rotate_interval, self._rotate)
        self._backoff_timer: asyncio.TimerHandle | None = None

    @property
    def subscriptions(self) -> list[Subscription]:
        """The connections that take part, in order of appearance."""
        return list(self._subscriptions)

    @property
    def max_in_flight(self) -> int:
        """The limit at full speed."""
        return self._max_in_flight

    @property
    def starved(self) -> bool:
        """Whether some connection has nearly all it may have in flight, or all together have."""
        total = 0
        for subscription in self._subscriptions:
            in_flight = subscription.in_flight
            total += in_flight
            if in_flight and in_flight >= _STARVED_AT * subscription.rdy:
                return True
        return total > 0 and total >= self._allocator.limit

    def add(self, subscription: Subscription) -> None:
        """The subscription is confirmed; give it its share."""
        self._subscriptions.append(subscription)
        self._send(self._allocator.add(subscription, subscription.max_rdy, self._loop.time()))

    def remove(self, subscription: Subscription) -> None:
        """The subscription is gone; the others take over at once."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._send(self._allocator.remove(subscription, self._loop.time()))

    def heard(self, subscription: Subscription) -> None:
        """Messages have arrived."""
        if subscription in self._subscriptions:
            self._allocator.heard(subscription, self._loop.time())

    def set_max_in_flight(self, count: int) -> None:
        """Change the limit; 0 stops deliveries until it is raised again."""
        self._max_in_flight = count
        self._apply()

    def pause(self) -> None:
        """No deliveries until `resume`."""
        self._paused = True
        self._apply()

    def resume(self) -> None:
        """Undo `pause`."""
        self._paused = False
        self._apply()

    def succeeded(self) -> None:
        """Messages were finished."""
        if self._backoff.level:
            self._carry_out(self._backoff.succeeded())

    def failed(self) -> None:
        """A message was given back because of a failure."""
        self._carry_out(self._backoff.failed())

    def close(self) -> None:
        """No more RDY from here on: after CLS there is none (client-behaviour section 9)."""
        self._closed = True
        self._rotation.cancel()
        if self._backoff_timer is not None:
            self._backoff_timer.cancel()

    def _carry_out(self, decision: Pause | Resume | None) -> None:
        if decision is None or self._closed:
            return
        duration = decision.duration if isinstance(decision, Pause) else 0.0
        if isinstance(decision, Pause):
            self._backoff_timer = self._loop.call_later(duration, self._probe)
        self._apply()
        self._on_fact(BackoffChanged(self._backoff.level, duration))

    def _probe(self) -> None:
        self._backoff.expired()
        self._apply()
        self._schedule_rotation()

    def _schedule_rotation(self) -> None:
        probing = self._backoff.pace is Pace.PROBING
        interval = min(_PROBE_IDLE, self._rotate_interval) if probing else self._rotate_interval
        self._rotation.cancel()
        self._rotation = self._loop.call_later(interval, self._rotate)

    def _rotate(self) -> None:
        # A probe that finds its nsqd empty is to move on soon, or recovery waits for nothing.
        idle_timeout = _PROBE_IDLE if self._backoff.pace is Pace.PROBING else None
        self._send(self._allocator.rotate(self._loop.time(), idle_timeout))
        self._schedule_rotation()

    def _apply(self) -> None:
        limit = self._max_in_flight
        if self._paused or self._backoff.pace is Pace.PAUSED:
            limit = 0
        elif self._backoff.pace is Pace.PROBING:
            limit = min(1, limit)
        self._send(self._allocator.set_limit(limit, self._loop.time()))

    def _send(self, changes: list[tuple[Subscription, int]]) -> None:
        if self._closed:
            return
        for subscription, rdy in changes:
            subscription.set_rdy(rdy)
