"""Text with places that each event fills: in URLs, index and file names, tags, labels, added fields.

    logs-{topic}-%Y.%m.%d        {field:service|unknown}/{field:request.host}

`{topic}` `{channel}` `{id}` `{key}` `{attempts}` `{timestamp}` (ns) `{nsqd}`   of the message
`{field:PATH}`      of the body, when it is a JSON object or a transform decoded it
`{...|TEXT}`        TEXT when the field is missing, null, empty, an object or a list
`%Y %m %d ...`      strftime, of the message's timestamp; UTC unless the user of the template says otherwise
`{{` `}}` `%%`      these characters themselves
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from gateways.pipeline.event import fields_of
from gateways.pipeline.identity import event_id
from gateways.ship.fields import FieldPath
from nsqgw.errors import ConfigError, NSQError
from nsqgw.message import Message

DIRECTIVES = "YmdHMSjyGVuwabABp"
"""The letters of strftime that are taken: those whose text is the same everywhere, and of bounded length."""

MAX_TEMPLATE = 4096

_TOKEN = re.compile(r"\{\{|\}\}|%%|(?P<time>%.?)|\{(?P<name>[^{}]*)\}|(?P<stray>[{}])", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NS = 1_000_000_000

METADATA: dict[str, Callable[[Message], str]] = {
    "topic": lambda message: message.topic,
    "channel": lambda message: message.channel,
    "id": lambda message: message.id.decode("ascii", "backslashreplace"),
    "key": event_id,
    "attempts": lambda message: str(message.attempts),
    "timestamp": lambda message: str(message.timestamp),
    "nsqd": lambda message: message.nsqd_address,
}
"""The places that need no field, and what fills them."""

Part = Callable[[Message, "dict[str, Any] | None"], str]


class MissingField(NSQError):
    """An event has no value for a place of a template; the text names it."""


class Template:
    """One template, parsed once. Raises ConfigError, naming what is wrong and what there is.

    `escape` is applied to each value filled in, never to the template's own text: see `in_url`, `in_index`
    and `in_path`. `utc` is for the strftime part; without it the machine's zone counts.
    """

    def __init__(self, text: str, *, escape: Callable[[str], str] | None = None, utc: bool = True) -> None:
        self.text = text
        self._escape = escape
        self.uses_fields = False
        """Whether it needs the body."""
        self._strftime = _strftime_utc if utc else _strftime_local
        self._parts = _joined(self._parse())
        texts = [part for part in self._parts if isinstance(part, str)]
        self.constant = "".join(texts) if len(texts) == len(self._parts) else None
        """The text, when it is the same for every event; else None."""
        self.is_constant = self.constant is not None

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def render(self, message: Message) -> str:
        """The text for a message, or for an event made of one. Raises MissingField."""
        return self.fill(message, fields_of(message) if self.uses_fields else None)

    def fill(self, message: Message, fields: dict[str, Any] | None) -> str:
        """As `render`, with the fields already at hand."""
        return "".join([part if isinstance(part, str) else part(message, fields) for part in self._parts])

    # -- reading the text

    def _parse(self) -> list[str | Part]:
        if len(self.text) > MAX_TEMPLATE:
            raise ConfigError(f"template {self.text[:40]!r}... is longer than {MAX_TEMPLATE} characters")
        parts: list[str | Part] = []
        end = 0
        for match in _TOKEN.finditer(self.text):
            parts.append(self.text[end : match.start()])
            parts.append(self._part(match))
            end = match.end()
        parts.append(self.text[end:])
        return parts

    def _part(self, match: re.Match[str]) -> str | Part:
        if match["time"] is not None:
            return self._time(match["time"])
        if match["name"] is not None:
            return self._placeholder(match["name"])
        if match["stray"] is not None:
            raise ConfigError(
                f"template {self.text!r} has half a pair of braces: write {{{{ or }}}} for the character"
            )
        return match[0][0]

    def _time(self, directive: str) -> Part:
        if directive[1:] not in tuple(DIRECTIVES):
            raise ConfigError(
                f"template {self.text!r}: {directive} is not known: it must be % and one of {DIRECTIVES},"
                " or %% for the character"
            )
        strftime = self._strftime
        return lambda message, fields: strftime(directive, message.timestamp // _NS)

    def _placeholder(self, inside: str) -> Part:
        name, bar, default = inside.partition("|")
        fallback = default if bar else None
        if name.startswith("field:"):
            self.uses_fields = True
            return self._field(FieldPath(name.removeprefix("field:")), fallback)
        if name not in METADATA:
            known = ", ".join(f"{{{each}}}" for each in METADATA)
            raise ConfigError(
                f"template {self.text!r}: {{{inside}}} is not known: it must be {known} or {{field:PATH}}"
            )
        value = METADATA[name]
        escape = self._escape
        if escape is None:
            return lambda message, fields: value(message)
        return lambda message, fields: escape(value(message))

    def _field(self, path: FieldPath, fallback: str | None) -> Part:
        escape = self._escape

        def fill(message: Message, fields: dict[str, Any] | None) -> str:
            value = path.get(fields) if fields is not None else None
            text = as_text(value)
            if not text:
                if fallback is None:
                    raise MissingField(f"field {path.text} is missing, empty or no plain value")
                return fallback
            return text if escape is None else escape(text)

        return fill


def as_text(value: object) -> str:
    """How a plain value reads; "" for one that is missing, null, an object or a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return ""


def in_url(value: str) -> str:
    """A value as one segment of a path or one value of a query: `/`, `?` and the rest are percent-encoded."""
    quoted = quote(value, safe="", errors="surrogatepass")
    # Dots are never encoded, and a segment of nothing else leads to another folder.
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def leads_elsewhere(path: str) -> bool:
    """Whether a server that decodes a path before it looks for dots in it would go up or stay in a folder.

    Such as nginx. The query does not matter.
    """
    return not {".", ".."}.isdisjoint(unquote(path.partition("?")[0]).split("/"))


def in_path(value: str) -> str:
    """A value as part of one file name: no separator, no control character, no `..`, at most 100 bytes."""
    cleaned = _UNFIT_IN_PATH.sub("_", value).encode()[:_MAX_IN_PATH].decode(errors="ignore")
    return "_" + cleaned[1:] if cleaned.startswith(".") else cleaned


def in_index(value: str) -> str:
    """A value as part of an index name of Elasticsearch: lower case, `_` for what is forbidden there."""
    return _UNFIT_IN_INDEX.sub("_", value.lower())


_MAX_IN_PATH = 100  # names have at most 255 bytes on most file systems, and may be made of several values
_UNFIT_IN_PATH = re.compile(r"[/\\\x00-\x1f\x7f\ud800-\udfff]|\.\.+")
_UNFIT_IN_INDEX = re.compile(r"""[\\/*?"<>| ,#:\x00-\x1f\x7f\ud800-\udfff]""")


def _joined(parts: list[str | Part]) -> tuple[str | Part, ...]:
    """The same with neighbouring text in one piece."""
    joined: list[str | Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)


# Events of a batch fall into few seconds: the text of each is made once.


@lru_cache(maxsize=1024)
def _strftime_utc(directive: str, seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime(directive)


@lru_cache(maxsize=1024)
def _strftime_local(directive: str, seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).astimezone().strftime(directive)
