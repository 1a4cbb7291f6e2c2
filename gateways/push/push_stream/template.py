"""How a message is written for push-stream's clients: a text with `~words~` that each message fills.

As in the module nothing is escaped: a template that looks like JSON gives JSON only for texts that fit in.
The template `json` is ours: the document that pushstream.js reads, right for every text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from websockets.frames import Opcode

from gateways.push.frame import Frame
from gateways.push.push_stream.stamps import Stamp
from nsqgw.errors import ConfigError

JSON = "json"
"""The template that needs no text."""

WORDS = ("id", "text", "size", "channel", "time", "tag", "event-id", "event-type")

MAX_TEMPLATE = 4096

_WORD = re.compile(rf"~({'|'.join(WORDS)})~")
_LINE_END = re.compile(r"\r\n|\r|\n")
_PING = {
    "id": "-1", "text": " ", "size": "1", "channel": "", "time": "Thu, 01 Jan 1970 00:00:00 GMT",
    "tag": "0", "event-id": "", "event-type": "",
}  # fmt: skip
_DELETED_ID = "-2"


def check_template(text: str) -> str:
    """The text itself; ConfigError when no message would show in it."""
    if len(text) > MAX_TEMPLATE:
        raise ConfigError(f"template {text[:40]!r}... is longer than {MAX_TEMPLATE} characters")
    if text != JSON and not _WORD.search(text):
        words = " ".join(f"~{word}~" for word in WORDS)
        raise ConfigError(f"template {text!r} has no word that a message fills: write {JSON}, or use {words}")
    return text


class MessageTemplate:
    """One template, and the encodings that are made with it: one object each, for all connections."""

    def __init__(self, text: str) -> None:
        self._fill = _json if check_template(text) == JSON else _filler(text)
        self.plain: Callable[[Frame], bytes] = self._plain
        self.block: Callable[[Frame], bytes] = self._block

    @property
    def ping(self) -> bytes:
        """A sign of life that looks like a message with the id -1."""
        return self._fill(_PING).encode()

    def deletion(self, channel: str, text: str) -> str:
        """The last message of a channel, with the id -2."""
        size = str(len(text.encode()))
        return self._fill({**_PING, "id": _DELETED_ID, "text": text, "size": size, "channel": channel})

    def text(self, frame: Frame) -> str:
        """A message; bytes that are no UTF-8 show as replacement characters."""
        stamp = Stamp.of(frame)
        return self._fill(
            {
                "id": str(frame.offset),
                "text": frame.body.decode(errors="replace"),
                "size": str(len(frame.body)),
                "channel": frame.channel,
                "time": stamp.date,
                "tag": str(stamp.tag),
                "event-id": frame.position,
                "event-type": "",
            }
        )

    def payload(self, frame: Frame) -> tuple[Opcode, bytes]:
        """For WebSocket: text, always."""
        return Opcode.TEXT, self._plain(frame)

    def _plain(self, frame: Frame) -> bytes:
        return self.text(frame).encode()

    def _block(self, frame: Frame) -> bytes:
        lines = "".join(f"data: {line}\n" for line in _LINE_END.split(self.text(frame)))
        return f"id: {frame.position}\n{lines}\n".encode()


def _filler(text: str) -> Callable[[Mapping[str, str]], str]:
    """A function instead of replacements in turn: words in a message's own text are left alone."""
    parts = _WORD.split(text)
    fixed, words = parts[::2], parts[1::2]

    def fill(values: Mapping[str, str]) -> str:
        filled = [part for pair in zip(fixed, map(values.__getitem__, words), strict=False) for part in pair]
        return "".join(filled) + fixed[-1]

    return fill


def _json(values: Mapping[str, str]) -> str:
    document = {
        "id": int(values["id"]),
        **{name: values[name] for name in ("channel", "text", "tag", "time")},
    }
    return json.dumps({**document, "eventid": values["event-id"]}, ensure_ascii=False)
