"""What transforms decide, carried out: what they drop is finished, what they reject a dead letter."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gateways.pipeline.answers import Answers, by_attempts
from gateways.pipeline.burial import Burial
from gateways.pipeline.counters import Counters
from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.refusal import refusal
from gateways.pipeline.transforms import Dropped, Rejected, Transforms
from nsqgw.message import Message

logger = logging.getLogger(__name__)


class Sifting:
    """Between the consumers and the sinks."""

    def __init__(
        self, transforms: Transforms, answers: Answers, counters: Counters, burial: Burial | None
    ) -> None:
        self._transforms = transforms
        self._answers = answers
        self._counters = counters
        self._burial = burial

    def sift(self, messages: Sequence[Message], now: float) -> tuple[list[Message], list[Message]]:
        """The messages that go on to the sinks, and what the transforms made of each of them."""
        homeless: list[Rejected] = []
        kept: list[Message] = []
        views: list[Message] = []
        for message in messages:
            result = self._transforms.apply(message)
            if isinstance(result, Dropped):
                self._counters.filtered[(message.topic, message.channel), result.by] += 1
                self._answers.finish([message])
            elif isinstance(result, Rejected):
                self._reject(message, result, now)
                homeless += [result] if self._burial is None else []
            else:
                kept.append(message)
                views.append(result)
        if homeless:
            logger.warning(
                "%d messages are refused by %s and go back to nsqd, as there is no dead_letter: %s",
                len(homeless), homeless[0].by, homeless[0].reason,
            )  # fmt: skip
        return kept, views

    def _reject(self, message: Message, rejected: Rejected, now: float) -> None:
        """To the dead letters; without a place for them, back to nsqd, to come again later and later."""
        if self._burial is None:
            self._answers.give_back([message], reason="rejected", delay=by_attempts)
        else:
            letter = DeadLetter(message, b"", refusal(rejected.reason, "transform"), rejected.by)
            self._burial.submit([letter], now, self._answers.finish)
