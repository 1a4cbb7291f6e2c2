"""What is wrong with logging itself goes to stderr, as from logging's own handlers: it cannot be logged."""

from __future__ import annotations

import logging
import sys


def complain(text: str) -> None:
    """One line on stderr, unless logging.raiseExceptions is off."""
    if logging.raiseExceptions and sys.stderr is not None:
        sys.stderr.write(f"nsqgw.NsqHandler: {text}\n")
