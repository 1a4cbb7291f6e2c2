"""Opening listening TCP sockets, with one clear line when that is not possible."""

from __future__ import annotations

import errno
import os
import socket

from tornado.netutil import bind_sockets

from nsqgw.errors import ListenFailed
from nsqgw.service.settings import Address, parse_address

_REMEDIES = {
    errno.EADDRINUSE: "stop the program that uses it, or choose another port (0 takes any free one)",
    errno.EACCES: "ports below 1024 need privileges, choose a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address, choose one of its own or 0.0.0.0",
}


def listen(address: str) -> list[socket.socket]:
    """Listening, non-blocking sockets for `host:port`; several when host is empty or has several addresses.

    Raises ListenFailed, which names the address, the cause and a remedy; ConfigError for a malformed one.
    """
    host, port = parse_address(address)
    try:
        return bind_sockets(port, host or None)
    except OSError as error:
        cause = error.strerror or str(error)
        if isinstance(error, socket.gaierror):
            remedy = "write an address of this machine or a name that resolves to one"
        else:
            cause = os.strerror(error.errno) if error.errno else cause
            remedy = _REMEDIES.get(error.errno or 0, "choose another address")
        raise ListenFailed(f"cannot listen on {address}: {cause}; {remedy}") from error


def bound_address(sockets: list[socket.socket]) -> str:
    """The `host:port` that `sockets` really listen on, with the port that stands for 0."""
    host, port = sockets[0].getsockname()[:2]
    return str(Address(host, port))
