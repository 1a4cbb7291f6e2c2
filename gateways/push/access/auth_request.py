"""Asks the user's own backend about a request: the browser's cookies go there, and 2xx lets it in.

The backend may narrow what is allowed by a JSON object with `user`, `channels`, `rights`, `seconds` (how
long) and `info`; without one the request may do what it asks for. Requests on the way and waiting are
bounded. When the backend does not answer, nobody gets in: after some failures in a row it is not even
asked for a while, so that an outage costs browsers a 503 and no waiting.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from gateways.push.access.gate import BadToken
from gateways.push.access.grant import EVERY_CHANNEL, Grant, Right
from gateways.push.access.proxies import TrustedProxies
from gateways.push.access.tokens import TokenRules, grant_of
from gateways.push.http import BadRequest, Request
from nsqgw.service.settings import mask_url

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
CONCURRENT = 64
WAITING = 1024
"""Requests that wait for one of the concurrent ones to end."""
MAX_ANSWER_BYTES = 65_536
FAILURES = 5
"""In a row, until the backend is left alone."""
PAUSE = (1.0, 30.0)
"""The first and the longest time it is left alone, in seconds."""

_PASSED_ON = ("authorization", "cookie", "origin", "user-agent", "accept-language")
_QUERY = "!$&'()*+,;=:@/?%-._~"
_MEMBERS = {"user": "sub", "channels": "channels", "rights": "rights", "info": "info"}


_OUTAGES = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class Circuit:
    """Whether to ask: open after `FAILURES` in a row, for twice as long each time. Pure."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause = PAUSE[0]
        self._closed_at = 0.0

    def waits(self, now: float) -> float:
        """Seconds until the next question may be put; 0 is now."""
        return max(0.0, self._closed_at - now)

    def note(self, now: float, *, good: bool) -> None:
        """How a question ended."""
        if good:
            self._failures, self._pause = 0, PAUSE[0]
            return
        self._failures += 1
        if self._failures >= FAILURES and now >= self._closed_at:
            self._closed_at = now + self._pause
            self._pause = min(PAUSE[1], self._pause * 2)


class AuthRequest:
    """The backend at `url`; `clock` is monotonic."""

    def __init__(
        self,
        url: str,
        proxies: TrustedProxies,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._proxies = proxies
        self._timeout = timeout
        self._clock = clock
        self._wall = wall
        self._circuit = Circuit()
        self._asking = 0
        self._client: SimpleAsyncHTTPClient | None = None

    async def grant(self, request: Request) -> Grant:
        """What the backend allows; BadRequest 401 or 403 where it says so, 503 where it cannot be asked."""
        wait = self._circuit.waits(self._clock())
        if wait or self._asking >= CONCURRENT + WAITING:
            raise _unavailable(wait)
        self._asking += 1
        try:
            answer = await self._ask(request)
        finally:
            self._asking -= 1
        if 200 <= answer.code < 300:
            return self._allowed(answer)
        if answer.code == HTTPStatus.UNAUTHORIZED:
            raise BadRequest(HTTPStatus.UNAUTHORIZED, "the site does not know you")
        raise BadRequest(HTTPStatus.FORBIDDEN, "the site does not allow it")

    def close(self) -> None:
        """Close the connections to the backend."""
        if self._client is not None:
            self._client.close()

    async def _ask(self, request: Request) -> HTTPResponse:
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(
                force_instance=True, max_clients=CONCURRENT, max_body_size=MAX_ANSWER_BYTES
            )
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        headers |= {
            "Accept": "application/json",
            "X-Original-URI": _target(request),
            "X-Original-Method": request.method,
            "X-Forwarded-For": self._client_address(request),
        }
        question = HTTPRequest(
            self._url,
            headers=headers,
            connect_timeout=self._timeout,
            request_timeout=self._timeout,
            follow_redirects=False,
        )
        try:
            answer = await self._client.fetch(question, raise_error=False)
        except (HTTPClientError, OSError, ValueError) as error:
            return self._failed(str(error))
        if answer.code >= HTTPStatus.INTERNAL_SERVER_ERROR or 300 <= answer.code < 400:
            # one request that upsets the backend is no outage
            return self._failed(f"it answers {answer.code}", outage=answer.code in _OUTAGES)
        self._circuit.note(self._clock(), good=True)
        return answer

    def _failed(self, why: str, *, outage: bool = True) -> HTTPResponse:
        if outage:
            self._circuit.note(self._clock(), good=False)
        logger.warning("the auth request to %s failed, the browser is refused: %s", mask_url(self._url), why)
        raise _unavailable(self._circuit.waits(self._clock()))

    def _client_address(self, request: Request) -> str:
        if not self._proxies.trust(request.address):
            return request.address
        return self._proxies.client(request.address, request.headers.get("x-forwarded-for", ""))

    def _allowed(self, answer: HTTPResponse) -> Grant:
        if not answer.headers.get("Content-Type", "").startswith("application/json"):
            return Grant(EVERY_CHANNEL, frozenset({Right.SUBSCRIBE}))
        try:
            return _narrowed(json.loads(answer.body), self._wall())
        except (BadToken, ValueError, RecursionError, TypeError, OverflowError) as error:
            return self._misunderstood(str(error))

    def _misunderstood(self, why: str) -> Grant:
        logger.error("the answer of %s to an auth request is not understood: %s", mask_url(self._url), why)
        raise _unavailable(0)


def _narrowed(document: Mapping[str, Any], now: float) -> Grant:
    """The grant an answer describes, by the rules of tokens' claims; channels it does not name are all."""
    if not isinstance(document, dict):
        raise TypeError("an object is expected")
    claims = {claim: document[name] for name, claim in _MEMBERS.items() if document.get(name) is not None}
    seconds = document.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | None):
        raise TypeError("seconds has to be a number")
    claims |= {"exp": now + (seconds or 1), "iat": now}
    claims.setdefault("channels", ["*"])
    grant = grant_of(claims, TokenRules(max_lifetime=float("inf")), now)
    expires = None if seconds is None else grant.expires
    return Grant(grant.channels, grant.rights, grant.user, expires, grant.info)


def _target(request: Request) -> str:
    """Path and query, encoded: nothing a client writes ends a header line."""
    query = f"?{quote(request.query, safe=_QUERY)}" if request.query else ""
    return quote(request.path) + query


def _unavailable(wait: float) -> BadRequest:
    return BadRequest(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "it cannot be asked now whether you may connect",
        {"Retry-After": str(max(1, round(wait)))},
    )
