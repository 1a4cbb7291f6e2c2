"""Our own nsqd and nsqlookupd with the same handles as the originals, see `real.py`."""

from __future__ import annotations

from typing import Any

from compat.nsqd import NsqdOptions
from compat.threaded import ANY_PORT, ThreadedNsqd, ThreadedNsqlookupd


class EmbeddedNsqd(ThreadedNsqd):
    """nsqd in this process, its options named as the flags."""

    kind = "compat"

    def __init__(self, **flags: Any) -> None:
        words = {name: str(value).lower() for name, value in flags.items() if name == "tls_required"}
        settings = {"broadcast_address": "127.0.0.1", "https_address": ANY_PORT, **flags, **words}
        super().__init__(NsqdOptions(**settings))
        self.tcp_address = flags.get("tcp_address", ANY_PORT)
        self.http_address = flags.get("http_address", ANY_PORT)

    @property
    def https_address(self) -> str:
        assert self._life is not None
        return self._life.daemon.https_address

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
