"""OAuth 2 for sinks over HTTP: the client credentials grant (RFC 6749, 4.4), renewed before it ends."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Literal
from urllib.parse import quote_plus, urlencode

from pydantic import BaseModel, ConfigDict, Field
from tornado.httputil import RequestStartLine

from gateways.pipeline.sink import Fate, Outcome
from gateways.service.values import Secret
from gateways.ship.sinks.endpoints import parse_endpoint
from gateways.ship.sinks.http_answers import RETRY_STATUS, Answer, retry_after
from gateways.ship.sinks.http_client import HttpClient
from gateways.ship.sinks.settings import Url
from nsqgw.config import USER_AGENT
from nsqgw.errors import NSQError

_KEEP_BYTES = 64 * 1024
_DEFAULT_LIFE = 300.0  # seconds, where the answer does not say
_LONGEST_LIFE = 86400.0
_MARGIN = 30.0  # seconds before its end that a token is renewed, or half of its life


class OAuth2Settings(BaseModel):
    """Where a token comes from, and who asks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token_url: Url = Field(description="the token endpoint")
    client_id: str = Field(description="our name there")
    client_secret: Secret = Field(description="and our secret")
    scope: str = Field(default="", description="scopes with spaces between them")
    audience: str = Field(default="", description="for servers that want to know whom the token is for")
    client_auth: Literal["basic", "body"] = Field(
        default="basic", description="whether name and secret go in a header, or in the body"
    )


class ClientCredentials:
    """The token of one sink, asked for when it is needed and shared by all its requests."""

    def __init__(self, settings: OAuth2Settings, client: HttpClient) -> None:
        self._settings = settings
        self._client = client
        self._endpoint = parse_endpoint(settings.token_url)
        self._asking = asyncio.Lock()
        self._header = ""
        self._renew_at = 0.0
        self._worked = False

    async def header(self) -> str | Outcome:
        """The Authorization header; where there is no token, what that means for a batch."""
        async with self._asking:
            if self._header and asyncio.get_running_loop().time() < self._renew_at:
                return self._header
            try:
                answer = await self._ask()
            except asyncio.TimeoutError:
                return Outcome(Fate.RETRY, "no token: no answer in time")
            except (NSQError, OSError) as error:
                return Outcome(Fate.RETRY, f"no token: {error}")
            return self._taken(answer)

    def note(self, header: str, status: int) -> bool:
        """What the sink answered to it; whether another token may do better."""
        if header != self._header:
            return status == 401
        if status != 401:
            self._worked = True
            return False
        self._header = ""
        return self._worked

    async def _ask(self) -> Answer:
        settings = self._settings
        form = {"grant_type": "client_credentials", "scope": settings.scope, "audience": settings.audience}
        headers = {"User-Agent": USER_AGENT, "Content-Type": "application/x-www-form-urlencoded"}
        secret = settings.client_secret.get_secret_value()
        if settings.client_auth == "body":
            form |= {"client_id": settings.client_id, "client_secret": secret}
        else:
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        body = urlencode({name: value for name, value in form.items() if value}).encode()
        start = RequestStartLine("POST", self._endpoint.target, "HTTP/1.1")
        return await self._client.request(self._endpoint.address, start, headers, body, _KEEP_BYTES)

    def _taken(self, answer: Answer) -> str | Outcome:
        found = answer.document()
        token, life = found.get("access_token"), found.get("expires_in")
        if (
            answer.status != 200
            or not isinstance(token, str)
            or not (token.isascii() and token.isprintable())
        ):
            fate = Fate.RETRY if answer.status in RETRY_STATUS else Fate.BLOCKED
            wait = retry_after(answer.headers.get("Retry-After"), time.time())
            reason = f"no token: the token endpoint answers {answer.summary}"
            return Outcome(fate, reason, wait if fate is Fate.RETRY else None)
        seconds = min(life, _LONGEST_LIFE) if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        self._renew_at = asyncio.get_running_loop().time() + max(seconds / 2, seconds - _MARGIN)
        self._header = f"Bearer {token}"
        self._worked = False
        return self._header
