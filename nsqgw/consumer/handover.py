"""From arriving messages to whatever the user gave to handle them, by attempts and by kind of handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nsqgw.config import ConsumerConfig
from nsqgw.consumer.dispatch import Dispatch, dispatch_for
from nsqgw.consumer.failures import FailureRules, Failures, check_rules
from nsqgw.consumer.giving_up import DeadLetters
from nsqgw.consumer.handlers import BatchHandler, Handler, check_handler, with_timeout
from nsqgw.consumer.inbox import Inbox
from nsqgw.consumer.threads import HandlerThreads
from nsqgw.errors import ConfigError
from nsqgw.instrument import GivenUp, HandlerFailed, OnFact
from nsqgw.message import Message


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the user gave to handle messages; all of it None for iterating."""

    handler: Handler | None
    batch_handler: BatchHandler | None
    on_giving_up: Handler | None
    failure_rules: FailureRules[Any]

    def check(self, config: ConsumerConfig) -> None:
        """ConfigError when the parts do not go together."""
        in_threads, timeout = config.threads is not None, config.handler_timeout
        check_handler("handler", self.handler, in_threads=in_threads, timeout=timeout)
        check_handler("batch_handler", self.batch_handler, in_threads=in_threads, timeout=timeout)
        check_handler("on_giving_up", self.on_giving_up, in_threads=False, timeout=None)
        if self.handler is not None and self.batch_handler is not None:
            raise ConfigError("give handler or batch_handler, not both")
        check_rules(self.failure_rules)
        self._check_giving_up(config)

    def _check_giving_up(self, config: ConsumerConfig) -> None:
        if self.on_giving_up is not None and config.dead_letter_topic is not None:
            raise ConfigError("give dead_letter_topic or on_giving_up, not both")
        if self.on_giving_up is not None or config.dead_letter_topic is not None:
            return
        remedy = "set dead_letter_topic or on_giving_up to say where such messages go"
        if config.max_attempts:
            raise ConfigError(f"max_attempts = {config.max_attempts} alone would drop messages: {remedy}")
        if any(rule.give_up for rule in self.failure_rules.values()):
            raise ConfigError(f"failure_rules give up messages: {remedy}")


class Handover:
    """Hands messages on until `close`; made inside a running event loop."""

    def __init__(self, handlers: Handlers, config: Callable[[], ConsumerConfig], on_fact: OnFact) -> None:
        self._config = config
        self._on_fact = on_fact
        self._threads: HandlerThreads | None = None
        self._giving_up = self._make_giving_up(handlers)
        self._dispatch = self._make_dispatch(handlers)

    @property
    def inbox(self) -> Inbox | None:
        """Where messages wait for the user to take them; None when they go to a handler."""
        return self._dispatch if isinstance(self._dispatch, Inbox) else None

    def dispatch(self, messages: list[Message]) -> None:
        """Hand over the messages of one read."""
        limit = self._config().max_attempts
        if limit and any(message.attempts > limit for message in messages):
            self._give_up([message for message in messages if message.attempts > limit])
            messages = [message for message in messages if message.attempts <= limit]
        if messages:
            self._dispatch.dispatch(messages)

    def take_unhandled(self) -> list[Message]:
        """The messages nobody has seen yet; they will not be handed over."""
        unhandled = self._dispatch.take_unhandled()
        return unhandled if self._giving_up is None else unhandled + self._giving_up.take_unhandled()

    def discard_stale(self) -> None:
        """Let go of messages nobody has seen and nsqd delivers again: there is one copy of each to handle."""
        self._dispatch.discard_stale()
        if self._giving_up is not None:
            self._giving_up.discard_stale()

    def is_run_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a handler runs in this task."""
        giving_up = self._giving_up is not None and self._giving_up.is_run_by(task)
        return giving_up or self._dispatch.is_run_by(task)

    async def close(self) -> None:
        """End what still runs."""
        await self._dispatch.close()
        if self._giving_up is not None:
            await self._giving_up.close()
        if self._threads is not None:
            self._threads.close()

    def _make_dispatch(self, handlers: Handlers) -> Dispatch:
        config = self._config()
        handler, batch_handler = handlers.handler, handlers.batch_handler
        if config.threads is not None:
            self._threads = HandlerThreads(config.threads)
            handler = handler and self._threads.message_handler(handler)
            batch_handler = batch_handler and self._threads.batch_handler(batch_handler)
        if config.handler_timeout is not None:
            handler = handler and with_timeout(handler, config.handler_timeout)
            batch_handler = batch_handler and with_timeout(batch_handler, config.handler_timeout)
        give_up = None if self._giving_up is None else self._give_up
        failures = Failures(handlers.failure_rules, self._failed, give_up)
        return dispatch_for(handler, batch_handler, self._concurrency, failures)

    def _make_giving_up(self, handlers: Handlers) -> Dispatch | None:
        topic = self._config().dead_letter_topic
        if topic is not None:
            return DeadLetters(topic, self._config().connection, self._given_up)
        if handlers.on_giving_up is None:
            return None
        return dispatch_for(handlers.on_giving_up, None, self._concurrency, Failures({}, self._failed, None))

    def _concurrency(self) -> int:
        config = self._config()
        most = config.concurrency or max(1, config.max_in_flight)
        return most if config.threads is None else min(most, config.threads)

    def _give_up(self, messages: list[Message]) -> None:
        assert self._giving_up is not None
        if not isinstance(self._giving_up, DeadLetters):
            for message in messages:
                self._given_up(message, None, None)
        if messages:
            self._giving_up.dispatch(messages)

    def _given_up(self, message: Message, topic: str | None, error: BaseException | None) -> None:
        self._on_fact(GivenUp(message, topic, error))

    def _failed(self, error: BaseException, messages: Sequence[Message]) -> None:
        self._on_fact(HandlerFailed(error, tuple(messages)))
