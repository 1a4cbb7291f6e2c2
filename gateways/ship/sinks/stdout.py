"""Write to standard output: each body as it is and a newline, for pipes and for looking at a topic."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Literal

from gateways.pipeline.batch import Batch
from gateways.pipeline.sink import CONFIRMED, Fate, Outcome, Sink, SinkGone
from gateways.ship.sinks.base import ThreadSink
from gateways.ship.sinks.settings import SinkSettings


class StdoutSettings(SinkSettings):
    """Write to standard output."""

    type: Literal["stdout"] = "stdout"

    def make(self, concurrency: int) -> Sink:
        """The sink; its writes are in order of their own, whatever `concurrency`."""
        return StdoutSink()


class StdoutSink(ThreadSink):
    """Confirmed once the kernel has taken the bytes. A reader that closes the pipe ends the service."""

    name = "stdout"
    together = False

    def __init__(self, fd: int = 1) -> None:
        super().__init__()
        self._fd = fd
        self._torn = False

    def describe(self) -> str:
        return "stdout"

    def _open(self) -> None:
        """It is open already."""

    def _write(self, batches: Sequence[Batch]) -> list[Outcome]:
        outcomes = []
        for batch in batches:
            try:
                self._write_all(b"\n".join(batch.events) + b"\n")
                outcomes.append(CONFIRMED)
            except BrokenPipeError as error:
                raise SinkGone(
                    "stdout was closed by its reader; what it did not take stays in nsqd"
                ) from error
            except OSError as error:
                outcomes.append(Outcome(Fate.RETRY, error.strerror or str(error)))
        return outcomes

    def _write_all(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                written += self._write_some(memoryview(data)[written:])
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
