"""A log service in this process that can be taken away, busy, choosy or forgetful of its passwords."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rule = Callable[[bytes], int]
"""The status that a request with this body gets."""


def healthy(body: bytes) -> int:
    """Everything is taken."""
    return 200


def always(status: int) -> Rule:
    """No request is taken."""
    return lambda body: status


def stormy() -> Rule:
    """Three of four requests get 503."""
    turns = itertools.cycle((503, 503, 503, 200))
    return lambda body: next(turns)


def choosy(bad: bytes) -> Rule:
    """400 to every request that has this event in it."""
    return lambda body: 400 if bad in body.split(b"\n") else 200


class Service:
    """Keeps what it takes; `rule` decides. `url` is where it listens, until `close`."""

    def __init__(self) -> None:
        self.arrived: Counter[bytes] = Counter()
        self.rule: Rule = healthy
        service = self
        lock = threading.Lock()

        class Take(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    status = service.rule(body)
                    if status == 200:
                        service.arrived.update(body.splitlines())
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Nobody reads it."""

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:
                    return  # a killed gateway

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/in"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
