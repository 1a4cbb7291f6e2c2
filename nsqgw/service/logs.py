"""Log lines for services: key=value or JSON, one record a line, on stderr; repeated ones are counted.

Programs call `configure` once at their start; the library never does. What is passed as `extra=` to a logging
call is written as fields of its own.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import datetime, timezone

from nsqgw.errors import ConfigError
from nsqgw.service.log_flood import FloodHandler

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("logfmt", "json")

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_NEEDS_QUOTES = frozenset(' "=\\')


def configure(level: str = "info", style: str = "logfmt") -> None:
    """Write records of `level` (one of LEVELS) and above to stderr, as `style` (one of FORMATS) says."""
    handler = FloodHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else KeyValueFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def level() -> str:
    """The level in force, one of LEVELS when `configure` or `set_level` gave it."""
    return logging.getLevelName(logging.getLogger().level).lower()


def set_level(name: str) -> None:
    """Write records of this level and above from now on. Raises ConfigError for another word."""
    if name not in LEVELS:
        raise ConfigError(f"log level {name[:40]!r} is not known: it must be one of {', '.join(LEVELS)}")
    logging.getLogger().setLevel(name.upper())


class KeyValueFormatter(logging.Formatter):
    """`time=2024-05-01T12:00:00.000Z level=info logger=nsqgw.consumer msg="connected" topic=events`."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in _fields(self, record))


class JsonFormatter(logging.Formatter):
    """The same fields as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(dict(_fields(self, record)), default=str)


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> Iterable[tuple[str, object]]:
    yield "time", _utc(record.created)
    yield "level", record.levelname.lower()
    yield "logger", record.name
    yield "msg", record.getMessage()
    for key, value in vars(record).items():
        if key not in _OWN_ATTRIBUTES:
            yield key, value
    if record.exc_info:
        yield "traceback", formatter.formatException(record.exc_info)


def _utc(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _quoted(text: str) -> str:
    if text and text.isprintable() and _NEEDS_QUOTES.isdisjoint(text):
        return text
    return json.dumps(text, ensure_ascii=False)
