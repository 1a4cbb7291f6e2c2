"""Write to standard output: each body as it is and a newline, for pipes and for looking at a topic."""

from __future__ import annotations

import os
import select

from gateways.pipeline.sink import SinkGone
from gateways.ship.sinks.base import LineSink


class StdoutSink(LineSink):
    """Confirmed once the kernel has taken the bytes. A reader that closes the pipe ends the service."""

    name = "stdout"

    def __init__(self, fd: int = 1) -> None:
        super().__init__()
        self._fd = fd
        self._torn = False

    def describe(self) -> str:
        return "stdout"

    def _open(self) -> None:
        """It is open already."""

    def _write(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                written += self._write_some(memoryview(data)[written:])
        except BrokenPipeError as error:
            raise SinkGone("stdout was closed by its reader; what it did not take stays in nsqd") from error
        finally:
            self._torn = 0 < written < len(data)

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:  # somebody made the terminal or pipe non-blocking for all who share it
            select.select([], [self._fd], [])
            return 0

    def _close(self) -> None:
        """It is not ours to close."""
