"""A subscribed connection as its channel sees it: how much it takes, and where to hand it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compat.nsqd.message import Message


class Consumer:
    """`rdy` is a ceiling on `in_flight_count`, never counted down (nsqd-tcp 8.2).

    `blocked` says that its socket takes no more at the moment. `deliver` sends messages, `close` ends the
    connection. `in_line` belongs to the channel.
    """

    __slots__ = (
        "blocked",
        "close",
        "deliver",
        "finish_count",
        "in_flight_count",
        "in_line",
        "message_count",
        "msg_timeout",
        "rdy",
        "requeue_count",
        "sample_rate",
    )

    def __init__(
        self,
        deliver: Callable[[Sequence[Message]], None],
        close: Callable[[], None],
        *,
        msg_timeout: float,
        sample_rate: int = 0,
    ) -> None:
        self.deliver = deliver
        self.close = close
        self.msg_timeout = msg_timeout
        self.sample_rate = sample_rate
        self.rdy = 0
        self.blocked = False
        self.in_line = False
        self.in_flight_count = 0
        self.message_count = 0
        self.finish_count = 0
        self.requeue_count = 0

    @property
    def spare(self) -> int:
        """How many messages it takes now; 0 or less means none."""
        return 0 if self.blocked else self.rdy - self.in_flight_count
