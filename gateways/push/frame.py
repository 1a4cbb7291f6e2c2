"""One message as browsers get it: encoded once for each encoding, however many browsers there are.

An encoding turns a frame into the bytes of one way of delivery (a WebSocket frame, a block of an event
stream). A frame keeps what was encoded, lazily, so an encoding nobody asks for costs nothing; a burst does
the same for frames that leave together, so that every socket gets one write. No socket in here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from gateways.push.entry import Entry

Encoding = Callable[["Frame"], bytes]


class Frame:
    """One message on its way to browsers: an entry of a channel, and its place in the channel's history."""

    __slots__ = ("_encoded", "arrived", "body", "channel", "entry", "epoch", "offset")

    conflated: ClassVar[bool] = True
    """Whether it is what a policy means that keeps the newest message only."""

    def __init__(self, entry: Entry, channel: str = "", epoch: str = "", offset: int = 0) -> None:
        self.entry = entry
        self.body = entry.body
        self.arrived = entry.timestamp
        """When this process got it, in nanoseconds by the wall clock, and not before it was published."""
        self.channel = channel
        self.epoch = epoch
        self.offset = offset
        self._encoded: dict[Encoding, bytes] = {}

    @property
    def position(self) -> str:
        """What a browser shows to get everything after this message; opaque to it."""
        return f"{self.epoch}-{self.offset}-{self.entry.key}"

    @property
    def key(self) -> str:
        """What tells this message from every other, in every process."""
        return self.entry.key

    def encoded(self, encoding: Encoding) -> bytes:
        """The bytes of this frame in `encoding`; the same object for everybody who asks."""
        data = self._encoded.get(encoding)
        if data is None:
            data = self._encoded[encoding] = encoding(self)
        return data


class Burst:
    """Frames of one channel that leave together, in order: one write a socket instead of one a frame."""

    __slots__ = ("_joined", "channel", "frames")

    def __init__(self, channel: str, frames: Sequence[Frame]) -> None:
        self.channel = channel
        self.frames = tuple(frames)
        self._joined: dict[Encoding, bytes] = {}

    def encoded(self, encoding: Encoding) -> bytes:
        """The frames in `encoding`, joined; the same object for everybody who asks."""
        data = self._joined.get(encoding)
        if data is None:
            parts = [frame.encoded(encoding) for frame in self.frames]
            data = self._joined[encoding] = parts[0] if len(parts) == 1 else b"".join(parts)
        return data


def is_utf8(body: bytes) -> bool:
    """Whether `body` can be shown as text."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
