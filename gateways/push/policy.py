"""What becomes of the messages of a topic while a browser does not take them: the policies, as values.

disconnect        the browser is closed, may come back and gets what it missed from the history
drop-oldest       the oldest that wait give way; the browser is told how many
drop-new          what waits is kept, what comes is not; the browser is told how many
conflate[:FIELD]  the newest message for each value of the JSON field FIELD waits, or the newest of all
sample:RATE       nobody gets more than RATE messages a second, the newest each time; the rest as conflate
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import orjson

from gateways.push.entry import Missing
from gateways.push.frame import Frame
from nsqgw.errors import ConfigError


class Lag(Enum):
    """What happens when a browser lags."""

    DISCONNECT = "disconnect"
    DROP_OLDEST = "drop-oldest"
    DROP_NEW = "drop-new"
    CONFLATE = "conflate"
    SAMPLE = "sample"


@dataclass(frozen=True)
class Policy:
    """The policy of one topic."""

    lag: Lag = Lag.DISCONNECT
    field: str = ""
    """For conflate: whose values are kept apart, a path of names with dots; empty for none."""
    rate: float = math.inf
    """For sample: messages a second."""

    def key(self, frame: Frame) -> bytes:
        """What `frame` is conflated by; messages without the field are conflated with each other."""
        if not self.field:
            return b""
        try:
            value = frame.entry.field(tuple(self.field.split(".")))
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except (Missing, orjson.JSONEncodeError):  # the latter for what is nested too deeply
            return b""

    @property
    def conflating(self) -> bool:
        """Whether what waits is replaced by what comes."""
        return self.lag in (Lag.CONFLATE, Lag.SAMPLE)

    def __str__(self) -> str:
        if self.lag is Lag.SAMPLE:
            return f"sample:{self.rate:g}"
        return f"{self.lag.value}:{self.field}" if self.field else self.lag.value


def parse_policy(text: str) -> Policy:
    """The policy called `text`, as in the docstring of this module; ConfigError when there is none."""
    name, _, argument = text.partition(":")
    if name == Lag.CONFLATE.value:
        return Policy(Lag.CONFLATE, field=argument)
    if name == Lag.SAMPLE.value:
        try:
            rate = float(argument)
        except ValueError:
            rate = math.nan
        if not 0.01 <= rate <= 1000:
            raise ConfigError(f"policy {text!r}: sample:RATE needs messages a second, 0.01 to 1000")
        return Policy(Lag.SAMPLE, rate=rate)
    known = {lag.value: lag for lag in Lag}
    if argument or name not in known:
        raise ConfigError(f"there is no policy {text!r}; there are {', '.join(known)}")
    return Policy(known[name])
