"""Log records as lines of JSON."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record.

    time       when it was made, UTC, as in 2026-01-31T08:15:00.123456Z
    level      DEBUG, INFO, WARNING, ERROR, CRITICAL or what else addLevelName named
    logger     the logger's name
    message    the text with its arguments in place
    exception  the traceback, where there is one; `stack` likewise
    extra      what was passed as `extra=`, where there is any; values JSON has no form for as their str()
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        entry: dict[str, Any] = {
            "time": f"{datetime.fromtimestamp(record.created, timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            entry["exception"] = record.exc_text
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        extra = {name: value for name, value in vars(record).items() if name not in _USUAL}
        if not extra:
            return json.dumps(entry)
        try:
            return json.dumps(entry | {"extra": extra}, default=str, allow_nan=False)
        except (TypeError, ValueError):  # NaN, keys that are no strings, values that contain themselves
            return json.dumps(entry | {"extra": {name: repr(value) for name, value in extra.items()}})
