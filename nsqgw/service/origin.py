"""Which web pages may connect (RFC 6454): browsers do not hold WebSockets to the same-origin rule, we do.

Without a list, a page may connect to the host it was loaded from and nowhere else. With a list, those
origins too; `*` as the first label of an entry's host stands for exactly one label. A request without an
Origin header does not come from a page, or from one of the same origin, and is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from nsqgw.errors import ConfigError

ANY = "*"
_LABEL = "*."
_DEFAULT_PORTS = {"http": 80, "https": 443}


class OriginPolicy:
    """`allowed` are origins such as `https://example.org` or `http://localhost:3000`; `*` allows all."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        entries = tuple(allowed)
        self._any = ANY in entries
        self._allowed = frozenset(_checked(entry) for entry in entries if entry != ANY)
        exact = {host for _, host, _ in self._allowed if not host.startswith(_LABEL)}
        self.hosts = frozenset(exact | ({ANY} if self._any else set()))
        """The hosts of the list, or `*`: names by which this server may be reached, too."""

    def permits(self, origin: str | None, host: str, *, secure: bool = False) -> bool:
        """Whether a page of `origin` may use this server, which it reached as `host` (the Host header).

        `host` must be one of the server's names, or it says no more than `origin` does. `secure` where TLS
        is known to protect the request: then a page that came without it is of another origin.
        """
        if origin is None or self._any:
            return True
        parsed = _parse(origin)
        if parsed is None:
            return False  # also the origin `null` of sandboxed and local pages
        scheme, name, port = parsed
        if parsed in self._allowed or (scheme, _LABEL + name.partition(".")[2], port) in self._allowed:
            return True
        return _parse(f"{scheme}://{host}") == parsed and not (secure and scheme == "http")


def _checked(entry: str) -> tuple[str, str, int]:
    parsed = _parse(entry)
    if parsed is None or ANY in parsed[1].removeprefix(_LABEL) or parsed[1] == _LABEL:
        raise ConfigError(
            f"allowed origin {entry!r} is not valid: write scheme and host, such as https://example.org or "
            "https://*.example.org, or *"
        )
    return parsed


def _parse(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin, or None when it is none."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    if not origin.isascii() or any(
        sign.isspace() for sign in origin
    ):  # urlsplit lets some pass, or drops them
        return None
    return parts.scheme, parts.hostname, _DEFAULT_PORTS[parts.scheme] if port is None else port
