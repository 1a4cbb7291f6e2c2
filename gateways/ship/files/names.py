"""File names with the places of nsq_to_file: <TOPIC> <HOST> <PID> <DATETIME> <REV>. Pure: time is passed in.

<TOPIC>, <HOST> and <PID> are filled in first; what is left names a series of files, of which <DATETIME>, the
time of writing, and <REV>, a number counted up so that no file is written over, tell one from the next.
"""

from __future__ import annotations

import os
import re
import socket
import time

from nsqgw.errors import ConfigError

REV = "<REV>"
DATETIME = "<DATETIME>"

_DIRECTIVE = re.compile("%[BbmAadHIMSYypZz%]")
_FIRST_PLACE = re.compile(r"[<{%]")


def with_host(text: str, identifier: str = "") -> str:
    """`text` with <HOST> and <PID> filled in; `identifier` may hold <SHORT_HOST> and <HOSTNAME>."""
    full = socket.gethostname()
    short = full.split(".")[0]
    host = identifier.replace("<SHORT_HOST>", short).replace("<HOSTNAME>", full) or short
    return text.replace("<HOST>", host).replace("<PID>", str(os.getpid()))


def split_folder(path: str) -> tuple[str, str]:
    """The folder that has to be there, and the rest, which may make folders below it.

    The folder is all that stands before the first part with a place in it.
    """
    head, tail = os.path.split(os.path.abspath(path))
    place = _FIRST_PLACE.search(head)
    if place is None:
        return head, tail
    folder = head[: head.rindex("/", 0, place.start()) + 1]
    return os.path.abspath(folder), os.path.abspath(path)[len(folder) :]


def dated(series: str, datetime_format: str, now: float, *, utc: bool) -> str:
    """The series' name at `now` (seconds of the epoch), <REV> still in it."""
    if DATETIME not in series:
        return series
    moment = time.gmtime(now) if utc else time.localtime(now)
    # What nsq_to_file does not know stays as it is; so it does here.
    text = _DIRECTIVE.sub(lambda match: time.strftime(match[0], moment), datetime_format)
    return series.replace(DATETIME, text)


def numbered(name: str, rev: int) -> str:
    """The name of one file."""
    return name.replace(REV, f"-{rev:06d}")


def check_rev(path: str, reason: str) -> None:
    """Whether files can be told apart. Raises ConfigError."""
    if REV not in path:
        raise ConfigError(
            f"path = {path!r} has no {REV}, which {reason} needs so that no file is written over: "
            f"write one such as /logs/<TOPIC>{REV}.log"
        )
