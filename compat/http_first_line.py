"""Bytes that are no HTTP are told so at their first line, as by Go's server, not when a head is complete."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable
from typing import Any

import tornado.platform.asyncio  # noqa: F401 - else with the first connection, when there may be no file left
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, SSLIOStream
from tornado.netutil import ssl_wrap_socket

logger = logging.getLogger(__name__)

_NO_REQUEST = rb"\A(?!\S+ \S+ HTTP/\d\.\d\r?\n)[^\n]*\n"
"""A first line that no request begins with, such as `  V2IDENTIFY` from an nsqd client at the wrong port."""


class _FirstLineStream(IOStream):
    """A head that cannot become one ends with its first line, which tornado then answers with 400."""

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        return super().read_until_regex(_NO_REQUEST + b"|" + regex, max_bytes)


class FirstLineServer(HTTPServer):
    """tornado's server; over TLS it is left as it is, since there the handshake fails first."""

    async def begin(self, connection: socket.socket, address: Any) -> None:
        """Serve a connection that was accepted from `address`."""
        sizes = {"max_buffer_size": self.max_buffer_size, "read_chunk_size": self.read_chunk_size}
        if self.ssl_options is None:
            self.handle_stream(_FirstLineStream(connection, **sizes), address)
            return
        try:
            encrypted = ssl_wrap_socket(
                connection, self.ssl_options, server_side=True, do_handshake_on_connect=False
            )
        except OSError as error:
            logger.debug("the client left before its handshake: %s", error)
            connection.close()
            return
        self.handle_stream(SSLIOStream(encrypted, **sizes), address)
