"""Dead letters into any sink: a file, an NSQ topic, a log service. What the sink confirms is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gateways.pipeline.dead_letters import DeadLetter
from gateways.pipeline.event import Event
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, Sink
from gateways.ship.dead_letters.envelope import write_letter
from gateways.ship.dead_letters.sending import batches_of, send_apart


class SinkDeadLetters:
    """See `gateways.pipeline.dead_letters.DeadLetters`. The sink is opened and closed by whoever made it.

    One letter that cannot be stored holds up no other. `clock` is the wall clock.
    """

    def __init__(self, sink: Sink, pipeline: str, *, clock: Callable[[], float] = time.time) -> None:
        self._sink = sink
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
        return Outcome(worst.fate, worst.reason, worst.retry_after, fates)
