"""nsqgw.js in a real browser, before a real gateway and nsqd, while the network between breaks in every way.

Whatever happens, a page is told every message once and in order, or it is told of a gap.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from harness.command import Nsqgw
from harness.daemons import Daemon, nsqd_of
from harness.polling import eventually
from harness.proxy import Proxy
from harness.proxy_thread import NoWebSockets, ProxyThread
from nsqgw import BlockingProducer

pytestmark = [pytest.mark.browser, pytest.mark.real]

Options = dict[str, Any]

QUICK: Options = {"minDelay": 0.05, "maxDelay": 0.5, "handshakeTimeout": 2}
"""So that a scene does not wait for people's sake."""

FOLLOW = """async ([options, subscribe]) => {
    const { Client } = await import("/nsqgw.js");
    window.told = [];
    window.client = new Client("/", options);
    window.events = client.subscribe("events", subscribe);
    events.on("message", ({ data }) => told.push(typeof data === "string" ? data : Array.from(data)));
    events.on("gap", ({ lost }) => told.push({ lost }));
    client.connect();
    await events.ready();
}"""


@pytest.fixture(scope="module")
def nsqd() -> Iterator[Daemon]:
    daemon = nsqd_of("real")()
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def start_push(nsqd: Daemon, tmp_path: Path) -> Callable[..., Nsqgw]:
    """Starts a gateway for topic `events`; its address is in its log."""

    def start(listen: str = "127.0.0.1:0", *flags: str) -> Nsqgw:
        source = ("--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address)
        return Nsqgw(tmp_path, "push", *source, "--listen", listen, "--admin-address", "", *flags)

    return start


@pytest.fixture
def producer(nsqd: Daemon) -> Iterator[BlockingProducer]:
    with BlockingProducer([nsqd.tcp_address]) as producer:
        yield producer


def address_of(push: Nsqgw) -> str:
    return push.wait_for(r"streaming events on http://([^\s\"]+)")


def follow(page: Page, address: str, options: Options | None = None, **subscribe: Any) -> None:
    """Open a page there, and have it follow `events`; what it is told comes to `told`."""
    page.goto(f"http://{address}/topics")
    page.evaluate(FOLLOW, [{**QUICK, **(options or {})}, subscribe])


def told(page: Page) -> list[Any]:
    return list(page.evaluate("told"))


def numbers(first: int, behind: int) -> list[str]:
    return [str(number) for number in range(first, behind)]


def publish(producer: BlockingProducer, first: int, behind: int) -> None:
    producer.publish_many("events", [number.encode() for number in numbers(first, behind)])


def received(page: Page, number: int) -> None:
    """Wait until the page was told message `number`."""
    page.wait_for_function("number => told.includes(number)", arg=str(number))


def test_cuts_and_resets_lose_and_repeat_nothing(
    page: Page, start_push: Any, producer: BlockingProducer
) -> None:
    with start_push() as push, ProxyThread(Proxy(address_of(push))) as network:
        follow(page, network.address)
        for turn in range(8):
            publish(producer, 50 * turn, 50 * turn + 25)
            (network.reset if turn % 2 else network.cut)()
            publish(producer, 50 * turn + 25, 50 * (turn + 1))
        received(page, 399)
        assert told(page) == numbers(0, 400)


def test_connections_that_break_in_the_middle_of_frames(
    page: Page, start_push: Any, producer: BlockingProducer
) -> None:
    with start_push() as push, ProxyThread(Proxy(address_of(push))) as network:
        follow(page, network.address)
        publish(producer, 0, 1)
        received(page, 0)
        network.break_after(4001)  # a handshake, and some forty messages
        network.reset()
        publish(producer, 1, 300)
        eventually(lambda: network.proxy.accepted > 4)
        network.break_after(10**9)
        received(page, 299)
        assert told(page) == numbers(0, 300)


def test_a_network_that_is_gone_without_a_word_is_noticed(
    page: Page, start_push: Any, producer: BlockingProducer
) -> None:
    with start_push() as push, ProxyThread(Proxy(address_of(push))) as network:
        follow(page, network.address)
        publish(producer, 0, 10)
        received(page, 9)
        network.swallow()
        publish(producer, 10, 20)
        page.evaluate(
            "dispatchEvent(new Event('offline'))"
        )  # makes it ask, instead of waiting for the next ping
        received(page, 19)
        assert told(page) == numbers(0, 20)


CONFIG = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]
[listen]
address = "127.0.0.1:0"
[limits]
ping_interval = "500ms"
look_interval = "200ms"
[service]
admin_address = ""
[[topic]]
name = "events"
"""


def test_a_gateway_that_is_silent_for_longer_than_it_said_is_given_up(
    page: Page, nsqd: Daemon, producer: BlockingProducer, tmp_path: Path
) -> None:
    config = tmp_path / "push.toml"
    config.write_text(CONFIG.format(nsqd=nsqd.tcp_address))
    with (
        Nsqgw(tmp_path, "push", "--config", str(config)) as push,
        ProxyThread(Proxy(address_of(push))) as network,
    ):
        follow(page, network.address, {"grace": 3})
        publish(producer, 0, 10)
        received(page, 9)
        network.swallow()
        publish(producer, 10, 20)
        received(page, 19)
        assert told(page) == numbers(0, 20)


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_restarted_gateway_misses_nothing_or_says_so(
    page: Page, start_push: Any, producer: BlockingProducer, end: str
) -> None:
    with start_push() as push:
        address = address_of(push)
        follow(page, address)
        publish(producer, 0, 10)
        received(page, 9)
        if end == "terminate":
            push.terminate()
        else:
            push.process.kill()
            push.wait()
    publish(producer, 10, 20)
    with start_push(address) as push:
        address_of(push)
        page.wait_for_function("events.state === 'subscribed'")
        publish(producer, 20, 30)
        received(page, 29)
        seen = told(page)
    gaps = [index for index, entry in enumerate(seen) if isinstance(entry, dict)]
    assert len(gaps) == 1  # the channel was this process's own: what came meanwhile is nowhere
    assert seen[: gaps[0]] == numbers(0, 10)
    assert seen[gaps[0] + 1 :] == numbers(30 - len(seen[gaps[0] + 1 :]), 30)


@pytest.mark.parametrize("transports", [["websocket", "sse", "poll"], ["websocket", "poll"]])
def test_without_upgrades_it_goes_on_by_streams_or_polls(
    page: Page, start_push: Any, producer: BlockingProducer, transports: list[str]
) -> None:
    with start_push() as push, ProxyThread(NoWebSockets(address_of(push))) as network:
        follow(page, network.address, {"transports": transports})
        assert page.evaluate("client.transport") == transports[1]
        publish(producer, 0, 50)
        received(page, 49)
        network.reset()
        publish(producer, 50, 100)
        received(page, 99)
        producer.publish("events", b"\xff\x00")
        producer.publish("events", "zwei\nZeilen ✓".encode())
        page.wait_for_function("told.length === 102")
        assert told(page) == [*numbers(0, 100), [255, 0], "zwei\nZeilen ✓"]
        assert page.evaluate("client.transport") == transports[1]


def test_a_reloaded_page_goes_on_where_it_was(
    page: Page, start_push: Any, producer: BlockingProducer
) -> None:
    with start_push() as push:
        address = address_of(push)
        follow(page, address)
        page.evaluate("events.unsubscribe()")
        page.evaluate(FOLLOW.replace("options);", "{ ...options, storage: sessionStorage });"), [QUICK, {}])
        publish(producer, 0, 10)
        received(page, 9)
        page.goto("about:blank")
        publish(producer, 10, 20)
        page.goto(f"http://{address}/topics")
        page.evaluate(FOLLOW.replace("options);", "{ ...options, storage: sessionStorage });"), [QUICK, {}])
        received(page, 19)
        assert told(page) == numbers(10, 20)


def test_publish_and_presence(page: Page, start_push: Any) -> None:
    with start_push("127.0.0.1:0", "--allow-publish", "events", "--show-presence", "events") as push:
        follow(page, address_of(push), presence=True)
        page.evaluate("client.publish('events', 'from the page')")
        page.evaluate("client.publish('events', new Uint8Array([255, 1]))")
        page.wait_for_function("told.length === 2")
        assert told(page) == ["from the page", [255, 1]]
        assert page.evaluate("client.presence('events').then(({ count }) => count)") == 1
        refused = page.evaluate("client.publish('other', 'x').catch(({ code, message }) => [code, message])")
        assert refused[0] == 102, refused


def test_a_page_of_another_origin_may_import_the_module(
    page: Page, start_push: Any, producer: BlockingProducer
) -> None:
    with start_push() as home:
        origin = f"http://{address_of(home)}"
        with start_push("127.0.0.1:0", "--allow-origin", origin) as push:
            page.goto(f"{origin}/topics")
            script = FOLLOW.replace('"/nsqgw.js"', json.dumps(f"http://{address_of(push)}/nsqgw.js"))
            page.evaluate(script.replace('"/"', json.dumps(f"http://{address_of(push)}/")), [QUICK, {}])
            publish(producer, 0, 1)
            received(page, 0)


def test_patterns_and_filters_through_cuts(page: Page, start_push: Any, producer: BlockingProducer) -> None:
    with (
        start_push("127.0.0.1:0", "--route", "events=orders.{customer}") as push,
        ProxyThread(Proxy(address_of(push))) as network,
    ):
        page.goto(f"http://{network.address}/topics")
        paid = {"filter": {"state": ["paid", "sent"]}}
        page.evaluate(FOLLOW.replace('"events"', '"orders.*"'), [QUICK, paid])
        expected = []
        for turn in range(30):
            state = ("new", "paid", "sent")[turn % 3]
            body = json.dumps({"customer": turn % 4, "state": state, "turn": turn})
            producer.publish("events", body.encode())
            if state != "new":
                expected.append(body)
            if turn % 10 == 5:
                network.reset()
        page.wait_for_function("count => told.length >= count", arg=len(expected))
        assert sorted(told(page)) == sorted(expected)
        positions = page.evaluate("events.position")
        assert {"orders.*", "orders.0"} <= set(positions)


def jwt(secret: bytes, seconds: float, **claims: object) -> str:
    """A token (RFC 7519, HS256) that holds so long."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    body = {
        "sub": "ann",
        "iat": int(time.time()),
        "exp": int(time.time() + seconds),
        "channels": ["*"],
        **claims,
    }
    signed = ".".join(part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, body))
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


SECRET = b"a secret of thirty-two bytes, at least"


@pytest.fixture
def start_guarded(start_push: Any, tmp_path: Path) -> Callable[[], Nsqgw]:
    """Starts a gateway that wants tokens."""
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    return lambda: start_push("127.0.0.1:0", "--token-key", f"alg=HS256,file={key}", "--token-grace", "1s")


TOKENS = """([tokens]) => {
    window.reasons = [];
    window.give = (reason) => tokens[Math.min(reasons.push(reason), tokens.length) - 1];
}"""

GUARDED = FOLLOW.replace("options);", "{ ...options, getToken: give });").replace("await events.ready();", "")


def test_a_token_is_renewed_on_the_living_connection(
    page: Page, start_guarded: Any, producer: BlockingProducer
) -> None:
    with start_guarded() as push, ProxyThread(Proxy(address_of(push))) as network:
        page.goto(f"http://{network.address}/topics")  # refused, but of this origin
        page.evaluate(TOKENS, [[jwt(SECRET, 3), jwt(SECRET, 600)]])
        page.evaluate(GUARDED, [QUICK, {}])
        page.wait_for_function("events.state === 'subscribed' && reasons.length === 2")
        accepted = network.proxy.accepted
        over = time.time() + 4.5  # the first token, and the grace behind it
        eventually(lambda: time.time() > over)
        publish(producer, 0, 1)
        received(page, 0)
        assert page.evaluate("reasons") == ["connect", "refresh"]
        assert network.proxy.accepted == accepted


@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_an_expired_token_is_asked_for_once_more_and_what_is_refused_is_told(
    page: Page, start_guarded: Any, producer: BlockingProducer, transport: str
) -> None:
    options = {"transports": [transport]}
    with start_guarded() as push:
        page.goto(f"http://{address_of(push)}/topics")  # refused, but of this origin
        page.evaluate(TOKENS, [[jwt(SECRET, -100), jwt(SECRET, 600)]])
        page.evaluate(GUARDED, [{**QUICK, **options}, {}])
        page.wait_for_function("events.state === 'subscribed'")
        assert page.evaluate("reasons") == ["connect", "expired"]
        publish(producer, 0, 1)
        received(page, 0)
        page.evaluate("client.disconnect()")
        page.evaluate(TOKENS, [[jwt(b"of somebody else, who is not asked", 600)]])
        page.evaluate(GUARDED, [{**QUICK, **options}, {}])
        page.wait_for_function("client.state === 'disconnected'")
        assert len(page.evaluate("reasons")) <= 2


def test_a_channel_that_the_token_does_not_name_is_refused(page: Page, start_guarded: Any) -> None:
    with start_guarded() as push:
        page.goto(f"http://{address_of(push)}/topics")  # refused, but of this origin
        page.evaluate(TOKENS, [[jwt(SECRET, 600, channels=["others.*"])]])
        refused = "events.ready().catch(({ code }) => (window.refused = code));"
        page.evaluate(GUARDED.replace("client.connect();", f"{refused} client.connect();"), [QUICK, {}])
        page.wait_for_function("window.refused")
        assert page.evaluate("refused") == 103
        assert page.evaluate("client.state") == "connected"


def test_streams_and_tokens_from_a_page_of_another_origin(
    page: Page, start_push: Any, producer: BlockingProducer, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    with start_push() as home:
        origin = f"http://{address_of(home)}"
        flags = ("--allow-origin", origin, "--token-key", f"alg=HS256,file={key}")
        with start_push("127.0.0.1:0", *flags) as push:
            page.goto(f"{origin}/topics")
            page.evaluate(TOKENS, [[jwt(SECRET, -100), jwt(SECRET, 600)]])
            gateway = json.dumps(f"http://{address_of(push)}/")
            page.evaluate(
                GUARDED.replace('Client("/"', f"Client({gateway}"), [{**QUICK, "transports": ["sse"]}, {}]
            )
            page.wait_for_function("events.state === 'subscribed'")
            assert page.evaluate("reasons") == ["connect", "expired"]
            publish(producer, 0, 1)
            received(page, 0)
