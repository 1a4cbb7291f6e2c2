"""When a connection counts as dead: pure bookkeeping over ticks.

It counts its own ticks and reads no clock: a loop that was blocked for minutes by a slow
handler sees one late tick, not minutes of silence, and does not close a healthy connection.
"""

from __future__ import annotations

from collections import deque

from nsqgw.errors import DeadlineExceeded


class Watch:
    """Called once every `interval` seconds with counters that only grow."""

    def __init__(self, interval: float, silence_limit: float, reply_timeout: float) -> None:
        self.interval = interval
        self._silence_limit = silence_limit
        self._reply_timeout = reply_timeout
        self._reads = 0
        self._silent_ticks = 0
        # How many commands had been sent at each of the last ticks, oldest first.
        self._asked: deque[int] = deque(maxlen=max(1, round(reply_timeout / interval)))

    def tick(self, reads: int, asked: int, answered: int) -> DeadlineExceeded | None:
        """The reason to close the connection, if there is one.

        `reads` counts the reads that brought data, `asked` the commands sent that need an answer,
        `answered` the answers.
        """
        if reads != self._reads:
            self._reads = reads
            self._silent_ticks = 0
        else:
            self._silent_ticks += 1
            if self._silent_ticks * self.interval > self._silence_limit:
                return DeadlineExceeded(f"nsqd was silent for {self._silence_limit:g} s, two heartbeats")
        overdue = len(self._asked) == self._asked.maxlen and answered < self._asked[0]
        self._asked.append(asked)
        if overdue:
            return DeadlineExceeded(f"nsqd did not answer a command within {self._reply_timeout:g} s")
        return None
