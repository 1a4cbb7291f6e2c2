"""A message of NSQ on its way to browsers: its body, and what tells it from every other message.

NSQ gives a message an id and a timestamp once, and delivers it with both to every channel and on every
attempt: together they are its key, the same in every process and for ever. The body is parsed as JSON once,
however many routes, filters and policies look into it. No socket in here.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

_MISSING: Final = object()


class Missing(Exception):
    """The body is no JSON, or has nothing at a path."""


class Entry:
    """One message; `timestamp` is nsqd's, in nanoseconds, and `message_id` the one it gave."""

    __slots__ = ("_document", "body", "key", "timestamp")

    def __init__(self, body: bytes, timestamp: int = 0, message_id: bytes = b"") -> None:
        self.body = body
        self.timestamp = timestamp
        self.key = message_key(timestamp, message_id)
        """Sorts by timestamp, then by id."""
        self._document: Any = None

    @property
    def document(self) -> Any:
        """The body as JSON; Missing when it is none."""
        if self._document is None:
            try:
                self._document = (orjson.loads(self.body),)
            except ValueError:
                self._document = ()
        if not self._document:
            raise Missing
        return self._document[0]

    def forget_document(self) -> None:
        """Keep the body only: what is parsed of it takes several times as much."""
        self._document = None

    def field(self, path: tuple[str, ...]) -> Any:
        """What stands in the body under the names of `path`, one in the other; Missing when nothing does."""
        value = self.document
        for name in path:
            if not isinstance(value, dict):
                raise Missing
            value = value.get(name, _MISSING)
            if value is _MISSING:
                raise Missing
        return value


def message_key(timestamp: int, message_id: bytes) -> str:
    """What identifies a message: 16 digits of its timestamp, then its id; letters and digits only."""
    name = message_id.decode("ascii", "replace")
    return (
        f"{timestamp & _MAX_TIMESTAMP:016x}{name if name.isalnum() and name.isascii() else message_id.hex()}"
    )


def timestamp_of(key: str) -> int:
    """The nanoseconds that `key` begins with."""
    return int(key[:16], 16)


_MAX_TIMESTAMP = 2**64 - 1


class Seen:
    """The keys of the last messages: what nsqd delivers again is known by it. Bounded to `most` keys."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._keys: dict[str, None] = {}

    def is_new(self, key: str) -> bool:
        """Whether `key` is told for the first time, as far as is remembered; from now on it is not."""
        keys = self._keys
        if key in keys:
            return False
        keys[key] = None
        if len(keys) > self._most:
            del keys[next(iter(keys))]
        return True
