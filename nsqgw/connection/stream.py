"""Connected sockets for an address; on one of them tornado's IOStream, where no messages are spoken."""

from __future__ import annotations

import asyncio
import socket

from tornado.iostream import IOStream

from nsqgw.connection.address import parse_address
from nsqgw.connection.dial import dial
from nsqgw.errors import ConnectionFailed


async def open_socket(address: str, timeout: float) -> socket.socket:
    """Connect to `address`; all addresses a host name has are tried (RFC 6555).

    Raises ConnectionFailed, whose text names the address and the cause, within `timeout` seconds.
    """
    where = parse_address(address)
    try:
        return await dial(where, timeout)
    except (asyncio.TimeoutError, OSError, ValueError) as error:
        # A ValueError for a name that no resolver takes, such as a..b; without words only our own deadline.
        cause = getattr(error, "strerror", None) or str(error) or f"no connection within {timeout:g} s"
        raise ConnectionFailed(f"{address}: {cause}") from error


async def open_stream(address: str, timeout: float) -> IOStream:
    """The same as a stream."""
    return IOStream(await open_socket(address, timeout))
