"""The way of refused events to the dead letters: stored, and only then answered.

Letters that wait together are stored together, fewer of them after a try that took too long: nobody knows
what it had stored, and the next one must come to its end. While the store fails they are held, like events
for a sink; after the budget their messages go back to nsqd.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from gateways.pipeline.answers import Answers, Delay, at_once, by_attempts
from gateways.pipeline.counters import Counters
from gateways.pipeline.dead_letters import DeadLetter, DeadLetters
from gateways.pipeline.retry import Backoff, Random, RetryPolicy
from gateways.pipeline.sink import Fate, Outcome, SinkGone
from nsqgw.deadline import within
from nsqgw.message import Message

logger = logging.getLogger(__name__)

_TOGETHER = 500
_BYTES_TOGETHER = 5_000_000

OnStored = Callable[[Sequence[Message]], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    letter: DeadLetter
    born: float
    on_stored: OnStored

    @property
    def size(self) -> int:
        return len(self.letter.message.body) + len(self.letter.event)


class Burial:
    """Runs from `start` to `stop`. `send_timeout` bounds one try, in seconds."""

    def __init__(
        self,
        store: DeadLetters,
        answers: Answers,
        counters: Counters,
        policy: RetryPolicy,
        send_timeout: float,
        chance: Random = random.random,
    ) -> None:
        self._store = store
        self._answers = answers
        self._counters = counters
        self._policy = policy
        self._send_timeout = send_timeout
        self._backoff = Backoff(policy, chance)
        self._together = _TOGETHER
        self._clock = asyncio.get_running_loop().time
        self._waiting: deque[_Entry] = deque()
        self._arrival = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._worker: asyncio.Task[None] | None = None
        self.held_bytes = 0
        self.trouble: str | None = None
        """Why the store takes nothing; None when it does."""

    @property
    def held_messages(self) -> int:
        """Letters that are not stored yet."""
        return len(self._waiting)

    @property
    def oldest(self) -> float | None:
        """When the message of the oldest letter arrived."""
        return min((entry.born for entry in self._waiting), default=None)

    def start(self) -> None:
        """Begin to store."""
        self._worker = asyncio.create_task(self._work())

    def submit(self, letters: Sequence[DeadLetter], born: float, on_stored: OnStored) -> None:
        """Take responsibility for these; `on_stored` is called with the messages of those stored."""
        for letter in letters:
            entry = _Entry(letter, born, on_stored)
            self._waiting.append(entry)
            self.held_bytes += entry.size
        self._empty.clear()
        self._arrival.set()

    async def wait_empty(self) -> None:
        """Until everything submitted is stored or given back."""
        await self._empty.wait()

    async def stop(self) -> None:
        """End the try under way and give back at once what is not stored."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        for entry in list(self._waiting):
            self._give_back(entry, "drain", at_once)

    # -- one round

    async def _work(self) -> None:
        while True:
            await self._arrival.wait()
            self._expire()
            entries = self._next()
            if entries:
                await self._bury(entries)
            if not self._waiting:
                self._arrival.clear()
                self._empty.set()

    def _next(self) -> list[_Entry]:
        """Those that are stored together now, at least one if any waits."""
        entries: list[_Entry] = []
        size = 0
        for entry in islice(self._waiting, self._together):
            size += entry.size
            if entries and size > _BYTES_TOGETHER:
                break
            entries.append(entry)
        return entries

    async def _bury(self, entries: list[_Entry]) -> None:
        delay = self._backoff.delay(self._clock())
        if delay > 0:
            await asyncio.sleep(min(delay, max(0.0, self._time_left(entries[0]))))
            return
        started = self._clock()
        outcome = await self._try([entry.letter for entry in entries])
        fates = outcome.per_event or [outcome.fate] * len(entries)
        for entry, fate in zip(entries, fates, strict=True):
            if fate is Fate.CONFIRMED:
                self._stored(entry)
        if all(fate is Fate.CONFIRMED for fate in fates):
            self._together = min(_TOGETHER, 2 * self._together)
            self._backoff.succeeded(started)
            self.trouble = None
            return
        self._backoff.failed(started, self._clock(), outcome.retry_after)
        self.trouble = f"dead letters: {outcome.reason}"
        wait = self._backoff.delay(self._clock())
        logger.warning("dead letters are not stored: %s; trying again in %.1fs", outcome.reason, wait)

    async def _try(self, letters: list[DeadLetter]) -> Outcome:
        try:
            outcome = await within(self._send_timeout, self._store.store(letters))
        except asyncio.TimeoutError:
            self._together = max(1, len(letters) // 2)
            return Outcome(Fate.RETRY, f"no answer within {self._send_timeout:g}s")
        except SinkGone as error:  # the pipeline goes on: its messages go back, and are not lost
            return Outcome(Fate.RETRY, str(error))
        except Exception as error:
            # As for sinks: a mistake in a store must not cost a message.
            logger.exception("unexpected error while dead letters were stored")
            return Outcome(Fate.RETRY, f"unexpected {type(error).__name__}: {error}")
        if outcome.per_event is not None and len(outcome.per_event) != len(letters):
            return Outcome(Fate.RETRY, f"answered for {len(outcome.per_event)} of {len(letters)} letters")
        return outcome

    # -- a letter's end

    def _stored(self, entry: _Entry) -> None:
        message = entry.letter.message
        self._remove(entry)
        self._counters.dead_letters[(message.topic, message.channel), entry.letter.sink] += 1
        entry.on_stored([message])

    def _expire(self) -> None:
        """Give back those whose time is up; leave out those given back before, they come again."""
        for entry in [entry for entry in self._waiting if entry.letter.message.answered]:
            self._remove(entry)
        for entry in [entry for entry in self._waiting if self._time_left(entry) <= 0]:
            self._give_back(entry, "budget", by_attempts)

    def _give_back(self, entry: _Entry, reason: str, delay: Delay) -> None:
        self._remove(entry)
        self._answers.give_back([entry.letter.message], reason=reason, delay=delay)

    def _remove(self, entry: _Entry) -> None:
        self._waiting.remove(entry)
        self.held_bytes -= entry.size

    def _time_left(self, entry: _Entry) -> float:
        return entry.born + self._policy.budget - self._clock()
