"""In which line of a TOML text a key stands: for messages only, the parser itself is the library's.

Keys inside inline tables and arrays are not looked for; they are on the line of the key that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""Keys, and indexes of arrays of tables."""

_BARE = r"[A-Za-z0-9_-]+"
_KEY = rf"(?:{_BARE}|\"[^\"\n]*\"|'[^'\n]*')"
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEYS})\s*\]\]?")
_ASSIGNMENT = re.compile(rf"\s*({_KEYS})\s*=")
_PART = re.compile(_KEY)
_TOKEN = re.compile(r"\"\"\"|'''|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\[\]{}]|#.*")


class KeyLines:
    """Where the keys of `text` are, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        table: Path = ()
        for number, line in _lines_with_keys(text):
            header = _HEADER.match(line)
            if header is not None:
                table = self._table(header[1] == "[[", _parts(header[2]))
                for length in range(1, len(table) + 1):
                    self._lines.setdefault(table[:length], number)
            elif (assignment := _ASSIGNMENT.match(line)) is not None:
                self._lines.setdefault((*table, *_parts(assignment[1])), number)

    def line(self, path: Path) -> int:
        """The line of the key at `path`, or of the nearest one around it; 1 when there is none."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1

    def _table(self, is_array: bool, parts: tuple[str, ...]) -> Path:
        path: Path = ()
        for part in parts[:-1]:
            path = self._latest((*path, part))
        path = (*path, parts[-1])
        if not is_array:
            return path
        self._arrays[path] = self._arrays.get(path, -1) + 1
        return self._latest(path)

    def _latest(self, path: Path) -> Path:
        """Inside the last element, if `path` is an array of tables."""
        return (*path, self._arrays[path]) if path in self._arrays else path


def _lines_with_keys(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not inside a value that began before."""
    depth, quotes = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not depth and not quotes:
            yield number, line
        header = not depth and not quotes and _HEADER.match(line)
        for found in () if header else _TOKEN.findall(line):
            if quotes:
                quotes = "" if found == quotes else quotes
            elif found in ('"""', "'''"):
                quotes = found
            elif found in "[{":
                depth += 1
            elif found in "]}":
                depth = max(0, depth - 1)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
