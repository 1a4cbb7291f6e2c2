"""JSON Web Tokens (RFC 7519): signatures by PyJWT, the rules about claims here, where a test sets the clock.

`exp` has to be there and is kept exactly; `nbf` and `iat` may be ahead by a minute, as clocks are. What was
verified is remembered by its digest, so that a thousand browsers that come back cost one look each.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import PyJWTError

from gateways.push.access.gate import BadToken, ExpiredToken, UnknownKey
from gateways.push.access.grant import Channels, Grant, Right
from gateways.push.access.keys import TokenKey
from nsqgw.errors import ConfigError

MAX_TOKEN_BYTES = 8192
MAX_SKEW = 60.0
MAX_USER = 255
CACHED = 10_000
"""Tokens whose grant is remembered."""

_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}
_RIGHTS = {right.value: right for right in Right}


@dataclass(frozen=True)
class TokenRules:
    """What a token has to say beside being signed; None asks for nothing. `max_lifetime` in seconds."""

    audience: str | None = None
    issuer: str | None = None
    max_lifetime: float = 86_400.0


class TokenVerifier:
    """`keys` are asked for at every token, since they may change; `renew` fetches them anew."""

    def __init__(
        self,
        keys: Callable[[], Sequence[TokenKey]],
        rules: TokenRules,
        *,
        wall: Callable[[], float],
        renew: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._wall = wall
        self._renew = renew
        self._known: OrderedDict[bytes, tuple[Grant, TokenKey]] = OrderedDict()

    @property
    def remembered(self) -> int:
        """Tokens whose grant is known."""
        return len(self._known)

    def verify(self, token: str) -> Grant:
        """What `token` grants; BadToken, ExpiredToken, or UnknownKey where a renewal of the keys may help."""
        if len(token) > MAX_TOKEN_BYTES:
            raise BadToken(f"the token has more than {MAX_TOKEN_BYTES} bytes")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        now = self._wall()
        if known is None or not _usable(known[1], now) or known[1] not in self._keys():
            self._known.pop(digest, None)
            claims, key = self._signed_claims(token, now)
            known = grant_of(claims, self._rules, now), key
            self._known[digest] = known
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
        grant = known[0]
        if grant.expires is not None and now >= grant.expires:
            del self._known[digest]
            raise ExpiredToken("the token is expired")
        self._known.move_to_end(digest)
        return grant

    async def renew(self) -> None:
        if self._renew is not None:
            await self._renew()

    def _signed_claims(self, token: str, now: float) -> tuple[Mapping[str, Any], TokenKey]:
        try:
            header = jwt.get_unverified_header(token)
        except (PyJWTError, ValueError, RecursionError):
            raise BadToken("this is no token") from None
        if "crit" in header:
            raise BadToken("the token asks for an extension")
        keys = self._fitting(header, now)
        for key in keys:
            try:
                return jwt.decode(token, key.material, [key.algorithm], options=_SIGNATURE_ONLY), key
            except (PyJWTError, ValueError, RecursionError):
                continue  # of several keys without a name another one may fit
        raise BadToken("the signature of the token is wrong")

    def _fitting(self, header: Mapping[str, Any], now: float) -> list[TokenKey]:
        """The keys that may have signed: of the algorithm in the header, and of the name where it has one."""
        algorithm, kid = header.get("alg"), header.get("kid")
        keys = [key for key in self._keys() if _usable(key, now)]
        if not keys:
            raise UnknownKey("there is no key to verify the token with")
        if algorithm not in (taken := sorted({key.algorithm for key in keys})):
            named = f"{str(algorithm)[:20]!r} of the token is not taken, the keys are for {', '.join(taken)}"
            raise BadToken(f"the algorithm {named}")
        fitting = [
            key for key in keys if key.algorithm == algorithm and (key.kid is None or kid in (None, key.kid))
        ]
        if not fitting:
            raise UnknownKey("the token is signed by a key that is not known")
        return fitting


def grant_of(claims: Mapping[str, Any], rules: TokenRules, now: float) -> Grant:
    """What signed `claims` grant at `now`, a time since the epoch; BadToken or ExpiredToken."""
    expires = _number(claims, "exp")
    if expires is None:
        raise BadToken("the token has no exp")
    if now >= expires:
        raise ExpiredToken("the token is expired")
    issued = _number(claims, "iat")
    for name in ("nbf", "iat"):
        begins = _number(claims, name)
        if begins is not None and begins > now + MAX_SKEW:
            raise BadToken(f"the token is not valid yet: {name}")
    if expires - (now if issued is None else issued) > rules.max_lifetime:
        raise BadToken(f"the token lives longer than {rules.max_lifetime:g} seconds")
    _check_parties(claims, rules)
    user = claims.get("sub")
    if user is not None and not (isinstance(user, str) and 0 < len(user) <= MAX_USER):
        raise BadToken(f"sub has to be a string of 1 to {MAX_USER} characters")
    try:
        channels = Channels.of(_strings(claims, "channels", []))
    except ConfigError as error:
        raise BadToken(str(error)) from None
    rights = frozenset(_RIGHTS[name] for name in _strings(claims, "rights", ["subscribe"]) if name in _RIGHTS)
    return Grant(channels, rights, user, expires, claims.get("info"))


def _check_parties(claims: Mapping[str, Any], rules: TokenRules) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if rules.audience is not None and rules.audience not in audiences:
        raise BadToken("the token is for another audience")
    if rules.issuer is not None and claims.get("iss") != rules.issuer:
        raise BadToken("the token is of another issuer")


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass  # whole numbers of JSON have no bound
    raise BadToken(f"{name} has to be a number of seconds")


def _strings(claims: Mapping[str, Any], name: str, default: list[str]) -> list[str]:
    value = claims.get(name, default)
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise BadToken(f"{name} has to be a list of strings")
    return value


def _usable(key: TokenKey, now: float) -> bool:
    return now < key.until
