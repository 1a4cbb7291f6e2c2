"""Tokens on connections: where they may stand, what they allow, how they are renewed and how they end."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateways.push.access.gate import Gate
from gateways.push.access.keys import TokenKey
from gateways.push.access.signed_url import SignedUrls, sign
from gateways.push.access.throttle import ArrivalLimits
from gateways.push.access.tokens import TokenRules, TokenVerifier
from gateways.push.limits import Limits
from gateways.push.presence import Presence
from gateways.push.revocation import disconnect
from harness.polling import eventually_async
from harness.push_client import PushClient
from harness.tokens import SECRET, token

LIMITS = Limits(look_interval=0.04, close_timeout=2.0)


def gate(**settings) -> Gate:
    verifier = TokenVerifier(lambda: (TokenKey("HS256", SECRET),), TokenRules(), wall=time.time)
    return Gate(verifier=verifier, **settings)


def good(**claims) -> str:
    return token(now=time.time(), **claims)


@pytest.fixture
async def opened() -> AsyncIterator:
    """Opens clients and closes them."""
    clients: list[PushClient] = []

    async def opener(served, **options) -> PushClient:
        clients.append(await PushClient.open(served.host, **options))
        return clients[-1]

    yield opener
    for client in clients:
        await client.websocket.close()


async def get(served, path: str, **headers: str) -> HTTPResponse:
    request = HTTPRequest(f"http://{served.host}{path}", headers={"Accept": "application/json", **headers})
    return await AsyncHTTPClient().fetch(request, raise_error=False)


async def test_the_first_frame_brings_the_token(serve, opened) -> None:
    served = await serve(gate=gate())
    client = await opened(served)
    assert client.hello["auth"] == "required"
    assert await client.refused("subscribe", channel="events") == 101
    assert await client.refused("subscribe", channel="no such") == 101  # nobody learns what there is
    answer = await client.ask("auth", token=good(sub="ada"))
    assert (answer["ok"], answer["user"]) == ("auth", "ada")
    assert 3590 <= answer["expires"] <= 3600
    assert (await client.ask("subscribe", channel="events"))["ok"] == "subscribe"
    assert await client.refused("subscribe", channel="other") == 103
    assert await client.refused("publish", channel="events", data="x") == 103
    assert await client.refused("presence", channel="events") == 103
    served.publish(b"hello")
    assert (await client.next())["data"] == "hello"


async def test_a_token_and_a_subscribe_in_one_packet(serve, opened) -> None:
    client = await opened(await serve(gate=gate()))
    await client.send("auth", token=good())
    await client.send("subscribe", channel="events")
    assert [(await client.next())["ok"] for _ in range(2)] == ["auth", "subscribe"]


async def test_other_places_of_a_token(serve, opened) -> None:
    served = await serve(gate=gate())
    client = await opened(served, subprotocols=(f"nsqgw.token.{good()}",))
    assert client.hello["auth"] == "optional"
    assert client.websocket.subprotocol == "nsqgw.v1.json"
    assert (await client.ask("subscribe", channel="events"))["ok"] == "subscribe"
    bearer = {"Authorization": f"Bearer {good()}"}
    client = await opened(served, additional_headers=bearer)
    assert (await client.ask("subscribe", channel="events"))["ok"] == "subscribe"
    assert json.loads((await get(served, "/topics", **bearer)).body) == {"topics": ["events"]}
    assert json.loads((await get(served, "/status", **bearer)).body) == {"connected": {"events": True}}
    assert (await get(served, "/stream/other", **bearer)).code == HTTPStatus.FORBIDDEN
    assert (await get(served, f"/topics?token={good()}")).code == HTTPStatus.UNAUTHORIZED
    offered = [Subprotocol("nsqgw.stream"), Subprotocol(f"nsqgw.token.{good()}")]
    async with connect(f"ws://{served.host}/stream/events", proxy=None, subprotocols=offered) as websocket:
        assert websocket.subprotocol == "nsqgw.stream"
    served = await serve(gate=gate(query_tokens=True))
    assert (await get(served, f"/topics?token={good()}")).code == HTTPStatus.OK


async def test_without_a_token_there_are_only_the_pages(serve) -> None:
    served = await serve(gate=gate())
    assert (await get(served, "/")).code == HTTPStatus.OK
    for path in ("/topics", "/status", "/stream/events", "/stream/none", "/none"):
        answer = await get(served, path)
        assert (answer.code, answer.headers["WWW-Authenticate"]) == (HTTPStatus.UNAUTHORIZED, "Bearer")
    answer = await get(served, "/stream/events", Authorization="Bearer forged")
    assert answer.code == HTTPStatus.UNAUTHORIZED
    with pytest.raises(InvalidStatus) as error:
        await connect(f"ws://{served.host}/stream/events", proxy=None)
    assert error.value.response.status_code == HTTPStatus.UNAUTHORIZED


async def test_a_token_that_does_not_come(serve, opened) -> None:
    client = await opened(await serve(LIMITS, gate=gate(first_command=0.1)))
    assert await client.closed() == (4502, "no token")


@pytest.mark.parametrize(
    ("bad", "code", "ending"),
    [
        ("forged", 101, (4500, "invalid token")),
        (token(b"another secret of thirty-two bytes or more"), 101, (4500, "invalid token")),
        (token(now=0.0), 109, (4010, "token expired")),
    ],
)
async def test_tokens_that_are_turned_down(serve, opened, bad: str, code: int, ending: tuple) -> None:
    client = await opened(await serve(LIMITS, gate=gate()))
    assert await client.refused("auth", token=bad) == code
    assert await client.closed() == ending


async def test_a_token_is_renewed_on_a_live_connection(serve, opened) -> None:
    served = await serve(LIMITS, gate=gate())
    client = await opened(served)
    await client.ask("auth", token=good(sub="ada", exp=time.time() + 1))
    assert (await client.next())["push"] == "expiring"
    await client.ask("subscribe", channel="events")
    assert (await client.ask("auth", token=good(sub="ada")))["ok"] == "auth"
    assert await client.refused("auth", token=token(now=0.0)) == 109  # which does not undo the good one
    served.publish(b"still here")
    assert (await client.next())["data"] == "still here"
    assert await client.refused("auth", token=good(sub="bob")) == 103


async def test_an_expired_token_ends_commands_and_after_the_grace_the_connection(serve, opened) -> None:
    served = await serve(LIMITS, gate=gate())
    client = await opened(served)
    await client.ask("auth", token=good(exp=time.time() + 0.2))
    assert await client.next() == {"push": "expiring", "seconds": 0}
    (session,) = served.context.connections
    await eventually_async(lambda: served.context.clock() >= session.visitor.expires_at)
    assert await client.refused("subscribe", channel="events") == 109
    assert session.visitor.due == session.visitor.expires_at + 25
    session.visitor.due = session.visitor.expires_at = 0.0  # half a minute later
    assert await client.closed() == (4010, "token expired")


async def test_a_stream_ends_with_its_token(serve, dial) -> None:
    served = await serve(LIMITS, gate=gate(grace=5.0))
    bearer = {"Authorization": f"Bearer {good(exp=time.time() + 60)}"}

    def let_pass() -> None:
        (session,) = served.context.connections
        assert 60 < session.visitor.due - served.context.clock() <= 65
        session.visitor.due = 0.0

    async with connect(
        f"ws://{served.host}/stream/events", proxy=None, additional_headers=bearer
    ) as websocket:
        let_pass()
        await websocket.wait_closed()
    assert websocket.close_code == 4010
    await eventually_async(lambda: not served.context.connections)
    peer = await dial(served)
    peer.send(
        b"GET /stream/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        b"Authorization: " + bearer["Authorization"].encode() + b"\r\n\r\n"
    )
    assert b"200 OK" in await peer.read_until(b"\r\n\r\n")
    let_pass()
    await peer.read_all()
    assert served.context.closed["token expired"] == 2


async def test_a_token_with_fewer_channels_takes_effect_at_once(serve, opened) -> None:
    served = await serve(gate=gate())
    client = await opened(served)
    await client.ask("auth", token=good(channels=["*"]))
    await client.ask("subscribe", channel="events")
    await client.ask("subscribe", channel="other")
    assert (await client.ask("auth", token=good(channels=["other"])))["ok"] == "auth"
    error = {"code": 103, "text": "not allowed", "temporary": False}
    assert await client.next() == {"push": "unsubscribed", "channel": "events", "error": error}
    assert served.hub.subscribers("events") == 0
    served.publish(b"x")
    served.publish(b"y", topic="other")
    assert (await client.next())["data"] == "y"
    assert (await client.ask("auth", token=good(channels=["oth.*"])))["ok"] == "auth"
    assert (await client.next())["channel"] == "other"


async def test_publishing_and_presence_need_their_rights(serve, opened) -> None:
    class Taker:
        def publish_then(self, topic, body, then) -> None:
            then(None)

    served = await serve(
        gate=gate(), publisher=Taker(), publish_topics=frozenset({"events"}), presence=Presence(["events"])
    )
    client = await opened(served)
    await client.ask("auth", token=good(rights=["publish"]))
    assert (await client.ask("publish", channel="events", data="x"))["ok"] == "publish"
    assert await client.refused("subscribe", channel="events") == 103
    await client.ask("auth", token=good(rights=["subscribe"]))
    assert await client.refused("publish", channel="events", data="x") == 103
    assert await client.refused("subscribe", channel="events", presence=True) == 103
    await client.ask("auth", token=good(rights=["subscribe", "presence"]))
    assert (await client.ask("subscribe", channel="events", presence=True))["ok"] == "subscribe"
    assert (await client.ask("presence", channel="events"))["count"] == 1


async def test_without_the_right_nobody_is_told_any_longer_who_comes(serve, opened) -> None:
    served = await serve(gate=gate(), presence=Presence(["events"]))
    client, guest = await opened(served), await opened(served)
    await client.ask("auth", token=good(rights=["subscribe", "presence"]))
    await client.ask("subscribe", channel="events", presence=True)
    await client.ask("auth", token=good(rights=["subscribe"]))
    await guest.ask("auth", token=good())
    await guest.ask("subscribe", channel="events")
    served.publish(b"x")
    assert (await client.next())["push"] == "message"


async def test_a_token_for_seconds_is_not_asked_for_again_at_once(serve, opened) -> None:
    served = await serve(gate=gate())
    client = await opened(served)
    assert (await client.ask("auth", token=good(exp=time.time() + 20)))["expires"] == 20
    (connection,) = served.context.connections
    assert 8 < connection.visitor.due - served.context.clock() < 12


async def test_anonymous_visitors_may_subscribe_and_no_more(serve, opened) -> None:
    served = await serve(gate=gate(anonymous=True), presence=Presence(["events"]))
    client = await opened(served)
    assert client.hello["auth"] == "optional"
    assert (await client.ask("subscribe", channel="events"))["ok"] == "subscribe"
    assert await client.refused("presence", channel="events") == 103
    assert await client.refused("publish", channel="events", data="x") == 103
    assert (await client.ask("auth", token=good(rights=["presence"])))["ok"] == "auth"


async def test_an_open_gateway_takes_no_tokens(serve, opened) -> None:
    client = await opened(await serve(LIMITS))
    assert client.hello["auth"] == "none"
    assert await client.refused("auth", token=good()) == 101


async def test_a_websocket_without_origin_needs_a_token_where_others_can_come(serve, opened) -> None:
    strict, anonymous = (
        await serve(gate=Gate(demand_origin=True)),
        await serve(gate=gate(demand_origin=True, anonymous=True)),
    )
    with pytest.raises(InvalidStatus) as error:
        await opened(strict)
    assert error.value.response.status_code == HTTPStatus.FORBIDDEN
    assert (await (await opened(strict, origin=f"http://{strict.host}")).ask("subscribe", channel="events"))[
        "ok"
    ]
    client = await opened(anonymous)
    assert await client.refused("subscribe", channel="events") == 101
    assert (await client.ask("auth", token=good()))["ok"] == "auth"


async def test_connections_of_a_user_are_bounded(serve, opened) -> None:
    served = await serve(LIMITS, gate=gate(limits=ArrivalLimits(connections_per_user=1)))
    first, second = await opened(served), await opened(served)
    await first.ask("auth", token=good(sub="ada"))
    assert await second.refused("auth", token=good(sub="ada")) == 111
    assert await second.closed() == (4504, "too many connections")
    bearer = {"Authorization": f"Bearer {good(sub='ada')}"}
    assert (await get(served, "/topics", **bearer)).code == HTTPStatus.TOO_MANY_REQUESTS
    await first.websocket.close()
    await eventually_async(lambda: served.context.gate.arrivals.sizes == (0, 0, 0))
    assert (await get(served, "/topics", **bearer)).code == HTTPStatus.OK


async def test_signed_urls_open_streams(serve) -> None:
    secret = b"a secret of urls, long enough"
    served = await serve(
        Limits(look_interval=0.04, poll_timeout=0.1), gate=Gate(signatures=[SignedUrls((secret,))])
    )
    end = int(time.time()) + 60
    sig = sign(secret, "/stream/events", end)
    assert (await get(served, f"/stream/events?exp={end}&sig={sig}")).code == HTTPStatus.OK
    assert (await get(served, f"/stream/other?exp={end}&sig={sig}")).code == HTTPStatus.FORBIDDEN
    assert (await get(served, "/stream/events")).code == HTTPStatus.UNAUTHORIZED


async def test_clients_are_sent_off(serve, opened) -> None:
    served = await serve(gate=gate())
    ada, bob, eve = [await opened(served) for _ in range(3)]
    for client, name in ((ada, "ada"), (bob, "bob"), (eve, "eve")):
        await client.ask("auth", token=good(sub=name))
        await client.ask("subscribe", channel="events")
    assert disconnect(served.context, user="nobody") == 0
    assert disconnect(served.context, user="ada") == 1
    assert await ada.closed() == (4503, "disconnected")
    assert disconnect(served.context, client=bob.hello["client"]) == 1
    assert await bob.closed() == (4503, "disconnected")
    assert disconnect(served.context, user="eve", channel="other") == 0
    assert disconnect(served.context, channel="events") == 1
    assert (await eve.next())["push"] == "unsubscribed"
    assert (await eve.ask("ping"))["ok"] == "ping"
