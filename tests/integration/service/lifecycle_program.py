"""A service for the lifecycle tests; its argument says how it misbehaves."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable

from prometheus_client import Metric

from nsqgw.errors import NSQError
from nsqgw.service.lifecycle import run
from nsqgw.service.logs import configure


class Program:
    name = "test program"

    def __init__(self, manner: str) -> None:
        self._manner = manner

    async def start(self) -> None:
        if self._manner == "fails":
            raise NSQError("cannot reach 192.0.2.1:4150: no route to host")
        if self._manner == "starts slowly":
            print("starting", file=sys.stderr, flush=True)
            await asyncio.sleep(600)

    async def stop(self) -> None:
        if self._manner in ("hangs", "stops slowly"):
            try:
                await asyncio.sleep(600 if self._manner == "hangs" else 0.2)
            except asyncio.CancelledError:
                print("cancelled", file=sys.stderr)
                raise
        if self._manner == "fails to stop":
            raise NSQError("cannot write the last word")

    def ready(self) -> str | None:
        return None

    def metrics(self) -> Iterable[Metric]:
        return ()

    def settings(self) -> dict[str, object]:
        return {}


class EndingProgram(Program):
    async def wait_closed(self) -> None:
        await asyncio.sleep(0.01)
        if self._manner == "breaks":
            raise NSQError("stdout was closed")


def main() -> int:
    manner, admin_address, drain_timeout = sys.argv[1:]
    configure()
    service = EndingProgram(manner) if manner in ("ends", "breaks") else Program(manner)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    code = run(service, admin_address=admin_address, drain_timeout=float(drain_timeout))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    return code


if __name__ == "__main__":
    sys.exit(main())
