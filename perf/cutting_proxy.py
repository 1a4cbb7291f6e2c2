"""A TCP proxy in a thread that cuts all its connections at an interval, whatever they carry just then."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from types import TracebackType

CHUNK = 256 * 1024


class CuttingProxy:
    """`with CuttingProxy(target, interval) as proxy`: connect to `proxy.address`; `cuts` tells how many."""

    def __init__(self, target: str, interval: float) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._interval = interval
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._others: dict[socket.socket, socket.socket] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cutting proxy")
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._cut()
        self._listener.close()
        self._selector.close()

    def _run(self) -> None:
        next_cut = time.monotonic() + self._interval
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.05):
                self._serve(key.fileobj)
            if time.monotonic() >= next_cut:
                next_cut += self._interval
                self.cuts += bool(self._others)
                self._cut()

    def _serve(self, ready: object) -> None:
        if ready is self._listener:
            self._accept()
        elif isinstance(ready, socket.socket) and ready in self._others:
            try:
                data = ready.recv(CHUNK)
                self._others[ready].sendall(data)
            except OSError:
                data = b""
            if not data:
                self._drop(ready)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.settimeout(5)
            self._others[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _cut(self) -> None:
        for one in list(self._others):
            self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        if one not in self._others:
            return
        for each in (one, self._others[one]):
            self._selector.unregister(each)
            del self._others[each]
            with contextlib.suppress(OSError):
                each.close()
