"""A tornado application on a free port, for as long as a scene takes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application


@asynccontextmanager
async def serving(*routes: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serves `routes`; gives `host:port`."""
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application(list(routes), log_function=lambda _: None), ssl_options=tls)
    server.add_sockets(sockets)
    try:
        yield "{}:{}".format(*sockets[0].getsockname())
    finally:
        server.stop()
        await server.close_all_connections()
