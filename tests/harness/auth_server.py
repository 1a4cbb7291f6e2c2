"""The HTTP server nsqd asks about secrets (-auth-http-address): it knows those it is told of."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

ALL = {"topic": ".*", "channels": [".*"], "permissions": ["subscribe", "publish"]}


class AuthServer:
    """`with AuthServer() as auth`: `auth.address`; `grants[secret]` are the authorizations of a secret.

    `document` is merged into every answer, or sent in its place when it is no dict; `status` is that of an
    answer about a known secret. Answers come after `delay` seconds, or at `release`. Its port stays the same
    over `stop` and `start`. With `tls` it speaks HTTPS.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.document: Any = {}
        self.status = 200
        self.delay = 0.0
        self.paths: list[str] = []
        self.accepts: list[str | None] = []
        self.posted: list[dict[str, list[str]]] = []
        self._released = threading.Event()
        self.grants: dict[str, list[dict[str, Any]]] = {}
        self.questions: list[dict[str, str]] = []
        self.address = "127.0.0.1:0"
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        host, port = self.address.split(":")
        self._server = ThreadingHTTPServer((host, int(port)), self._handler())
        self.address = f"{host}:{self._server.server_port}"
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
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

    def release(self) -> None:
        """Wait no longer."""
        self._released.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(parse_qs(urlsplit(self.path).query, keep_blank_values=True))

            def do_POST(self) -> None:
                posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.posted.append(posted)
                self._answer(posted)

            def _answer(self, values: dict[str, list[str]]) -> None:
                server.paths.append(urlsplit(self.path).path)
                server.accepts.append(self.headers["Accept"])
                question = {name: each[0] for name, each in values.items()}
                server.questions.append(question)
                if server.delay:
                    server._released.wait(server.delay)
                grants = server.grants.get(question.get("secret", ""))
                self.send_response(403 if grants is None else server.status)
                self.end_headers()
                if grants is not None:
                    self.wfile.write(json.dumps(self._document(grants)).encode())

            def _document(self, grants: list[dict[str, Any]]) -> Any:
                if not isinstance(server.document, dict):
                    return server.document
                return {"ttl": 3600, "identity": "me", "authorizations": grants, **server.document}

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
