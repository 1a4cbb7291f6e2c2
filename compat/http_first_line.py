"""Bytes that are no HTTP are told so at their first line, as by Go's server, not when a head is complete."""

from __future__ import annotations

from collections.abc import Awaitable

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

_NO_REQUEST = rb"\A(?!\S+ \S+ HTTP/\d\.\d\r?\n)[^\n]*\n"
"""A first line that no request begins with, such as `  V2IDENTIFY` from an nsqd client at the wrong port."""


class _FirstLineStream(IOStream):
    """A head that cannot become one ends with its first line, which tornado then answers with 400."""

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        return super().read_until_regex(_NO_REQUEST + b"|" + regex, max_bytes)


class FirstLineServer(HTTPServer):
    """tornado's server; over TLS it is left as it is, since there the handshake fails first."""

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        if type(stream) is IOStream:
            stream = _FirstLineStream(
                stream.socket, max_buffer_size=stream.max_buffer_size, read_chunk_size=stream.read_chunk_size
            )
        super().handle_stream(stream, address)
