"""The names an HTTP server answers to: the guard against DNS rebinding.

To its browser, a page whose own name suddenly resolves to this machine is at home here and may read every
answer; whatever it sends along, the Origin header too, agrees with that name. Only the name gives it away: no
server of ours is called so. Addresses are names nobody can rebind.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from nsqgw.errors import ConfigError
from nsqgw.service.listen import is_path
from nsqgw.service.settings import parse_address

ANY = "*"

_HOST = re.compile(r"(\[[^\[\]\s]*\]|[^\[\]:\s]+)(?::[0-9]*)?")
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class AllowedHosts:
    """Addresses, localhost, the machine's own name, the host in `listen_address`, and `names`; `*` is all."""

    def __init__(self, listen_address: str, names: Iterable[str] = ()) -> None:
        entries = tuple(names)
        self._any = ANY in entries
        here = () if is_path(listen_address) else (parse_address(listen_address).host,)
        own = ("localhost", socket.gethostname(), *here)
        self._names = frozenset(map(_folded, (*own, *entries)))

    def permits(self, host: str | None) -> bool:
        """Whether a request with this Host header is meant for us; None for none, which no browser sends."""
        if host is None or self._any:
            return True
        match = _HOST.fullmatch(host)
        return match is not None and (_is_address(match[1]) or _folded(match[1]) in self._names)


def check_host_name(text: str) -> str:
    """`text` if it is a name to allow, or `*`; ConfigError when a Host header can never agree with it."""
    if text != ANY and not _NAME.fullmatch(_folded(text)) and not _is_address(text):
        raise ConfigError(
            f"host {text!r} is not valid: write a name without scheme and port, such as push.example, or *"
        )
    return text


def refusal(host: str | None) -> str:
    """What a client is told whose Host header is not permitted."""
    return f"host {host!r} is none of this server's names; --allow-host adds one"


def is_loopback(remote_ip: str | None) -> bool:
    """Whether a request came from this machine; what came over a unix socket has no address and did not."""
    try:
        return ip_address(remote_ip or "").is_loopback
    except ValueError:
        return False


def _folded(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(text: str) -> bool:
    try:
        ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
