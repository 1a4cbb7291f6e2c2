"""What the end of an event at a sink means for its message.

Messages wait for a required sink: it answers for them. Nothing waits for a best-effort one: what it does not
get is counted, by the reason.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Protocol

from gateways.pipeline.answers import Answers, at_once, by_attempts
from gateways.pipeline.batch import Batch
from gateways.pipeline.burial import Burial
from gateways.pipeline.dead_letters import DeadLetter
from nsqgw.message import Message

logger = logging.getLogger(__name__)


class Ends(Protocol):
    """Each event of a sink comes to one of these ends, once."""

    def confirmed(self, batch: Batch) -> None:
        """The sink has them."""

    def refused(self, batch: Batch, reasons: list[str]) -> None:
        """The sink will never take them, for these reasons."""

    def expired(self, batch: Batch) -> None:
        """They were held for as long as the policy allows."""

    def abandoned(self, batch: Batch) -> None:
        """The pipeline stops, and they were not delivered."""

    def unsettled(self, batch: Batch) -> Batch | None:
        """What of a batch is still to be sent; the same object when that is all of it."""


class Required:
    """Ends at a required sink. `number` is its place among them."""

    def __init__(self, name: str, number: int, answers: Answers, burial: Burial | None) -> None:
        self._name = name
        self._number = number
        self._answers = answers
        self._burial = burial

    def confirmed(self, batch: Batch) -> None:
        """Finish those that wait for no other sink."""
        self._answers.confirm(self._number, batch.messages)

    def refused(self, batch: Batch, reasons: list[str]) -> None:
        """To the dead letters; without a place for them, back to nsqd, to come again later and later."""
        if self._burial is None:
            self._give_back(batch, "rejected")
            return
        letters = [
            DeadLetter(message, event, reason, self._name)
            for message, event, reason in zip(batch.messages, batch.events, reasons, strict=True)
        ]
        self._burial.submit(
            letters, batch.born, lambda messages: self._answers.confirm(self._number, messages)
        )

    def expired(self, batch: Batch) -> None:
        """Back to nsqd, for a while."""
        self._give_back(batch, "budget")

    def abandoned(self, batch: Batch) -> None:
        """Back to nsqd, for the next consumer."""
        self._answers.give_back(batch.messages, reason="drain", delay=at_once)

    def unsettled(self, batch: Batch) -> Batch | None:
        """Without what was given back meanwhile, or has come here by another delivery."""
        answers, number = self._answers, self._number
        there: list[Message] = []
        if answers.compares:
            there = [message for message in batch.messages if answers.has(number, message)]
            answers.confirm(number, there)
        had = set(there)
        left = [
            index
            for index, message in enumerate(batch.messages)
            if not message.answered and message not in had
        ]
        if len(left) == len(batch):
            return batch
        return batch.pick(left) if left else None

    def _give_back(self, batch: Batch, reason: str) -> None:
        self._answers.give_back(batch.messages, reason=reason, delay=by_attempts)


class BestEffort:
    """Ends at a sink that nothing waits for; `dropped` counts by DROP_REASONS."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.dropped: Counter[str] = Counter()

    def confirmed(self, batch: Batch) -> None:
        """The delivery has counted it."""

    def refused(self, batch: Batch, reasons: list[str]) -> None:
        self.drop(len(batch), "rejected")

    def expired(self, batch: Batch) -> None:
        self.drop(len(batch), "failed")

    def abandoned(self, batch: Batch) -> None:
        self.drop(len(batch), "drain")

    def unsettled(self, batch: Batch) -> Batch | None:
        """All of it: what became of the messages is of no interest here."""
        return batch

    def drop(self, count: int, reason: str) -> None:
        """So many events do not get there; the first time for each reason is logged."""
        if not self.dropped[reason]:
            logger.warning("%s is not required: events are dropped and counted: %s", self._name, reason)
        self.dropped[reason] += count
