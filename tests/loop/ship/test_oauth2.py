"""Tokens by client credentials: one for all requests, renewed, and what it means when there is none."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError
from tornado.httputil import HTTPServerRequest

from gateways.pipeline.sink import CONFIRMED, Fate, Outcome
from harness.log_services import LogService, Reply
from harness.sending import batch_of, messages_of, opened, sink_of


class Guarded(LogService):
    """Takes events with the last token it gave, and gives one to whoever knows the secret."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0
        self.valid = ""
        self.life: Any = 3600
        self.forms: list[dict[str, list[str]]] = []

    def take(self, request: HTTPServerRequest) -> Reply:
        if request.path == "/token":
            self.forms.append(parse_qs(request.body.decode()))
            basic = base64.b64encode(b"me:hu+%26sh").decode()
            if request.headers.get("Authorization") != f"Basic {basic}":
                return Reply(401, {"error": "invalid_client"})
            self.given += 1
            self.valid = f"Bearer token-{self.given}"
            return Reply(200, {"access_token": f"token-{self.given}", "expires_in": self.life})
        return Reply(200 if request.headers.get("Authorization") == self.valid else 401)


@pytest.fixture
async def service() -> AsyncIterator[Guarded]:
    started = Guarded()
    yield started
    await started.close()


def guarded(service: Guarded, secret: str = "hu &sh", **more: Any) -> dict[str, Any]:
    oauth2 = {"token_url": f"{service.url}/token", "client_id": "me", "client_secret": secret, **more}
    return {"type": "http", "url": f"{service.url}/in", "oauth2": oauth2}


async def send(sink: Any) -> Outcome:
    outcome: Outcome = await sink.send(batch_of(sink, messages_of([b"a"])))
    return outcome


async def test_one_token_is_for_all_requests(service: Guarded) -> None:
    async with opened(guarded(service, scope="logs write")) as sink:
        assert await asyncio.gather(*(send(sink) for _ in range(5))) == [CONFIRMED] * 5
    assert service.given == 1
    assert service.forms == [{"grant_type": ["client_credentials"], "scope": ["logs write"]}]


async def test_it_is_renewed_before_it_ends(service: Guarded) -> None:
    service.life = 0.001
    async with opened(guarded(service)) as sink:
        for _ in range(3):
            assert await send(sink) is CONFIRMED
            await asyncio.sleep(0.002)
    assert service.given >= 2


async def test_one_that_is_withdrawn_is_replaced_and_one_that_never_worked_needs_a_person(
    service: Guarded,
) -> None:
    async with opened(guarded(service)) as sink:
        assert await send(sink) is CONFIRMED
        service.valid = "withdrawn"
        outcome = await send(sink)
        assert (outcome.fate, outcome.reason) == (
            Fate.RETRY,
            "HTTP 401 Unauthorized: the token is not taken any more",
        )
        assert await send(sink) is CONFIRMED
    async with opened(guarded(service)) as sink:
        service.script = [Reply(200, {"access_token": "of another"})]
        assert (await send(sink)).fate is Fate.BLOCKED


@pytest.mark.parametrize(
    ("reply", "fate"),
    [
        (Reply(400, {"error": "invalid_scope"}), Fate.BLOCKED),
        (Reply(503), Fate.RETRY),
        (Reply(200, {"access_token": "two\nlines"}), Fate.BLOCKED),
        (Reply(200, "<html>"), Fate.BLOCKED),
    ],
)
async def test_no_token(service: Guarded, reply: Reply, fate: Fate) -> None:
    async with opened(guarded(service)) as sink:
        service.script = [reply]
        outcome = await send(sink)
    assert outcome.fate is fate
    assert outcome.reason.startswith("no token: the token endpoint answers HTTP ")
    assert not [request for request in service.requests if request.path == "/in"]


async def test_a_token_endpoint_that_asks_to_be_left_alone_is(service: Guarded) -> None:
    async with opened(guarded(service)) as sink:
        service.script = [Reply(429, None, {"Retry-After": "7"})]
        assert (await send(sink)).retry_after == 7.0


@pytest.mark.parametrize("life", [10**400, "3600", None, -1, True])
async def test_any_length_of_life_will_do(service: Guarded, life: Any) -> None:
    service.life = life
    async with opened(guarded(service)) as sink:
        assert await send(sink) is CONFIRMED


async def test_a_wrong_secret_is_not_told(service: Guarded) -> None:
    settings = guarded(service, secret="wrong")
    async with opened(settings) as sink:
        outcome = await send(sink)
    assert outcome.fate is Fate.BLOCKED
    assert "wrong" not in outcome.reason
    with pytest.raises(ValidationError):
        sink_of(settings | {"bearer_token": "t"})
