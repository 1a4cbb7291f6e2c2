"""One message as it stands in a data file: int32 length, then what a message frame carries.

The same bytes as go-diskqueue's, so either implementation reads the other's files (nsqd-behaviour section 2).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from compat.nsqd.message import Message

LENGTH = struct.Struct(">i")
HEAD = struct.Struct(">iqH16s")
"""Length of what follows, timestamp, attempts, id; the body comes next."""

SMALLEST_LENGTH = HEAD.size - LENGTH.size
"""The length of a message without a body: anything shorter is damage."""


class DamagedRecord(Exception):
    """No record begins here: nothing behind it in the same file can be trusted either."""


def encode_records(messages: Sequence[Message]) -> list[bytes]:
    """One record for each message."""
    pack = HEAD.pack
    return [
        pack(SMALLEST_LENGTH + len(each.body), each.timestamp, each.attempts, each.id) + each.body
        for each in messages
    ]


def decode_records(
    data: bytes, at: int, count: int, max_bytes: int, largest: int
) -> tuple[list[Message], int]:
    """Messages from the whole records at `at`, and where the next record begins.

    Ends after `count`, after `max_bytes`, or before a record that is cut short. `largest` is the longest
    valid length. Raises DamagedRecord when the first one has an impossible length.
    """
    messages: list[Message] = []
    unpack, head_size, end = HEAD.unpack_from, HEAD.size, len(data)
    stop = at + max_bytes
    while len(messages) < count and at < stop and at + head_size <= end:
        length, timestamp, attempts, message_id = unpack(data, at)
        if not SMALLEST_LENGTH <= length <= largest:
            if messages:
                break
            raise DamagedRecord(f"invalid message read size ({length})")
        after = at + LENGTH.size + length
        if after > end:
            break
        message = Message(message_id, timestamp, data[at + head_size : after])
        message.attempts = attempts
        messages.append(message)
        at = after
    return messages, at


def record_size(message: Message) -> int:
    """Bytes of the message's record."""
    return HEAD.size + len(message.body)


def count_records(data: bytes, at: int, largest: int) -> int:
    """How many whole records there are from `at` on, up to the first that is damaged or cut short."""
    count, end = 0, len(data)
    while at + HEAD.size <= end:
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size + length
        if not SMALLEST_LENGTH <= length <= largest or at > end:
            break
        count += 1
    return count
