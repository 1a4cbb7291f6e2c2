"""What a watched broker saw clients do: bodies published, messages delivered and answered.

Written on the broker's loop, kept for the whole test and over restarts. A record grows with every message: it
is meant for tests, not for load.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seen:
    """One message at one event. `attempts` counts from 1; `delay` is that of a REQ, in seconds."""

    body: bytes
    attempts: int
    delay: float = 0.0


@dataclass
class ChannelRecord:
    """One channel: what was delivered, and the answers that the broker accepted, in order."""

    delivered: list[Seen] = field(default_factory=list)
    finished: list[Seen] = field(default_factory=list)
    requeued: list[Seen] = field(default_factory=list)
    touched: list[Seen] = field(default_factory=list)

    def copy(self) -> ChannelRecord:
        """As it is now, for another thread."""
        return ChannelRecord(*map(list, (self.delivered, self.finished, self.requeued, self.touched)))


class Records:
    """All of one broker; a name that never occurred has an empty record."""

    def __init__(self) -> None:
        self.published: dict[str, list[bytes]] = defaultdict(list)
        self.channels: dict[tuple[str, str], ChannelRecord] = defaultdict(ChannelRecord)
