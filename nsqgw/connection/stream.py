"""Opening the byte stream below a connection: tornado's IOStream over TCP or a unix socket."""

from __future__ import annotations

import socket

from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient
from tornado.util import TimeoutError as TornadoTimeoutError

from nsqgw.connection.address import UnixAddress, parse_address
from nsqgw.errors import ConnectionFailed


async def open_stream(address: str, timeout: float) -> IOStream:
    """Connect to `address`; all addresses a host name has are tried (RFC 6555).

    Raises ConnectionFailed, whose text names the address and the cause, within `timeout` seconds.
    """
    where = parse_address(address)
    try:
        if isinstance(where, UnixAddress):
            stream = IOStream(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            return await stream.connect(where.path)
        stream = await TCPClient().connect(where.host, where.port, timeout=timeout)
    except TornadoTimeoutError as error:
        raise ConnectionFailed(f"{address}: no connection within {timeout:g} s") from error
    except StreamClosedError as error:
        raise ConnectionFailed(f"{address}: {_cause(error.real_error or error)}") from error
    except (OSError, ValueError) as error:  # a ValueError for a name that no resolver takes, such as a..b
        raise ConnectionFailed(f"{address}: {_cause(error)}") from error
    stream.set_nodelay(True)
    return stream


def _cause(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
