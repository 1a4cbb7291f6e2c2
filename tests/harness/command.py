"""The `nsqgw` command as users run it: a process of its own, with signals and an exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from harness.polling import eventually

ROOT = Path(__file__).parents[2]


def run_nsqgw(*arguments: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "gateways.cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def _heed_interrupts() -> None:
    """In the child: shells have their background jobs, and what those start, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Nsqgw:
    """The command, or another program of the same manners, running in the background; killed at the end."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        program: tuple[str, ...] = ("-m", "gateways.cli.main"),
        stdout: int = subprocess.PIPE,
    ) -> None:
        self._log = folder / f"stderr-{len(list(folder.glob('stderr-*')))}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=ROOT,
                stderr=log,
                stdout=stdout,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                preexec_fn=_heed_interrupts,
            )

    @property
    def log(self) -> str:
        """What it wrote to stderr up to now."""
        return self._log.read_text()

    def wait_for(self, pattern: str) -> str:
        """The first match of `pattern` in the log (its first group if it has one), once it is there."""

        def look() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.log)
            assert found or not ended, f"ended without {pattern!r}:\n{self.log}"
            return found

        found = eventually(look)
        assert found is not None
        return found[found.re.groups and 1]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 30.0) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> Nsqgw:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        if error is not None:
            print(self.log)
