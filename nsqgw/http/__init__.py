"""The HTTP APIs of nsqd and nsqlookupd, blocking (requests) and for asyncio (tornado).

The clients are imported when they are asked for: consumers need only what lies below them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsqgw.config import HttpConfig
    from nsqgw.http.clients import LookupdHttp, LookupdHttpAsync, NsqdHttp, NsqdHttpAsync

__all__ = ["HttpConfig", "LookupdHttp", "LookupdHttpAsync", "NsqdHttp", "NsqdHttpAsync"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nsqgw.http import clients

    return getattr(clients, name)
