"""Message ids (nsqd-tcp section 10): 64 bits of time, node and sequence, as 16 hexadecimal digits.

The low 12 bits are the sequence, so the last three digits count within a tick of about 1.05 ms and the
first thirteen stand for tick and node. One generator serves one topic.
"""

from __future__ import annotations

_TICK_SHIFT = 20
_EPOCH = 1288834974288
_NODE_BITS = 10
_SEQUENCE_LENGTH = 4096

_SEQUENCE_DIGITS = [b"%03x" % number for number in range(_SEQUENCE_LENGTH)]


class MessageIds:
    """Strictly increasing ids.

    Where nsqd sleeps until a used-up or backward tick is over, this one goes on into the next tick:
    the ids are as unique and as ordered, and nobody waits.
    """

    def __init__(self, node_id: int) -> None:
        self._node_id = node_id
        self._tick = 0
        self._sequence = 0
        self._prefix = b""

    def take(self, count: int, now_ns: int) -> list[bytes]:
        """`count` new ids, at the time `now_ns` (ns since the epoch)."""
        tick = (now_ns >> _TICK_SHIFT) - _EPOCH
        if tick > self._tick:
            self._start_tick(tick)
        ids: list[bytes] = []
        while True:
            end = self._sequence + count - len(ids)
            prefix = self._prefix
            ids += [prefix + digits for digits in _SEQUENCE_DIGITS[self._sequence : end]]
            if end <= _SEQUENCE_LENGTH:
                self._sequence = end
                return ids
            self._start_tick(self._tick + 1)

    def _start_tick(self, tick: int) -> None:
        self._tick = tick
        self._sequence = 0
        self._prefix = b"%013x" % (tick << _NODE_BITS | self._node_id)
