"""Several hosts that do the same: which one gets the next request, and which one is left alone for a while.

Pure: clock readings and chance are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from nsqgw.http.address import HttpAddress, parse_http_address

Balance = Literal["round_robin", "hostpool", "least_in_flight", "epsilon_greedy", "all"]
"""hostpool is round_robin by the name that nsq_to_http has for it: hosts that fail rest in all of them.
all makes each host a sink of its own, which whoever makes sinks has to see to."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LONGEST_ASKED = 300.0  # as RetryPolicy.max_retry_after: a host may not send itself away for a day
_EXPLORE = 0.1  # share of requests for which epsilon_greedy tries another one than the fastest
_EWMA = 0.3


@dataclass(slots=True, eq=False)
class Endpoint:
    """One host and its state.

    target          path and query of the URL, as they are requested
    in_flight       requests under way
    failures        in a row
    rests_until     when it may be asked again
    seconds         average duration of its last answers; 0 before the first
    """

    address: HttpAddress
    target: str
    in_flight: int = 0
    failures: int = 0
    rests_until: float = 0.0
    seconds: float = 0.0

    def target_of(self, path: str | None) -> str:
        """What to request for a path below that of the URL; the URL's query goes along."""
        if path is None:
            return self.target
        query = self.address.query
        return f"{self.address.path}{path}" + (f"{'&' if '?' in path else '?'}{query}" if query else "")


def parse_endpoint(url: str) -> Endpoint:
    """The endpoint of a URL that was checked; the path keeps the slash at its end."""
    address = parse_http_address(url, "sink", "https://logs.example.com/in")
    path = address.path + ("/" if urlsplit(url).path.endswith("/") or not address.path else "")
    return Endpoint(address, f"{path}?{address.query}" if address.query else path)


class EndpointPool:
    """At least one endpoint. One that failed rests for 0.5 s, doubled with each failure up to 30 s."""

    def __init__(self, endpoints: Sequence[Endpoint], balance: Balance, random: Callable[[], float]) -> None:
        self._endpoints = list(endpoints)
        self._balance = balance
        self._random = random
        self._next = 0

    @property
    def first(self) -> Endpoint:
        """The one that names and descriptions speak of."""
        return self._endpoints[0]

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints)

    def __len__(self) -> int:
        return len(self._endpoints)

    def order(self, now: float) -> list[Endpoint]:
        """Those to try for one request, one after the other.

        Those that rest are left out; when all do, the one whose rest ends first is asked anyway: how often
        that happens is the pipeline's decision.
        """
        awake = [endpoint for endpoint in self._in_turn() if endpoint.rests_until <= now]
        if not awake:
            return [min(self._endpoints, key=lambda endpoint: endpoint.rests_until)]
        if self._balance == "least_in_flight":
            awake.sort(key=lambda endpoint: endpoint.in_flight)
        elif self._balance == "epsilon_greedy" and self._random() >= _EXPLORE:
            awake.sort(key=lambda endpoint: endpoint.seconds)
        return awake

    def _in_turn(self) -> list[Endpoint]:
        start = self._next
        self._next = (start + 1) % len(self._endpoints)
        return self._endpoints[start:] + self._endpoints[:start]


def note_failure(endpoint: Endpoint, now: float, retry_after: float | None) -> None:
    """It failed, or asks to be left alone for `retry_after` seconds, of which at most five minutes count."""
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(endpoint.failures, 16))
    endpoint.failures += 1
    asked = min(retry_after or 0.0, _LONGEST_ASKED)
    endpoint.rests_until = max(endpoint.rests_until, now + max(pause, asked))


def note_answer(endpoint: Endpoint, seconds: float) -> None:
    """It answered after so many seconds, whatever it said of the data."""
    endpoint.failures = 0
    endpoint.rests_until = 0.0
    endpoint.seconds += (seconds - endpoint.seconds) * (_EWMA if endpoint.seconds else 1.0)
