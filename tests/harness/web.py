"""A tornado application on a free port, for as long as a scene takes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from nsqgw.http.address import host_and_port


@asynccontextmanager
async def serving(
    *routes: Any, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """Serves `routes`; gives `host:port`."""
    sockets = bind_sockets(0, host)
    server = HTTPServer(Application(list(routes), log_function=lambda _: None), ssl_options=tls)
    server.add_sockets(sockets)
    try:
        yield host_and_port(*sockets[0].getsockname()[:2])
    finally:
        server.stop()
        await server.close_all_connections()
