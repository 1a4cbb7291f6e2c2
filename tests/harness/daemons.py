"""The two kinds of daemons a scene runs on, behind one set of handles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harness import embedded, real


class Daemon(Protocol):
    """A daemon under test; its addresses stay the same over stop() and start()."""

    kind: str

    @property
    def tcp_address(self) -> str: ...

    @property
    def http_address(self) -> str: ...

    @property
    def https_address(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None:
        """Ends it abruptly, as a crash does."""

    def close(self) -> None:
        """Ends it for good and removes what it left on disk."""


def nsqd_of(kind: str) -> Callable[..., Daemon]:
    return real.RealNsqd if kind == "real" else embedded.EmbeddedNsqd


def nsqlookupd_of(kind: str) -> Callable[..., Daemon]:
    return real.RealNsqlookupd if kind == "real" else embedded.EmbeddedNsqlookupd
