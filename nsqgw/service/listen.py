"""Opening listening TCP sockets, with one clear line when that is not possible."""

from __future__ import annotations

import errno
import os
import socket

from nsqgw.errors import ListenFailed
from nsqgw.service.settings import Address, parse_address

BACKLOG = 1024

_REMEDIES = {
    errno.EADDRINUSE: "stop the program that uses it, or choose another port{by} (0 takes any free one)",
    errno.EACCES: "ports below 1024 need privileges, choose a higher one{by}",
    errno.EADDRNOTAVAIL: "this machine has no such address, choose one of its own or 0.0.0.0{by}",
}
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # as ::1 where IPv6 is switched off


def listen(address: str, flag: str | None = None) -> list[socket.socket]:
    """Listening, non-blocking sockets for `host:port`; several when host is empty or has several addresses.

    Port 0 is any free port, the same for all of them. Raises ListenFailed, which names the address, the cause
    and a remedy, with the `flag` that sets the address; ConfigError for a malformed one.
    """
    host, port = parse_address(address)
    try:
        return _listen_on_all(host, port)
    except socket.gaierror as error:
        remedy = f"write an address of this machine or a name that resolves to one{_by(flag)}"
        raise ListenFailed(f"cannot listen on {address}: {error.strerror}; {remedy}") from error
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else str(error)
        remedy = _REMEDIES.get(error.errno or 0, "choose another address{by}")
        raise ListenFailed(f"cannot listen on {address}: {cause}; {remedy.format(by=_by(flag))}") from error


def _by(flag: str | None) -> str:
    return f" by {flag}" if flag else ""


def bound_address(sockets: list[socket.socket]) -> str:
    """The `host:port` that `sockets` really listen on, with the port that stands for 0."""
    host, port = sockets[0].getsockname()[:2]
    return str(Address(host, port))


def _listen_on_all(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, where in dict.fromkeys(found):
        try:
            sock = socket.create_server((where[0], port, *where[2:]), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno in _NOT_HERE:
                missing = error
                continue
            for other in sockets:
                other.close()
            raise
        sock.setblocking(False)
        sockets.append(sock)
        port = sock.getsockname()[1]
    if not sockets and missing is not None:
        raise missing
    return sockets
