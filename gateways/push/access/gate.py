"""The gate of a gateway: who a request comes from, how many of those there may be, and what they may do.

Asked by the front for each connection and by the routes for each request. What comes along decides which
question is put: a token to the verifier, a signature to the signed URLs, anything else to the user's own
backend where there is one. Without any of them the gateway is open, which it is on this machine only,
unless it was told to be (see settings).
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

from gateways.push.access.grant import ANONYMOUS, UNRESTRICTED, Grant, Right, Visitor, denial
from gateways.push.access.proxies import TrustedProxies
from gateways.push.access.throttle import ArrivalLimits, Arrivals, address_key
from gateways.push.http import BadRequest, Request

BEARER_SUBPROTOCOL = "nsqgw.token."
"""What comes before a token among the subprotocols of a WebSocket; all a page may add."""

_BEARER = "bearer "
_CHALLENGE: Mapping[str, str] = {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}
_RETRY_AFTER: Mapping[str, str] = {"Retry-After": "5"}


class BadToken(Exception):
    """A token is not accepted; the text says why and does not quote it."""


class ExpiredToken(BadToken):
    """A token was good once."""


class UnknownKey(BadToken):
    """No key that is known now fits a token."""


class Verifier(Protocol):
    """Tells what a token grants; see `tokens`."""

    def verify(self, token: str) -> Grant:
        """What `token` grants; BadToken, ExpiredToken, or UnknownKey."""
        ...

    async def renew(self) -> None:
        """Fetch the keys anew where they may be others by now; quietly nothing where that is not so."""
        ...


class Signatures(Protocol):
    """Tells what a signed URL grants; see `signed_url`."""

    def grant(self, request: Request) -> Grant | None:
        """None where `request` bears no signature; BadRequest where it is wrong or expired."""
        ...


class Backend(Protocol):
    """Asks the user's own server; see `auth_request`."""

    async def grant(self, request: Request) -> Grant:
        """What the server allows; BadRequest where it does not or cannot be asked."""
        ...


class Gate:
    """`now` is the event loop's clock, `wall` that of tokens. Without credentials all may do everything.

    anonymous      those without credentials get in where there are some, and may subscribe
    query_tokens   `?token=` is a place for tokens
    grace          seconds a connection lives on after its token expired
    first_command  seconds until the token has to come in the first frame
    proxy_protocol trusted proxies begin their connections with a PROXY header
    demand_origin  a WebSocket without Origin, which is no browser's, needs a token
    """

    def __init__(
        self,
        *,
        verifier: Verifier | None = None,
        signatures: Sequence[Signatures] = (),
        backend: Backend | None = None,
        anonymous: bool = False,
        query_tokens: bool = False,
        demand_origin: bool = False,
        proxy_protocol: bool = False,
        grace: float = 25.0,
        first_command: float = 10.0,
        limits: ArrivalLimits | None = None,
        proxies: TrustedProxies | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.verifier = verifier
        self.proxies = proxies or TrustedProxies(())
        self.arrivals = Arrivals(limits or ArrivalLimits())
        self.grace = grace
        self.first_command = first_command
        self.signatures = signatures
        self._backend = backend
        self._anonymous = anonymous
        self._query_tokens = query_tokens
        self._demand_origin = demand_origin
        self.proxy_protocol = proxy_protocol
        self._wall = wall

    @property
    def _open(self) -> bool:
        """Whether nobody is asked for anything."""
        return self.verifier is None and not self.signatures and self._backend is None

    # who comes, and how many

    def speaks_proxy_protocol(self, address: str) -> bool:
        """Whether connections from `address` begin with a PROXY header."""
        return self.proxy_protocol and self.proxies.trust(address)

    def arrive(self, visitor: Visitor, address: str, now: float) -> None:
        """Count a connection from the IP `address`; BadRequest 429 where that has too many.

        A trusted proxy's connections are counted once it has said whose they are.
        """
        key = address_key(address)
        if key is None or self.proxies.trust(address):
            return
        self._count(visitor, key, now)

    def identify(self, visitor: Visitor, address: str, request: Request, now: float) -> None:
        """Count the connection of a trusted proxy for the address it forwards; BadRequest 429 as `arrive`."""
        if visitor.address is not None or not self.proxies.trust(address):
            return
        visitor.secure = visitor.secure or self.proxies.forwarded_secure(request.headers)
        client = self.proxies.client(address, request.headers.get("x-forwarded-for", ""))
        key = address_key(client)
        if key is not None and not self.proxies.trust(client):
            self._count(visitor, key, now)

    def leave(self, visitor: Visitor) -> None:
        """The connection of `visitor` is gone."""
        if visitor.address is not None:
            self.arrivals.leave(visitor.address)
            visitor.address = None
        if visitor.user is not None:
            self.arrivals.remove_user(visitor.user)
            visitor.user = None

    def _count(self, visitor: Visitor, key: str, now: float) -> None:
        refused = self.arrivals.arrive(key, now)
        if refused is not None:
            raise BadRequest(HTTPStatus.TOO_MANY_REQUESTS, refused, _RETRY_AFTER)
        visitor.address = key

    # what they may do

    def authenticate(self, request: Request, now: float, *, later: bool) -> Awaitable[None] | None:
        """Give the visitor of `request` its grant, or raise BadRequest; an awaitable where that takes time.

        With `later` the token may come in the first frame, so nothing is refused for its want.
        """
        token = self._token_of(request) if self.verifier is not None else None
        if token is not None:
            return self._by_token(request.visitor, token, now)
        for signatures in self.signatures:
            grant = signatures.grant(request)
            if grant is not None:
                self.hold(request.visitor, grant, now)
                return None
        if self._backend is not None:
            return self._by_backend(self._backend, request, now)
        self._without_credentials(request, now, later=later)
        return None

    def hold(self, visitor: Visitor, grant: Grant, now: float) -> None:
        """From now on `visitor` has `grant`; BadRequest 429 where its user has too many connections."""
        if grant.user != visitor.user:
            if grant.user is not None and not self.arrivals.add_user(grant.user):
                raise BadRequest(
                    HTTPStatus.TOO_MANY_REQUESTS, "this user has too many connections", _RETRY_AFTER
                )
            if visitor.user is not None:
                self.arrivals.remove_user(visitor.user)
            visitor.user = grant.user
        visitor.grant = grant
        visitor.expires_at = math.inf if grant.expires is None else now + grant.expires - self._wall()
        visitor.due = visitor.expires_at + self.grace

    def verify(self, token: str) -> Grant:
        """What `token` grants; BadToken, also where no tokens are taken."""
        if self.verifier is None:
            raise BadToken("this gateway takes no tokens")
        return self.verifier.verify(token)

    async def verify_with_new_keys(self, token: str) -> Grant:
        """`verify`, once the keys are as new as can be."""
        if self.verifier is not None:
            await self.verifier.renew()
        return self.verify(token)

    def _by_token(self, visitor: Visitor, token: str, now: float) -> Awaitable[None] | None:
        try:
            self.hold(visitor, self.verify(token), now)
        except UnknownKey:
            return self._by_new_keys(visitor, token, now)
        except BadToken as error:
            raise BadRequest(HTTPStatus.UNAUTHORIZED, str(error), _CHALLENGE) from None
        return None

    async def _by_new_keys(self, visitor: Visitor, token: str, now: float) -> None:
        try:
            self.hold(visitor, await self.verify_with_new_keys(token), now)
        except BadToken as error:
            raise BadRequest(HTTPStatus.UNAUTHORIZED, str(error), _CHALLENGE) from None

    async def _by_backend(self, backend: Backend, request: Request, now: float) -> None:
        self.hold(request.visitor, await backend.grant(request), now)

    def _without_credentials(self, request: Request, now: float, *, later: bool) -> None:
        strange = self._demand_origin and request.wants_upgrade and "origin" not in request.headers
        if self._open:
            if strange:
                raise BadRequest(
                    HTTPStatus.FORBIDDEN, "a WebSocket without Origin is taken with a token only"
                )
            self.hold(request.visitor, UNRESTRICTED, now)
        elif self._anonymous and not strange:
            self.hold(request.visitor, ANONYMOUS, now)
        elif not (later and self.verifier is not None):
            raise BadRequest(HTTPStatus.UNAUTHORIZED, "a token or a signed URL is needed here", _CHALLENGE)

    def _token_of(self, request: Request) -> str | None:
        authorization = request.headers.get("authorization", "")
        if authorization[: len(_BEARER)].lower() == _BEARER:
            return authorization[len(_BEARER) :].strip()
        for name in request.headers.get("sec-websocket-protocol", "").split(","):
            if name.strip().startswith(BEARER_SUBPROTOCOL):
                return name.strip().removeprefix(BEARER_SUBPROTOCOL)
        return request.argument("token") if self._query_tokens else None


def authorize(request: Request, right: Right, channel: str, now: float) -> None:
    """BadRequest 401 or 403 where the visitor of `request` has no `right` on `channel`."""
    denied = denial(request.visitor, right, channel, now)
    if denied is not None:
        challenge = _CHALLENGE if denied.status is HTTPStatus.UNAUTHORIZED else {}
        raise BadRequest(denied.status, f"{channel}: {denied.value}", challenge)
