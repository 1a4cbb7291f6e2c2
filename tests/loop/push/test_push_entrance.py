"""The way in: TLS with real clients, proxies, the PROXY protocol, CORS, the user's own backend, key sets."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.testing import bind_unused_port

from gateways.push.access.auth_request import FAILURES, AuthRequest
from gateways.push.access.gate import Gate
from gateways.push.access.key_set import KeySet
from gateways.push.access.proxies import TrustedProxies
from gateways.push.access.throttle import ArrivalLimits
from gateways.push.access.tls import ServerTls
from gateways.push.access.tokens import TokenRules, TokenVerifier
from gateways.push.limits import Limits
from harness.certificates import make_certificates
from harness.polling import eventually_async
from harness.push_client import PushClient
from harness.tokens import NOW, jwk_set, private_key, token
from nsqgw.errors import ConfigError

LIMITS = Limits(look_interval=0.04, close_timeout=2.0, poll_timeout=0.1)
LOOPBACK = TrustedProxies(["127.0.0.1"])


async def get(served, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    request = HTTPRequest(
        f"http://{served.host}{path}", method, headers={"Accept": "application/json", **headers}
    )
    return await AsyncHTTPClient().fetch(request, raise_error=False)


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("push-tls"), "push.example")


@pytest.fixture
def trusting(certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca)


async def test_websockets_and_event_streams_over_tls(serve, certificates, trusting) -> None:
    served = await serve(LIMITS, tls=ServerTls(certificates.server, certificates.server_key))
    client = await PushClient.open(served.host, scheme="wss", ssl=trusting)
    await client.ask("subscribe", channel="events")
    large = b"x" * 900_000  # more than TLS takes at once, so that what follows waits
    for _ in range(3):
        served.publish(b"small", large)
        assert [len((await client.next())["data"]) for _ in range(2)] == [5, 900_000]
    host, _, port = served.host.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    writer.write(b"GET /stream/events HTTP/1.1\r\nHost: push\r\nAccept: text/event-stream\r\n\r\n")
    assert b"421" in await asyncio.wait_for(reader.readline(), 10)
    writer.transport.abort()
    reader, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    writer.write(b"GET /stream/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b"Strict-Transport-Security: max-age=31536000\r\n" in head
    served.publish(b"over TLS")
    assert b"data: over TLS" in await asyncio.wait_for(reader.readuntil(b"data: over TLS\n\n"), 10)
    writer.transport.abort()
    await client.websocket.close()
    client.websocket.transport.close()  # Python 3.10 complains where nobody does


async def test_a_browser_that_stalls_over_tls_is_closed(serve, certificates, trusting) -> None:
    limits = Limits(look_interval=0.04, close_timeout=0.2, max_queue_bytes=200_000)
    served = await serve(limits, tls=ServerTls(certificates.server, certificates.server_key))
    host, _, port = served.host.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    writer.transport.pause_reading()
    writer.write(b"GET /stream/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    await eventually_async(lambda: served.hub.subscribers("events"))

    def slow() -> bool:
        served.publish(b"x" * 100_000)
        return served.context.closed["slow"] == 1

    await eventually_async(slow)
    await eventually_async(lambda: not served.context.connections)
    writer.transport.abort()


async def test_nothing_older_than_tls_1_2_and_no_plain_text(serve, certificates, trusting, dial) -> None:
    served = await serve(LIMITS, tls=ServerTls(certificates.server, certificates.server_key))
    host, _, port = served.host.rpartition(":")
    trusting.minimum_version = ssl.TLSVersion.TLSv1_2
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
    writer.transport.abort()
    assert served.context.connections
    peer = await dial(served)
    peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"HTTP" not in await peer.read_all()
    context = ServerTls(certificates.server, certificates.server_key).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_page_that_came_without_tls_is_of_another_origin(serve, certificates, trusting) -> None:
    served = await serve(LIMITS, tls=ServerTls(certificates.server, certificates.server_key))
    for scheme, code in (("https", HTTPStatus.OK), ("http", HTTPStatus.FORBIDDEN)):
        request = HTTPRequest(
            f"https://{served.host}/topics",
            ssl_options=trusting,
            headers={"Origin": f"{scheme}://{served.host}"},
        )
        assert (await AsyncHTTPClient().fetch(request, raise_error=False)).code == code


async def test_silent_handshakes_are_counted_and_end(serve, certificates, dial) -> None:
    limits = Limits(look_interval=0.04, handshake_timeout=0.2, max_connections=3)
    served = await serve(limits, tls=ServerTls(certificates.server, certificates.server_key))
    peers = [await dial(served) for _ in range(3)]
    await eventually_async(lambda: len(served.context.connections) == 3)
    assert await (await dial(served)).read_all() == b""
    assert served.context.refused[HTTPStatus.SERVICE_UNAVAILABLE] == 1
    assert [await peer.read_all() for peer in peers] == [b""] * 3
    await eventually_async(lambda: not served.context.connections and not len(served.context.errands))


# proxies


async def test_connections_behind_a_trusted_proxy_are_counted_by_their_client(serve) -> None:
    gate = Gate(proxies=LOOPBACK, limits=ArrivalLimits(connect_rate=0.001, connect_burst=2))
    served = await serve(LIMITS, gate=gate)
    codes = [(await get(served, "/topics", **{"X-Forwarded-For": "192.0.2.1"})) for _ in range(3)]
    assert [answer.code for answer in codes] == [200, 200, 429]
    assert codes[2].headers["Retry-After"] == "5"
    assert (await get(served, "/topics", **{"X-Forwarded-For": "192.0.2.2"})).code == HTTPStatus.OK
    for spoof in range(3):  # what stands before what the proxy adds is the client's own word
        answer = await get(served, "/topics", **{"X-Forwarded-For": f"198.51.100.{spoof}, 192.0.2.1"})
        assert answer.code == HTTPStatus.TOO_MANY_REQUESTS
    assert (await get(served, "/topics")).code == HTTPStatus.OK


async def test_forwarded_for_of_a_stranger_is_passed_over(serve) -> None:
    served = await serve(LIMITS, gate=Gate(limits=ArrivalLimits(connect_rate=0.001, connect_burst=1)))
    for _ in range(3):
        assert (await get(served, "/topics", **{"X-Forwarded-For": "192.0.2.1"})).code == HTTPStatus.OK


async def test_the_proxy_protocol(serve, dial) -> None:
    gate = Gate(
        proxies=LOOPBACK, proxy_protocol=True, limits=ArrivalLimits(connections_per_address=1, connect_rate=0)
    )
    served = await serve(LIMITS, gate=gate)
    head = b"PROXY TCP4 192.0.2.1 192.0.2.9 1 80\r\n"
    first = await dial(served)
    for byte in head:
        first.send(bytes([byte]))
    first.send(b"GET /stream/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    assert b"200 OK" in await first.read_until(b"\r\n\r\n")
    second = await dial(served)
    second.send(head + b"GET /topics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert await second.read_all() == b""
    assert served.context.refused[HTTPStatus.TOO_MANY_REQUESTS] == 1
    bare = await dial(served)
    bare.send(b"GET /topics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert await bare.read_all() == b""
    await first.close()
    await eventually_async(lambda: gate.arrivals.sizes == (0, 0, 0))


# CORS


async def test_a_page_elsewhere_may_ask_before_it_asks(serve) -> None:
    served = await serve(LIMITS, allow_origins=("https://*.example.org",))
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    answer = await get(served, "/stream/events", "OPTIONS", Origin="https://shop.example.org", **asked)
    assert answer.code == HTTPStatus.NO_CONTENT
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example.org"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert "Origin" in answer.headers["Vary"]
    for evil in (
        "https://example.org",
        "https://a.b.example.org",
        "http://shop.example.org",
        "null",
        "https://evilexample.org",
    ):
        answer = await get(served, "/stream/events", "OPTIONS", Origin=evil, **asked)
        assert answer.code == HTTPStatus.FORBIDDEN
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_what_a_page_of_another_site_asks_without_saying_so(serve) -> None:
    served = await serve(LIMITS)
    assert (await get(served, "/topics", **{"Sec-Fetch-Site": "cross-site"})).code == HTTPStatus.FORBIDDEN
    assert (await get(served, "/topics", **{"Sec-Fetch-Site": "same-origin"})).code == HTTPStatus.OK


# the user's own backend


@pytest.fixture
async def backend() -> AsyncIterator[Callable]:
    """Serves what a function answers; gives the URL and what was asked."""
    servers: list[HTTPServer] = []

    def start(
        answer: Callable[[HTTPServerRequest], tuple[int, object]],
    ) -> tuple[str, list[HTTPServerRequest]]:
        asked: list[HTTPServerRequest] = []

        def handle(request: HTTPServerRequest) -> None:
            asked.append(request)
            code, document = answer(request)
            body = b"" if document is None else json.dumps(document).encode()
            kind = b"text/plain" if document is None else b"application/json"
            head = b"HTTP/1.1 %d x\r\nContent-Length: %d\r\nContent-Type: %s\r\n\r\n" % (
                code,
                len(body),
                kind,
            )
            request.connection.stream.write(head + body)
            request.connection.stream.close()

        sock, port = bind_unused_port()
        server = HTTPServer(handle)
        server.add_sockets([sock])
        servers.append(server)
        return f"http://127.0.0.1:{port}/may", asked

    yield start
    for server in servers:
        server.stop()
        await server.close_all_connections()


@pytest.fixture
async def asking() -> AsyncIterator[Callable[[str], Gate]]:
    """Makes gates that ask a backend."""
    made: list[AuthRequest] = []

    def make(url: str, **settings) -> Gate:
        made.append(AuthRequest(url, LOOPBACK, timeout=2.0))
        return Gate(backend=made[-1], **settings)

    yield make
    for each in made:
        each.close()


async def test_the_backend_is_shown_the_request_and_lets_it_in(serve, backend, asking) -> None:
    url, asked = backend(
        lambda request: (200 if request.headers.get("Cookie") == "session=ada" else 403, None)
    )
    served = await serve(LIMITS, gate=asking(url))
    headers = {"Cookie": "session=ada", "X-Forwarded-For": "192.0.2.1"}
    assert (await get(served, "/stream/events?since=%0d%0ax", **headers)).code == HTTPStatus.OK
    assert asked[0].headers["X-Original-URI"] == "/stream/events?since=%0d%0ax"
    assert asked[0].headers["X-Forwarded-For"] == "192.0.2.1"
    assert (await get(served, "/stream/%0d%0aX-Admin:%20yes", **headers)).code == HTTPStatus.NOT_FOUND
    assert asked[1].headers["X-Original-URI"] == "/stream/%0D%0AX-Admin%3A%20yes"
    assert "X-Admin" not in asked[1].headers
    assert (await get(served, "/stream/events", Cookie="session=eve")).code == HTTPStatus.FORBIDDEN


async def test_the_backend_names_the_user_the_channels_and_the_rights(serve, backend, asking) -> None:
    may = {"user": "ada", "channels": ["oth*"], "rights": ["subscribe", "presence"], "seconds": 60}
    url, _ = backend(lambda request: (200, may))
    served = await serve(LIMITS, gate=asking(url))
    client = await PushClient.open(served.host)
    assert client.hello["auth"] == "none"
    assert await client.refused("subscribe", channel="events") == 103
    assert (await client.ask("subscribe", channel="other"))["ok"] == "subscribe"
    (session,) = served.context.connections
    assert session.visitor.user == "ada"
    assert 50 < session.visitor.expires_at - served.context.clock() <= 60
    await client.websocket.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((401, None), 401),
        ((404, None), 403),
        ((302, None), 503),
        ((500, None), 503),
        ((200, ["ada"]), 503),
        ((200, {"channels": "all"}), 503),
        ((200, {"user": 5}), 503),
        ((200, {"seconds": "60"}), 503),
        ((200, {"seconds": 10**400}), 503),
        ((200, {"channels": []}), 403),
    ],
)
async def test_other_answers_of_the_backend_let_nobody_in(serve, backend, asking, answer, code) -> None:
    url, _ = backend(lambda request: answer)
    served = await serve(LIMITS, gate=asking(url))
    assert (await get(served, "/stream/events")).code == code


async def test_while_the_backend_is_down_nobody_gets_in_and_it_is_left_alone(serve, backend, asking) -> None:
    broken = True
    url, asked = backend(lambda request: (503 if broken else 200, None))
    served = await serve(LIMITS, gate=asking(url))
    for _ in range(FAILURES + 3):
        answer = await get(served, "/stream/events")
        assert answer.code == HTTPStatus.SERVICE_UNAVAILABLE
        assert int(answer.headers["Retry-After"]) >= 1
    assert len(asked) == FAILURES
    broken = False
    codes: list[int] = []

    async def try_again() -> None:
        while not codes or codes[-1] != HTTPStatus.OK:
            codes.append((await get(served, "/stream/events")).code)

    await asyncio.wait_for(try_again(), 15)


async def test_a_browser_that_goes_while_the_backend_thinks(serve, asking, dial) -> None:
    sock, port = bind_unused_port()  # listens and never answers
    served = await serve(
        Limits(look_interval=0.04, handshake_timeout=0.3), gate=asking(f"http://127.0.0.1:{port}/")
    )
    peer = await dial(served)
    peer.send(
        b"GET /stream/events HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n" + b"x" * 100
    )
    assert b"408" in await peer.read_until(b"\r\n")
    assert len(served.context.errands) == 0
    sock.close()


# sets of keys


async def test_a_key_that_is_not_known_is_looked_for(serve, tmp_path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(jwk_set("ES256", "old"))
    now = 0.0
    keys = KeySet(str(path), lambda: now)
    await keys.load()
    verifier = TokenVerifier(keys.keys, TokenRules(), wall=lambda: NOW, renew=keys.renew)
    served = await serve(LIMITS, gate=Gate(verifier=verifier, wall=lambda: NOW))
    new = token(private_key("ES256"), "ES256", headers={"kid": "new"})
    bearer = {"Authorization": f"Bearer {new}"}
    path.write_bytes(jwk_set("ES256", "new"))
    assert (await get(served, "/topics", **bearer)).code == HTTPStatus.UNAUTHORIZED  # it was just read
    now = 31.0
    client = await PushClient.open(served.host)
    assert (await client.ask("auth", token=new))["ok"] == "auth"
    await client.websocket.close()
    now = 62.0
    path.write_bytes(jwk_set("ES256", "newest"))
    newest = token(private_key("ES256"), "ES256", headers={"kid": "newest"})
    assert (await get(served, "/topics", Authorization=f"Bearer {newest}")).code == HTTPStatus.OK
    path.write_text("nonsense")
    now = 100.0
    await keys.renew()
    assert keys.keys()  # what is known goes on, for a day
    now = 62.0 + 86_401
    assert keys.keys() == ()


async def test_a_key_set_by_url_and_none(backend, tmp_path) -> None:
    url, _ = backend(lambda request: (200, json.loads(jwk_set("RS256", "a"))))
    keys = KeySet(url, lambda: 0.0)
    await keys.load()
    assert [known.kid for known in (*keys.keys(),)] == ["a"]
    missing, _ = backend(lambda request: (404, None))
    with pytest.raises(ConfigError, match="cannot be fetched: HTTP 404"):
        await KeySet(missing, lambda: 0.0).load()
    with pytest.raises(ConfigError, match="No such file"):
        await KeySet(str(tmp_path / "none"), lambda: 0.0).load()
