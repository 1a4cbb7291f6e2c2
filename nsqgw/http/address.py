"""Where an HTTP API is: `host:port` or a URL, with a path before all others, parameters, user and password.

The password is kept apart from what is shown, so that no error text, fact or log line can contain it.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, quote, unquote, urlsplit

from nsqgw.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~"
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")


def host_and_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """A server, and what all requests to it have in common; `str()` gives it as written, without password.

    path           goes before the path of each call, empty or with a slash in front and none behind
    query          parameters that each call carries before its own
    authorization  the Authorization header that the user and password in the URL make
    """

    text: str
    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.text

    @property
    def host_and_port(self) -> str:
        """What to connect to."""
        return host_and_port(self.host, self.port)

    @property
    def origin(self) -> str:
        """The server in URLs and in the Host header: without the port where it goes without saying."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.host_and_port.rpartition(":")[0]
        return self.host_and_port

    def over_https(self, port: int) -> HttpAddress:
        """The same host by HTTPS at `port`."""
        moved = replace(self, scheme="https", port=port)
        return replace(moved, text=f"https://{moved.host_and_port}{self.path}")


def parse_http_address(text: str, daemon: str, example: str) -> HttpAddress:
    """The address of a `daemon`; ConfigError, with `example` for a remedy, when `text` is none.

    A name and password in it become an Authorization header.
    """
    remedy = f"write host:port or a URL, for example {example}"
    if not isinstance(text, str):
        raise ConfigError(f"{daemon} address {text!r} must be a str: {remedy}")
    complete = "://" in text
    wrong = f"{daemon} address {re.sub('.*@', '', text)!r}"
    try:
        url = urlsplit(text if complete else f"http://{text}")
        port = url.port
        host = _ascii(url.hostname or "")
    except ValueError as error:
        raise ConfigError(f"{wrong} is not valid ({_without_port(error)}): {remedy}") from error
    if url.scheme not in _DEFAULT_PORTS or not host or port == 0 or _UNPRINTABLE.search(text):
        raise ConfigError(f"{wrong} is not valid: {remedy}")
    if port is None and not complete:
        raise ConfigError(f"{wrong} has no port: {remedy}")
    return HttpAddress(
        text=_shown(url, complete),
        scheme=url.scheme,
        host=host,
        port=port or _DEFAULT_PORTS[url.scheme],
        path=quote(url.path.rstrip("/"), safe=_SAFE_IN_PATH),
        query=quote(url.query, safe=_SAFE_IN_PATH + "?"),
        authorization=_basic(url),
    )


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _without_port(error: ValueError) -> str:
    """The text of urlsplit's error without the value, which may be a piece of a password."""
    return str(error).partition(" as ")[0]


def _shown(url: SplitResult, complete: bool) -> str:
    shown = url._replace(netloc=url.netloc.rpartition("@")[2], fragment="").geturl()
    return shown if complete else shown.removeprefix("http://")


def _basic(url: SplitResult) -> str | None:
    if url.username is None:
        return None
    secret = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(secret.encode()).decode("ascii")
