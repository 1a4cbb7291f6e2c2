"""A message as AnyEvent::NSQ has it: a hash of four keys, here a mapping whose keys are attributes, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nsqgw import message as nsqgw_message
from nsqgw.errors import MessageError

if TYPE_CHECKING:
    from compat.perl.connection import Connection

_KEYS = ("attempts", "message_id", "tstamp", "message")
_ID = re.compile(r"[!-~]{16}")


class Message(Mapping[str, Any]):
    """One delivery: `message["message"]` and `message.message` are the same.

    attempts    1 on the first delivery
    message_id  16 characters
    tstamp      nanoseconds since the Unix epoch
    message     the body, bytes
    connection  the Connection it came by; no key, since Perl has none
    """

    __slots__ = ("attempts", "connection", "message", "message_id", "tstamp")

    def __init__(self, delivery: nsqgw_message.Message, connection: Connection) -> None:
        self.attempts = delivery.attempts
        self.message_id = delivery.id.decode("ascii", "backslashreplace")
        self.tstamp = delivery.timestamp
        self.message = delivery.body
        self.connection = connection

    def __getitem__(self, key: str) -> Any:
        if key not in _KEYS:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)

    def __repr__(self) -> str:
        return f"<Message {self.message_id} attempts={self.attempts} {len(self.message)} bytes>"


def id_of(message: Message | str) -> str:
    """The id of a message that is given as such or by its id; MessageError for what can be none."""
    text = message if isinstance(message, str) else message.message_id
    if not _ID.fullmatch(text):
        raise MessageError(f"{text!r} is no message id: it must be 16 characters without spaces")
    return text
