"""Dead letters into any sink: a file, an NSQ topic, a log service. What the sink confirms is stored."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.event import Event
from gateways.pipeline.identity import event_id
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, Sink
from gateways.ship.dead_letters.envelope import write_letter
from gateways.ship.dead_letters.sending import batches_of, send_apart

logger = logging.getLogger(__name__)


class SinkDeadLetters:
    """See `gateways.pipeline.dead_letters.DeadLetters`. The sink is opened and closed by whoever made it.

    One letter that cannot be stored holds up no other. A letter that is larger than what `sink` takes goes to
    `raw` as its body alone, and the log tells the rest. `clock` is the wall clock.
    """

    def __init__(
        self,
        sink: Sink,
        pipeline: str,
        *,
        raw: Sink | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sink = sink
        self._raw = raw
        self._pipeline = pipeline
        self._clock = clock

    async def store(self, letters: Sequence[DeadLetter]) -> Outcome:
        """Store all of them; what became of each stands in `per_event`."""
        now = self._clock()
        envelopes = [Event(letter.message, write_letter(letter, self._pipeline, now)) for letter in letters]
        fates: list[Fate] = []
        worst = CONFIRMED
        for batch in batches_of(self._sink, envelopes):
            outcome, its_fates = await send_apart(self._sink, batch)
            fates += its_fates
            if outcome.fate is not Fate.CONFIRMED:
                worst = outcome
        if self._raw is not None:
            await self._store_raw(self._raw, letters, envelopes, fates)
        if all(fate is Fate.CONFIRMED for fate in fates):
            worst = CONFIRMED
        return Outcome(worst.fate, worst.reason, worst.retry_after, fates)

    async def _store_raw(
        self, raw: Sink, letters: Sequence[DeadLetter], envelopes: Sequence[Event], fates: list[Fate]
    ) -> None:
        """The bodies of letters that were refused because the envelope makes them too large."""
        for index, letter in enumerate(letters):
            refused = fates[index] in (Fate.REJECTED, Fate.TOO_LARGE)
            if not refused or len(envelopes[index].body) <= len(letter.message.body):
                continue
            for batch in batches_of(raw, [letter.message]):
                _, (fates[index],) = await send_apart(raw, batch)
            if fates[index] is Fate.CONFIRMED:
                logger.warning(
                    "the dead letter of %s is too large for its place, its body went to %s: %s: %s",
                    event_id(letter.message), raw.describe(), letter.sink, letter.reason,
                )  # fmt: skip
