"""When to try an address again: pauses that double, with jitter, so that a restart brings no stampede."""

from __future__ import annotations

import random
from collections.abc import Callable


class ReconnectDelay:
    """The pauses, in seconds, for one address; a connection that worked starts them over."""

    def __init__(
        self, shortest: float, longest: float, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._shortest = shortest
        self.longest = longest
        self._uniform = uniform
        self._next = shortest

    def next(self) -> float:
        """The pause before the next try: between half and all of the current step."""
        step = self._next
        self._next = min(step * 2, self.longest)
        return self._uniform(step / 2, step)

    def reset(self) -> None:
        """The connection worked."""
        self._next = self._shortest
