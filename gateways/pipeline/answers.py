"""The only place where a gateway answers messages: FIN for what all required sinks have, else REQ.

With several required sinks each message waits for the last of them. When one of them fails for too long the
message goes back, and comes again; what the others have of it by then is remembered, so that they do not get
it twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from gateways.pipeline.counters import Counters, Stream, runs
from gateways.pipeline.identity import event_key
from gateways.pipeline.retry import requeue_delay
from gateways.pipeline.seen import Seen
from nsqgw.consumer.arrival import finish_all
from nsqgw.errors import FinFailed, ReqFailed, ServerError
from nsqgw.message import Message

REMEMBERED = 100_000
"""Keys for each of several required sinks, of messages given back that it has already."""

Delay = Callable[[Message], float]


def by_attempts(message: Message) -> float:
    """The delay of what goes back because it cannot be delivered: longer with each time."""
    return requeue_delay(message.attempts, random.random)


def at_once(message: Message) -> float:
    """The delay of what comes again as soon as nsqd likes."""
    return 0.0


class Answers:
    """For messages that go to `sinks` required sinks, numbered from 0.

    `dedup` is how many events each of them is remembered to have, whatever became of their messages: those
    that nsqd delivers again are not sent again. Without it only what this process gives back is remembered.
    """

    def __init__(self, counters: Counters, sinks: int, dedup: int = 0) -> None:
        self._counters = counters
        self._dedup = dedup > 0
        self._all = (1 << sinks) - 1
        self._missing: dict[Message, int] = {}  # bits of the sinks still to confirm; none kept for one sink
        self._seen = [Seen(dedup or (REMEMBERED if sinks > 1 else 0)) for _ in range(sinks)]

    @property
    def shared(self) -> bool:
        """Whether messages go to several sinks, or to none, so that `expect` has to be told."""
        return self._all != 1

    @property
    def compares(self) -> bool:
        """Whether some sink is remembered to have something."""
        return any(self._seen)

    def expect(self, message: Message, sinks: int) -> None:
        """The message waits for these sinks, given as bits."""
        if sinks:
            self._missing[message] = sinks
        else:
            self.finish([message])

    def has(self, sink: int, message: Message) -> bool:
        """Whether the sink is remembered to have the event already."""
        seen = self._seen[sink]
        return bool(seen) and event_key(message) in seen

    def confirm(self, sink: int, messages: Sequence[Message]) -> None:
        """The sink has these, or they are dead letters now: finish those that wait for no other one."""
        if self._dedup:
            self._seen[sink].add(map(event_key, messages))
        self.finish(self._complete(sink, messages) if self.shared else messages)

    def finish(self, messages: Iterable[Message]) -> None:
        """Nothing is left to be done with these."""
        counters = self._counters
        unanswered = [message for message in messages if not message.answered]  # the others come again
        for stream, run in runs(unanswered):
            sent = finish_all(run)
            counters.finished[stream] += sent
            if sent < len(run):
                counters.late[stream] += len(run) - sent

    def give_back(self, messages: Iterable[Message], *, reason: str, delay: Delay) -> None:
        """Have nsqd deliver messages again after `delay(message)` seconds, for the sinks that lack them.

        Without the consumer's backoff: the sink's endpoint has one of its own.
        """
        for message in messages:
            missing = self._missing.pop(message, None)
            if missing is not None:
                self._remember(message, self._all & ~missing)
            if message.answered:
                continue
            stream = (message.topic, message.channel)
            if message.requeue(delay(message), backoff=False):
                self._counters.requeued[stream, reason] += 1
            else:
                self._counters.late[stream] += 1

    def give_back_aged(self, messages: Iterable[Message]) -> None:
        """The same for messages that nsqd is about to deliver again, those that are unanswered."""
        left = [message for message in messages if not message.answered]
        self.give_back(left, reason="age", delay=by_attempts)

    def _complete(self, sink: int, messages: Iterable[Message]) -> list[Message]:
        """Those of the messages that this sink was the last one for."""
        missing = self._missing
        complete = []
        for message in messages:
            left = missing.get(message, 0) & ~(1 << sink)
            if message.answered:
                self._remember(message, 1 << sink)
            elif left:
                missing[message] = left
            else:
                missing.pop(message, None)
                complete.append(message)
        return complete

    def _remember(self, message: Message, sinks: int) -> None:
        for number, seen in enumerate(self._seen):
            if sinks >> number & 1:
                seen.add([event_key(message)])


def note_refusal(stream: Stream, error: ServerError, counters: Counters) -> None:
    """Count an answer that nsqd refused after it was sent; refusals of other commands are let pass.

    A refused TOUCH tells the same of a message as the refused FIN or REQ that follows it.
    """
    if isinstance(error, FinFailed | ReqFailed):
        counters.late[stream] += 1
