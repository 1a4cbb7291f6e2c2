"""Work files that a killed gateway left behind: cut where they are whole, and moved to the finished ones.

Nothing that was confirmed is in what is cut off: a message is finished only after its line was synced. A file
that somebody is writing is locked, and left alone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re

from gateways.ship.files.names import DATETIME, REV
from gateways.ship.files.series import FileRules, move_finished

logger = logging.getLogger(__name__)

_PLACE = re.compile(rf"{REV}|{DATETIME}|\{{[^}}]*\}}|%%|%.|\{{\{{|\}}\}}")


def recover(path: str, rules: FileRules) -> None:
    """Move what is in the work folder and has a name that `path` can make. Raises OSError."""
    assert rules.work_folder is not None, "without a work folder nothing is moved"
    pattern = _pattern(path)
    for folder, _, names in os.walk(rules.work_folder):
        for name in names:
            relative = os.path.relpath(os.path.join(folder, name), rules.work_folder)
            match = pattern.fullmatch(relative)
            if match is not None:
                start, end = match.span("rev")
                series = relative[:start] + REV + relative[end:]
                _recover_file(os.path.join(folder, name), series, int(match["number"]), rules)


def _pattern(path: str) -> re.Pattern[str]:
    """What names `path` makes; its first <REV> is the groups `rev` and `number`."""
    parts: list[str] = []
    end = 0
    for match in _PLACE.finditer(path):
        parts.append(re.escape(path[end : match.start()]))
        if match[0] == REV:
            numbered = "(?P<rev>" in "".join(parts)
            parts.append(r"-\d{6,}" if numbered else r"(?P<rev>-(?P<number>\d{6,}))")
        else:
            parts.append("[^/]+?")
        end = match.end()
    return re.compile("".join(parts) + re.escape(path[end:]))


def _recover_file(path: str, series: str, rev: int, rules: FileRules) -> None:
    with open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        size = os.fstat(file.fileno()).st_size
        whole = rules.compression.whole_length(file)
        if whole < size:
            logger.info("file %s: its last %d bytes are no whole line and come again", path, size - whole)
            file.truncate(whole)
            os.fsync(file.fileno())
        if whole:
            logger.info("file %s was left behind, and is moved to the finished ones", path)
            move_finished(path, series, rev, rules)
        else:
            os.unlink(path)
