"""Who may have how many messages in flight: pure sharing of `max_in_flight` over connections.

RDY is a ceiling per connection that nsqd never counts down (nsqd-tcp 8.2). The sum of all ceilings
never exceeds the limit. With fewer connections than the limit each gets an equal share; with more,
as many as the limit allows get one, and it goes round: an idle one hands over after `idle_timeout`, a
busy one after `busy_timeout`, to the one that has waited longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(slots=True)
class _Share:
    ceiling: int
    rdy: int = 0
    granted_at: float = 0.0
    released_at: float = 0.0
    heard_at: float = 0.0


class RdyAllocator(Generic[K]):
    """Holds what every connection was told last; each method returns the changes to send.

    Changes come with the lowered ceilings first: sent in this order, the sum never exceeds the limit.
    `now` is any clock that does not go back, in seconds.
    """

    def __init__(self, limit: int, *, idle_timeout: float = 10.0, busy_timeout: float = 30.0) -> None:
        self._limit = limit
        self._idle_timeout = idle_timeout
        self._busy_timeout = busy_timeout
        self._shares: dict[K, _Share] = {}

    @property
    def limit(self) -> int:
        """The ceiling of the sum."""
        return self._limit

    @property
    def total(self) -> int:
        """The sum of all ceilings handed out."""
        return sum(share.rdy for share in self._shares.values())

    def rdy(self, key: K) -> int:
        """What the connection was told last."""
        return self._shares[key].rdy

    def add(self, key: K, ceiling: int, now: float) -> list[tuple[K, int]]:
        """A connection came; its server takes no RDY above `ceiling`."""
        self._shares[key] = _Share(ceiling, released_at=now, heard_at=now)
        return self._allocate(now)

    def remove(self, key: K, now: float) -> list[tuple[K, int]]:
        """A connection went; the others take over its share at once."""
        self._shares.pop(key, None)
        return self._allocate(now)

    def set_limit(self, limit: int, now: float) -> list[tuple[K, int]]:
        """The sum may be at most `limit` from now on; 0 stops all deliveries."""
        self._limit = limit
        return self._allocate(now)

    def heard(self, key: K, now: float) -> None:
        """Messages arrived on the connection."""
        self._shares[key].heard_at = now

    def rotate(self, now: float, idle_timeout: float | None = None) -> list[tuple[K, int]]:
        """Called now and then: with more connections than the limit, move the ceilings on.

        `idle_timeout` replaces the usual one this time.
        """
        idle = self._idle_timeout if idle_timeout is None else idle_timeout
        if not 0 < self._limit < len(self._shares):
            return []
        holders = [share for share in self._shares.values() if share.rdy]
        waiting = len(self._shares) - len(holders)
        due = [share for share in holders if self._must_hand_over(share, now, idle)]
        due.sort(key=lambda share: share.granted_at)
        released = {id(share) for share in due[:waiting]}
        return self._allocate(now, released)

    def _must_hand_over(self, share: _Share, now: float, idle_timeout: float) -> bool:
        idle_since = max(share.granted_at, share.heard_at)
        return now - idle_since >= idle_timeout or now - share.granted_at >= self._busy_timeout

    def _allocate(self, now: float, released: set[int] | None = None) -> list[tuple[K, int]]:
        count = len(self._shares)
        if count == 0:
            return []
        if self._limit >= count:
            equal = self._limit // count
            wanted = {key: min(equal, share.ceiling) for key, share in self._shares.items()}
        else:
            chosen = self._choose(self._limit, released or set())
            wanted = {key: min(int(key in chosen), share.ceiling) for key, share in self._shares.items()}
        return self._apply(wanted, now)

    def _choose(self, limit: int, released: set[int]) -> set[K]:
        """Holders keep what they have unless released; then those that waited longest.

        Of those stopped together, as after a failure, the one that delivered last comes first: it is the
        most likely to have another message to probe with.
        """

        def rank(item: tuple[K, _Share]) -> tuple[int, float, float]:
            share = item[1]
            if id(share) in released:
                return 2, share.granted_at, 0.0
            return (0, share.granted_at, 0.0) if share.rdy else (1, share.released_at, -share.heard_at)

        return {key for key, _ in sorted(self._shares.items(), key=rank)[:limit]}

    def _apply(self, wanted: dict[K, int], now: float) -> list[tuple[K, int]]:
        lowered: list[tuple[K, int]] = []
        raised: list[tuple[K, int]] = []
        for key, rdy in wanted.items():
            share = self._shares[key]
            if rdy == share.rdy:
                continue
            (lowered if rdy < share.rdy else raised).append((key, rdy))
            if share.rdy == 0:
                share.granted_at = now
            elif rdy == 0:
                share.released_at = now
            share.rdy = rdy
        return lowered + raised
