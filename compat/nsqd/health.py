"""Whether the broker can store what it is given, as /ping and /stats tell it (nsqd-http section 8)."""

from __future__ import annotations

HEALTHY = "OK"


class Health:
    """Bad from a failed write on until one succeeds."""

    def __init__(self) -> None:
        self._reason = ""

    @property
    def good(self) -> bool:
        return not self._reason

    def __str__(self) -> str:
        return f"NOK - {self._reason}" if self._reason else HEALTHY

    def stored(self, reason: str) -> None:
        """A write ended: why it failed, or "" when it did not."""
        self._reason = reason
