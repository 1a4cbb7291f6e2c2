"""A program that is run for every finished file, with its path: to upload it, index it, tell somebody.

It has a thread of its own, one file after the other: nothing is written later because of it. What it does not
do, nobody does again; the log tells of it.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import subprocess
import threading

logger = logging.getLogger(__name__)

MAX_WAITING = 1000
_CLOSE_TIMEOUT = 5.0
_TOLD = 300


class FinishedHook:
    """Runs `command` with the path as its last argument, each for at most `timeout` seconds."""

    def __init__(self, command: tuple[str, ...], timeout: float = 60.0) -> None:
        self._command = command
        self._timeout = timeout
        self._paths: queue.Queue[str | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run_all, name="finished files", daemon=True)
        self._thread.start()

    def __call__(self, path: str) -> None:
        """The file at `path` is finished; never waits."""
        try:
            self._paths.put_nowait(path)
        except queue.Full:
            logger.warning("%s was not run for %s: %d files wait for it", self._command[0], path, MAX_WAITING)

    def close(self) -> None:
        """Wait for what is waiting, for moments only."""
        with contextlib.suppress(queue.Full):  # told below
            self._paths.put(None, timeout=_CLOSE_TIMEOUT)
        self._thread.join(_CLOSE_TIMEOUT)
        if self._thread.is_alive():
            logger.warning("%s was not run for %d finished files", self._command[0], self._paths.qsize())

    def _run_all(self) -> None:
        while (path := self._paths.get()) is not None:
            self._run(path)

    def _run(self, path: str) -> None:
        program = self._command[0]
        try:
            done = subprocess.run(  # noqa: S603  # the program that the operator has chosen
                [*self._command, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            logger.warning("%s took more than %gs for %s and was ended", program, self._timeout, path)
        except OSError as error:
            logger.warning("%s cannot be run for %s: %s", program, path, error.strerror)
        else:
            if done.returncode:
                told = " ".join(done.stderr.decode(errors="replace").split())[-_TOLD:]
                logger.warning("%s ended with %d for %s: %s", program, done.returncode, path, told)
