"""Our own nsqd and nsqlookupd with the same handles as the originals, see `real.py`."""

from __future__ import annotations

from typing import Any

from compat.nsqd import NsqdOptions
from compat.threaded import ThreadedNsqd, ThreadedNsqlookupd


class EmbeddedNsqd(ThreadedNsqd):
    """nsqd in this process, its options named as the flags."""

    kind = "compat"

    def __init__(self, **flags: Any) -> None:
        super().__init__(NsqdOptions(broadcast_address="127.0.0.1", **flags))

    def close(self) -> None:
        self.stop()


class EmbeddedNsqlookupd(ThreadedNsqlookupd):
    """nsqlookupd in this process, its options named as the flags."""

    kind = "compat"

    def __init__(self, **flags: Any) -> None:
        from compat.nsqlookupd import NsqlookupdOptions

        super().__init__(NsqlookupdOptions(broadcast_address="127.0.0.1", **flags))

    def close(self) -> None:
        self.stop()
