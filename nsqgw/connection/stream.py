"""Opening the byte stream below a connection: tornado's IOStream over TCP or a unix socket."""

from __future__ import annotations

import asyncio
import socket

from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient

from nsqgw.connection.address import TcpAddress, UnixAddress, parse_address
from nsqgw.deadline import within
from nsqgw.errors import ConnectionFailed


async def open_stream(address: str, timeout: float) -> IOStream:
    """Connect to `address`; all addresses a host name has are tried (RFC 6555).

    Raises ConnectionFailed, whose text names the address and the cause, within `timeout` seconds.
    """
    where = parse_address(address)
    try:
        # tornado's own deadline is of the wall clock, and a look-up cancelled below it fails unseen.
        return await within(timeout, _open_tcp(where) if isinstance(where, TcpAddress) else _open_unix(where))
    except asyncio.TimeoutError as error:
        raise ConnectionFailed(f"{address}: no connection within {timeout:g} s") from error
    except StreamClosedError as error:
        raise ConnectionFailed(f"{address}: {_cause(error.real_error or error)}") from error
    except (OSError, ValueError) as error:  # a ValueError for a name that no resolver takes, such as a..b
        raise ConnectionFailed(f"{address}: {_cause(error)}") from error


async def _open_tcp(where: TcpAddress) -> IOStream:
    stream = await TCPClient().connect(where.host, where.port)
    stream.set_nodelay(True)
    return stream


async def _open_unix(where: UnixAddress) -> IOStream:
    stream = IOStream(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        return await stream.connect(where.path)
    except BaseException:
        stream.close()
        raise


def _cause(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
