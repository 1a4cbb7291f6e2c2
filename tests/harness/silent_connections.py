"""A program: opens connections and says nothing; `open` on standard output, then until a line comes in.

python silent_connections.py HOST:PORT COUNT
"""

from __future__ import annotations

import resource
import socket
import sys
from contextlib import ExitStack


def main(address: str, count: int) -> None:
    host, _, port = address.rpartition(":")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(socket.create_connection((host, int(port)), 15))
        print("open", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
