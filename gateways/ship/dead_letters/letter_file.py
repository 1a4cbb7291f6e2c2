"""Letters in a file of lines, plain or gzip. What was replayed stands in a file beside it, `NAME.replayed`.

That file has a hash for each letter, so it stays true when the letters' file is rotated, renamed or cut. A
letter is marked after it was confirmed: an interruption in between replays it again, and loses none. What a
killed writer left of a compressed file is read up to where it is torn.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import IO, cast

from gateways.ship.dead_letters.source import Found, read_found

_LINES_AT_ONCE = 100
_MAX_LINE = 16 * 1024 * 1024
_PIECE = 1 << 16
_HASH_BYTES = 16


class LetterFile:
    """See `gateways.ship.dead_letters.source.Source`. `again` gives those that were replayed, too."""

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self._path = path
        self._marks = path.with_name(f"{path.name}.replayed")
        self._again = again
        self._done: set[bytes] = set()
        self._torn = False

        self.total: int | None = None

    async def __aenter__(self) -> LetterFile:
        """OSError when the file cannot be read."""
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nothing stays open."""

    async def letters(self) -> AsyncGenerator[Found, None]:
        """In the order of the file; a last line without an end is still being written and is left out."""
        with _opened(self._path) as lines:
            numbered = self._numbered(lines)
            while chunk := await asyncio.to_thread(lambda: list(islice(numbered, _LINES_AT_ONCE))):
                for number, line in chunk:
                    mark = blake2b(line, digest_size=_HASH_BYTES).hexdigest().encode()
                    if self._again or mark not in self._done:
                        yield read_found(str(number), line, mark)
        if self._torn:
            yield Found("end", None, "the compressed file is torn: what follows cannot be read", b"")

    async def replayed(self, found: Sequence[Found]) -> None:
        """Mark them, on the disk."""
        await asyncio.to_thread(self._mark, [each.handle for each in found])

    async def left(self, found: Sequence[Found]) -> None:
        """They are in the file."""

    def _open(self) -> None:
        with _opened(self._path) as lines:
            pieces = iter(lambda: self._untorn(lambda: lines.read(_PIECE)), b"")
            self.total = sum(piece.count(b"\n") for piece in pieces)
        if self._marks.exists():
            self._done = set(self._marks.read_bytes().split())

    def _numbered(self, lines: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        number = 0
        while line := self._untorn(lambda: lines.readline(_MAX_LINE)):
            number += 1
            whole = line.endswith(b"\n") or len(line) == _MAX_LINE  # a longer line is no letter, and is told
            if whole and line.strip():
                yield number, line.strip()

    def _untorn(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except (EOFError, zlib.error):
            self._torn = True
            return b""

    def _mark(self, marks: Sequence[object]) -> None:
        new = [mark for mark in marks if isinstance(mark, bytes) and mark not in self._done]
        with self._marks.open("ab") as file:
            # A mark that a crash cut off must not join the next one: each begins on a line of its own.
            file.write(b"".join(b"\n" + mark for mark in new))
            file.flush()
            os.fsync(file.fileno())
        self._done.update(new)


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))  # which it is, though not by its class
    return path.open("rb")
