"""nsqd as a process over a folder that outlives it: the original or ours, to take over from one another."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.http import channel_stats, get, stats
from harness.polling import eventually
from harness.real import RealNsqd


class OriginalOn(RealNsqd):
    """The original nsqd, its data in `folder`."""

    def __init__(self, folder: Path, **flags: Any) -> None:
        self.folder = folder
        super().__init__(**flags)

    @property
    def data_path(self) -> Path:
        return self.folder

    def __enter__(self) -> OriginalOn:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def leave(self) -> None:
        """End in good order, and be gone."""
        assert self.process is not None
        process = self.process
        self.terminate()
        assert process.returncode == 0, self.log

    def backlog(self, topic: str, channel: str) -> tuple[int, int]:
        """depth and backend_depth of a channel, once its topic is drained."""
        query = f"&topic={topic}"
        eventually(lambda: stats(self.http_address, query)["topics"][0]["depth"] == 0)
        found = channel_stats(self.http_address, topic, channel)
        return found["depth"], found["backend_depth"]

    def ping(self) -> tuple[int, bytes]:
        answer = get(self.http_address, "/ping")
        return answer.status, answer.body

    def metadata(self) -> dict[str, Any]:
        """The content of nsqd.dat."""
        document: dict[str, Any] = json.loads((self.folder / "nsqd.dat").read_bytes())
        return document


class OursOn(OriginalOn):
    """`nsqgw nsqd`, its data in `folder`."""

    kind = "compat"

    def find_command(self) -> list[str]:
        return [sys.executable, "-m", "gateways.cli.main", "nsqd"]


def nsqd_on(kind: str, folder: Path, **flags: Any) -> OriginalOn:
    return (OriginalOn if kind == "real" else OursOn)(folder, **flags)
