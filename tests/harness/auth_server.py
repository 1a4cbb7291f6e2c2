"""The HTTP server nsqd asks about secrets (-auth-http-address): it knows those it is told of."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

ALL = {"topic": ".*", "channels": [".*"], "permissions": ["subscribe", "publish"]}


class AuthServer:
    """`with AuthServer() as auth`: `auth.address`; `grants[secret]` are the authorizations of a secret.

    Its port stays the same over `stop` and `start`.
    """

    def __init__(self) -> None:
        self.grants: dict[str, list[dict[str, Any]]] = {}
        self.questions: list[dict[str, str]] = []
        self.address = "127.0.0.1:0"
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        host, port = self.address.split(":")
        self._server = ThreadingHTTPServer((host, int(port)), self._handler())
        self.address = f"{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="auth server")
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def __enter__(self) -> AuthServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                question = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                server.questions.append(question)
                grants = server.grants.get(question.get("secret", ""))
                self.send_response(403 if grants is None else 200)
                self.end_headers()
                if grants is not None:
                    document = {"ttl": 3600, "identity": "me", "authorizations": grants}
                    self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
