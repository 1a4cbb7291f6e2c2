"""Log records in the shape of the original daemons: `[nsqd] 2024/01/02 03:04:05.678901 INFO: text`."""

from __future__ import annotations

import logging
from datetime import datetime

LOG_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
"""The words of `-log-level`."""


class GoFormatter(logging.Formatter):
    """Formats records as nsqd and nsqlookupd do; `prefix` is the value of `-log-prefix`."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).strftime("%Y/%m/%d %H:%M:%S.%f")
        level = "FATAL" if record.levelno >= logging.CRITICAL else record.levelname
        text = f"{self._prefix}{moment} {level}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def log_to_stderr(prefix: str, level: str) -> None:
    """Send what the daemons log to stderr, from `level` (a key of LOG_LEVELS) on; for a program's start."""
    handler = logging.StreamHandler()
    handler.setFormatter(GoFormatter(prefix))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("compat").setLevel(LOG_LEVELS[level.lower()])
