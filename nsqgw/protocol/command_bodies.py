"""Commands whose line has been read and whose body has not: IDENTIFY, AUTH, PUB, DPUB, MPUB (nsqd-tcp 3).

A body takes what has arrived, checks each size as soon as it is there, and says how many bytes it
wants before it is worth asking again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from nsqgw.errors import BadBody, BadMessage, ServerError
from nsqgw.protocol.commands import Command, Mpub
from nsqgw.protocol.limits import ServerLimits

_INT32 = struct.Struct(">i")

SMALLEST_BATCH_ENTRY = 5
"""A batch's message takes at least its size field and one byte."""


class SizedBody:
    """One `int32 size` and as many bytes.

    `what` is nsqd's name for it in error texts: "body" or "message body"; `code` the error's class.
    """

    __slots__ = ("_build", "_code", "_limit", "_name", "_size", "_what", "wanted")

    def __init__(
        self,
        name: str,
        what: str,
        code: type[ServerError],
        limit: int,
        build: Callable[[bytes], Command],
    ) -> None:
        self._name = name
        self._what = what
        self._code = code
        self._limit = limit
        self._build = build
        self._size: int | None = None
        self.wanted = _INT32.size

    def take(self, data: bytes, position: int) -> tuple[Command | None, int]:
        """The command, when `data` from `position` on completes it, and the position after what was used.

        Raises ServerError for a size nsqd refuses, before the bytes themselves arrive.
        """
        if self._size is None:
            if len(data) - position < _INT32.size:
                return None, position
            self._size = self.wanted = self._checked(_INT32.unpack_from(data, position)[0])
            position += _INT32.size
        end = position + self._size
        if end > len(data):
            return None, position
        return self._build(data[position:end]), end

    def cut_short(self) -> ServerError:
        """The error of a body that ends too early."""
        missing = f"{self._what} size" if self._size is None else self._what
        return self._code(f"{self._name} failed to read {missing}")

    def _checked(self, size: int) -> int:
        if size <= 0:
            raise self._code(f"{self._name} invalid {self._what} size {size}")
        if size > self._limit:
            raise self._code(f"{self._name} {self._what.split()[0]} too big {size} > {self._limit}")
        return size


def document_body(name: str, limits: ServerLimits, build: Callable[[bytes], Command]) -> SizedBody:
    """The body of IDENTIFY or AUTH."""
    return SizedBody(name, "body", BadBody, limits.max_body_size, build)


def message_body(name: str, limits: ServerLimits, build: Callable[[bytes], Command]) -> SizedBody:
    """The body of PUB or DPUB."""
    return SizedBody(name, "message body", BadMessage, limits.max_msg_size, build)


class BatchBody:
    """The body of MPUB: sizes are checked one by one, and everything is read before anything counts.

    nsqd does not compare body_size with what follows (nsqd-tcp 8.8) and would read on for as long as
    single messages are legal. Here the messages together may not exceed max-body-size either, which
    only a client that lied about its body_size can notice. HTTP's binary /mpub is the same without a
    body_size in front, which is then given as `announced`.
    """

    __slots__ = ("_announced", "_bodies", "_count", "_held", "_limits", "_size", "_topic", "wanted")

    def __init__(self, topic: str, limits: ServerLimits, announced: int | None = None) -> None:
        self._topic = topic
        self._limits = limits
        self._announced = announced
        self._count: int | None = None
        self._size: int | None = None
        self._bodies: list[bytes] = []
        self._held = _INT32.size
        self.wanted = _INT32.size

    def take(self, data: bytes, position: int) -> tuple[Command | None, int]:
        """As SizedBody.take."""
        end = len(data)
        if self._announced is None:
            if end - position < _INT32.size:
                return None, position
            self._announced = self._checked_announced(_INT32.unpack_from(data, position)[0])
            position += _INT32.size
        if self._count is None:
            if end - position < _INT32.size:
                return None, position
            self._count = self._checked_count(_INT32.unpack_from(data, position)[0])
            position += _INT32.size
        position = self._take_messages(data, position, self._count)
        if len(self._bodies) < self._count:
            return None, position
        return Mpub(self._topic, tuple(self._bodies)), position

    def cut_short(self) -> ServerError:
        """The error of a batch that ends too early."""
        if self._announced is None:
            return BadBody("MPUB failed to read body size")
        if self._count is None:
            return BadBody("MPUB failed to read message count")
        if self._size is None:
            return BadMessage(f"MPUB failed to read message({len(self._bodies)}) body size")
        return BadMessage("MPUB failed to read message body")

    def _take_messages(self, data: bytes, position: int, count: int) -> int:
        available, bodies, size = len(data), self._bodies, self._size
        unpack_from = _INT32.unpack_from
        while len(bodies) < count:
            if size is None:
                if available - position < _INT32.size:
                    self.wanted = _INT32.size
                    break
                size = self._checked_size(unpack_from(data, position)[0])
                position += _INT32.size
            end = position + size
            if end > available:
                self.wanted = size
                break
            bodies.append(data[position:end])
            position, size = end, None
        self._size = size
        return position

    def _checked_announced(self, size: int) -> int:
        if size <= 0:
            raise BadBody(f"MPUB invalid body size {size}")
        if size > self._limits.max_body_size:
            raise BadBody(f"MPUB body too big {size} > {self._limits.max_body_size}")
        return size

    def _checked_count(self, count: int) -> int:
        if not 0 < count <= (self._limits.max_body_size - _INT32.size) // SMALLEST_BATCH_ENTRY:
            raise BadBody(f"MPUB invalid message count {count}")
        return count

    def _checked_size(self, size: int) -> int:
        if size <= 0:
            raise BadMessage(f"MPUB invalid message({len(self._bodies)}) body size {size}")
        if size > self._limits.max_msg_size:
            raise BadMessage(f"MPUB message too big {size} > {self._limits.max_msg_size}")
        self._held += _INT32.size + size
        if self._held > self._limits.max_body_size:
            raise BadBody(f"MPUB body too big {self._held} > {self._limits.max_body_size}")
        return size
