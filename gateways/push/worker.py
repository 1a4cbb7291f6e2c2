"""One of several processes on a port: what its supervisor tells it, through the environment.

The supervisor holds the other end of the worker's stdin: when that ends, so does the worker.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from gateways.push.config import PushConfig

VARIABLE = "NSQGW_PUSH_WORKER"
_NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True)
class Worker:
    """`number` begins with 1; `listen` is the port all share, `admin` the path of its own admin socket."""

    number: int
    listen: str
    admin: str

    @classmethod
    def this(cls) -> Worker | None:
        """What this process is, None when it is no worker."""
        told = os.environ.pop(VARIABLE, "")
        return cls(**json.loads(told)) if told else None

    def environment(self) -> Mapping[str, str]:
        """The environment of such a process; systemd is the supervisor's business."""
        mine = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS}
        return {**mine, VARIABLE: json.dumps(asdict(self))}

    def place(self, config: PushConfig) -> PushConfig:
        """The same gateway on the shared port."""
        return replace(config, listen=self.listen, share_port=True)

    def settle(self) -> None:
        """Have log lines name the worker, and end with the supervisor."""
        plain, number = logging.getLogRecordFactory(), self.number

        def record(*args: object, **named: object) -> logging.LogRecord:
            made = plain(*args, **named)
            made.worker = number
            return made

        logging.setLogRecordFactory(record)
        threading.Thread(target=_end_with_supervisor, name="supervisor", daemon=True).start()


def _end_with_supervisor() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
