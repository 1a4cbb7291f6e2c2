"""URLs that carry their own permission: an end, and a signature over it and the path.

`?exp=<seconds since the epoch>&sig=<base64url of HMAC-SHA256(secret, path|exp)>`, or what nginx's
`secure_link_md5` makes, from the same expression as in nginx.conf. A signature permits what its URL names,
until `exp`; a stream that was opened in time stays open, as it does behind nginx. No socket in here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from http import HTTPStatus

from gateways.push.access.grant import EVERY_CHANNEL, Grant, Right
from gateways.push.access.proxies import TrustedProxies
from gateways.push.http import BadRequest, Request
from nsqgw.errors import ConfigError

MIN_SECRET_BYTES = 16
_VARIABLE = re.compile(r"\$\{?([a-z_]+)\}?")
_KNOWN = frozenset({"secure_link_expires", "uri", "remote_addr"})
_SEVERAL = "/connect"  # its path names no channel, so there a signature would permit everything


def sign(secret: bytes, path: str, exp: int) -> str:
    """`sig` of the URL with `path`, percent-decoded, and `exp`."""
    return _base64(hmac.new(secret, f"{path}|{exp}".encode(), hashlib.sha256).digest())


class SignedUrls:
    """URLs signed with HMAC-SHA256 by any of `secrets`: the present one, and the one before."""

    def __init__(self, secrets: tuple[bytes, ...], *, wall: Callable[[], float] = time.time) -> None:
        if any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise ConfigError(f"the secret of signed URLs is too short: take {MIN_SECRET_BYTES} random bytes")
        self._secrets = secrets
        self._wall = wall

    def grant(self, request: Request) -> Grant | None:
        """Subscribing to what the path names; None without a signature; BadRequest for a bad one."""
        signature = request.argument("sig")
        if signature is None:
            return None
        exp = _time(request.argument("exp"))
        given = signature.encode("utf-8", "replace")
        good = [
            hmac.compare_digest(sign(secret, request.path, exp).encode(), given) for secret in self._secrets
        ]
        return _permitted(request, any(good), exp, self._wall())


class SecureLinks:
    """URLs signed as nginx's `secure_link_md5 expression` checks them, as `?md5=...&expires=...`.

    `expression` is that of nginx.conf, with the secret in it: `$secure_link_expires$uri$remote_addr secret`.
    MD5 is what those links are made with; for new ones there is `SignedUrls`.
    """

    def __init__(
        self, expression: str, proxies: TrustedProxies, *, wall: Callable[[], float] = time.time
    ) -> None:
        names = set(_VARIABLE.findall(expression))
        if not {"secure_link_expires", "uri"} <= names <= _KNOWN:
            raise ConfigError(
                "the secure_link_md5 expression needs $secure_link_expires and $uri, may have $remote_addr, "
                "and no other variable"
            )
        self._expression = expression
        self._proxies = proxies
        self._wall = wall

    def grant(self, request: Request) -> Grant | None:
        """As `SignedUrls.grant`."""
        signature = request.argument("md5")
        if signature is None:
            return None
        expires = _time(request.argument("expires"))
        remote = request.address
        if self._proxies.trust(remote):
            remote = self._proxies.client(remote, request.headers.get("x-forwarded-for", ""))
        values = {"secure_link_expires": str(expires), "uri": request.path, "remote_addr": remote}
        text = _VARIABLE.sub(lambda variable: values[variable[1]], self._expression)
        expected = _base64(hashlib.md5(text.encode(), usedforsecurity=False).digest())
        good = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
        return _permitted(request, good, expires, self._wall())


def _permitted(request: Request, good: bool, end: int, now: float) -> Grant:
    if not good:
        raise BadRequest(HTTPStatus.FORBIDDEN, "the signature of the URL is wrong")
    if now >= end:
        raise BadRequest(HTTPStatus.FORBIDDEN, "the URL is expired")
    if request.path == _SEVERAL:
        raise BadRequest(HTTPStatus.FORBIDDEN, f"{_SEVERAL} takes a token: no URL names its channels")
    return Grant(EVERY_CHANNEL, frozenset({Right.SUBSCRIBE}))


def _time(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadRequest(HTTPStatus.FORBIDDEN, "the URL has a signature, but no valid time of its end")
    return int(text)


def _base64(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
