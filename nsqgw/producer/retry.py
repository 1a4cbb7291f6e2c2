"""Which failed publishes may be sent again: pure.

The first rule of a producer is that nothing is sent twice behind the caller's back; the second, that nothing
fails which could still succeed.
"""

from __future__ import annotations

from nsqgw.errors import (
    Closed,
    ConnectionClosed,
    DpubFailed,
    MpubFailed,
    NSQError,
    PubFailed,
    PublishError,
    Unprocessed,
)

_NOT_STORED = (Unprocessed, PubFailed, DpubFailed)
_UNKNOWN = (ConnectionClosed, MpubFailed)


def may_retry(error: NSQError, retry_unknown: bool) -> bool:
    """Whether a publish that failed with `error` may be sent again.

    Yes when it is certain that nothing was stored. Where that is unknown, after a broken connection or a
    failed MPUB whose first messages may be stored, only with `retry_unknown`. Never when nsqd refused the
    message itself.
    """
    return isinstance(error, _NOT_STORED) or (retry_unknown and isinstance(error, _UNKNOWN))


def nothing_stored(error: NSQError) -> bool:
    """Whether `error` says of the try that it ended that nsqd certainly stored nothing."""
    return isinstance(error, (*_NOT_STORED, PublishError, Closed))
