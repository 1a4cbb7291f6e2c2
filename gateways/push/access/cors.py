"""What lets a page of another, allowed origin read an answer (CORS, Fetch standard).

The origin is said back as it came, once the routes have checked it, never as `*`: then it is right with
cookies, too. A cache must not give one origin's answer to another, hence `Vary`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from gateways.push.http import STRICT_TRANSPORT, BadRequest, Request, Response

PREFLIGHT_SECONDS = 600
"""How long a browser need not ask again."""


def shared_with(request: Request) -> dict[str, str]:
    """Headers that let the page of `request`, whose origin is allowed, read the answer."""
    origin = request.headers.get("origin")
    strict = STRICT_TRANSPORT if request.visitor.secure else {}
    if origin is None:
        return {"Vary": "Origin", **strict}
    return {
        **strict,
        "Access-Control-Allow-Origin": origin,
        "Vary": "Origin",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Retry-After",
    }


@contextmanager
def refusals_shared_with(request: Request) -> Iterator[None]:
    """Lets that page read a refusal, too: without, it takes an expired token for a network that is gone."""
    try:
        yield
    except BadRequest as error:
        raise BadRequest(error.status, str(error), {**error.headers, **shared_with(request)}) from error


def preflight(request: Request, methods: str = "GET", further: str = "") -> Response:
    """The answer to what a browser asks before a request with a header such as Authorization.

    `further` are headers beside those of every request here, after a comma.
    """
    headers = {
        **shared_with(request),
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": f"Authorization, Last-Event-ID, Cache-Control{further}",
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }
    return Response(HTTPStatus.NO_CONTENT, headers=headers)
