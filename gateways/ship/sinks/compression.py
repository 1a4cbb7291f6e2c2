"""Compressed bodies: gzip and deflate by the standard library, zstd and snappy by the extra `compression`."""

from __future__ import annotations

import asyncio
import importlib
import zlib
from collections.abc import Callable
from typing import Literal

from gateways.pipeline.sink import SinkUnusable

Compression = Literal["none", "gzip", "deflate", "zstd", "snappy"]

_LEVELS = {"gzip": 1, "deflate": 1, "zstd": 1}
_GZIP_WINDOW = 31
_INLINE_BYTES = 16 * 1024  # below, a thread costs more than the work

Compress = Callable[[bytes], bytes]


class Compressor:
    """One way to compress. Raises SinkUnusable when its library is not installed.

    `level` is the format's own; None takes a fast one.
    """

    def __init__(self, compression: Compression, level: int | None = None) -> None:
        self._compress = _compress(compression, _LEVELS.get(compression) if level is None else level)
        self.headers = {} if compression == "none" else {"Content-Encoding": compression}

    async def __call__(self, body: bytes) -> bytes:
        """The compressed body; large ones are worked on in a thread."""
        if self._compress is None:
            return body
        if len(body) < _INLINE_BYTES:
            return self._compress(body)
        return await asyncio.to_thread(self._compress, body)


def _compress(compression: Compression, level: int | None) -> Compress | None:
    if compression == "none":
        return None
    if compression == "gzip":
        return lambda body: _deflated(body, level or 0, _GZIP_WINDOW)
    if compression == "deflate":  # HTTP's deflate is the zlib format (RFC 9110, 8.4.1.2)
        return lambda body: _deflated(body, level or 0, zlib.MAX_WBITS)
    try:
        cramjam = importlib.import_module("cramjam")
    except ImportError as error:
        raise SinkUnusable(
            f"compression {compression!r} needs a library: pip install 'nsqgw[compression]'"
        ) from error
    if compression == "zstd":
        return lambda body: bytes(cramjam.zstd.compress(body, level))
    return lambda body: bytes(cramjam.snappy.compress_raw(body))


def _deflated(body: bytes, level: int, window: int) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, window)
    return stream.compress(body) + stream.flush()
