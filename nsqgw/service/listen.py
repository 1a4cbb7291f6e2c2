"""Opening listening sockets, TCP and unix, with one clear line when that is not possible."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from nsqgw.errors import ListenFailed
from nsqgw.service.settings import Address, parse_address

BACKLOG = 4096
"""Connections that wait to be accepted, as many as Linux allows by default: after an outage all come at once.

asyncio listens again with a backlog of its own, 100, where it is not told this one. What does not fit waits
for a second, until the kernel tries again.
"""

_REMEDIES = {
    errno.EADDRINUSE: "stop the program that uses it, or choose another port{by} (0 takes any free one)",
    errno.EACCES: "ports below 1024 need privileges, choose a higher one{by}",
    errno.EADDRNOTAVAIL: "this machine has no such address, choose one of its own or 0.0.0.0{by}",
}
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # as ::1 where IPv6 is switched off


_SOCKET_REMEDIES = {
    errno.EADDRINUSE: "remove the file if no program listens on it, or choose another path{by}",
    errno.ENOENT: "make the folder, or choose another path{by}",
    errno.EACCES: "choose a folder that this program may write to{by}",
}


def is_path(address: str) -> bool:
    """Whether `address` is the path of a unix socket: it has a slash."""
    return "/" in address


def listen(address: str, flag: str | None = None, *, shared: bool = False) -> list[socket.socket]:
    """Listening, non-blocking sockets for `host:port` or a path (see `is_path`).

    They are several when host is empty or has several addresses. Port 0 is any free port, the same for all of
    them. A unix socket is the caller's to remove, by `remove_socket`. Raises ListenFailed, which names the
    address, the cause and a remedy, with the `flag` that sets the address; ConfigError for a malformed one.
    A `shared` port is one that other processes of this user listen on, too: the kernel spreads connections.
    """
    if is_path(address):
        return [_listen_on_path(address, flag)]
    host, port = parse_address(address)
    try:
        return _listen_on_all(host, port, shared=shared)
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
    """What `sockets` really listen on: `host:port`, with the port that stands for 0, or the path."""
    name = sockets[0].getsockname()
    return name if isinstance(name, str) else str(Address(*name[:2]))


def bound_port(address: str) -> int:
    """The port of a `bound_address`: -1 for a path, 0 for the empty text of one that is not open."""
    if is_path(address):
        return -1
    return parse_address(address).port if address else 0


def remove_socket(address: str) -> None:
    """Remove the file of a unix socket that was listened on; nothing happens for another address."""
    if is_path(address):
        with suppress(FileNotFoundError):
            os.unlink(address)


def _listen_on_path(path: str, flag: str | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        cause = os.strerror(error.errno) if error.errno else str(error)
        remedy = _SOCKET_REMEDIES.get(error.errno or 0, "choose another path{by}")
        raise ListenFailed(f"cannot listen on {path}: {cause}; {remedy.format(by=_by(flag))}") from error
    sock.setblocking(False)
    return sock


def _listen_on_all(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, where in dict.fromkeys(found):
        try:
            sock = socket.create_server(
                (where[0], port, *where[2:]), family=family, backlog=BACKLOG, reuse_port=shared
            )
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
