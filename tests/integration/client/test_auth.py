"""AUTH with both kinds of nsqd: the right secret, the wrong one, none, a limited one, and nobody to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.auth_server import ALL, AuthServer
from harness.daemons import Daemon
from harness.polling import eventually_async
from harness.scripted import QUICK
from nsqgw import ConnectionConfig, Consumer, Producer
from nsqgw.errors import AuthFailed, ConfigError, NotConnected, NSQError, Unauthorized
from nsqgw.instrument import ConnectFailed, Disconnected, Fact

SUBSCRIBE_ONLY = {"topic": "t", "channels": ["ch"], "permissions": ["subscribe"]}


@pytest.fixture
def auth() -> Iterator[AuthServer]:
    with AuthServer() as server:
        server.grants = {"open sesame": [ALL], "listen": [SUBSCRIBE_ONLY]}
        yield server


@pytest.fixture
def nsqd(auth: AuthServer, start_nsqd: Callable[..., Daemon]) -> Daemon:
    return start_nsqd(auth_http_addresses=(auth.address,))


def settings(secret: str | bytes | None, facts: list[Fact]) -> dict[str, Any]:
    return QUICK | {"connection": ConnectionConfig(auth_secret=secret), "on_fact": facts.append}


def errors_in(facts: list[Fact]) -> list[NSQError]:
    return [fact.error for fact in facts if isinstance(fact, ConnectFailed | Disconnected) and fact.error]


@pytest.mark.parametrize("secret", ["open sesame", b"open sesame"])
async def test_the_right_secret_opens(nsqd: Daemon, auth: AuthServer, secret: str | bytes) -> None:
    seen: list[bytes] = []
    facts: list[Fact] = []
    source, options = [nsqd.tcp_address], settings(secret, facts)
    async with (
        Consumer("t", "ch", lambda m: seen.append(m.body), nsqd_tcp_addresses=source, **options),
        Producer(source, **options) as producer,
    ):
        await producer.publish("t", b"x")
        await eventually_async(lambda: seen == [b"x"])
    assert {question["secret"] for question in auth.questions} == {"open sesame"}
    assert errors_in(facts) == []


@pytest.mark.parametrize(
    ("secret", "kind", "words"),
    [
        ("wrong", AuthFailed, "E_AUTH_FAILED AUTH failed"),
        (None, ConfigError, "nsqd asks for authorization: set auth_secret"),
    ],
)
async def test_a_wrong_secret_and_none_are_told_with_address_and_cause(
    nsqd: Daemon, secret: str | None, kind: type[NSQError], words: str
) -> None:
    facts: list[Fact] = []
    options = settings(secret, facts)
    async with (
        Consumer("t", "ch", print, nsqd_tcp_addresses=[nsqd.tcp_address], **options) as consumer,
        Producer([nsqd.tcp_address], **options) as producer,
    ):
        await eventually_async(lambda: len(errors_in(facts)) > 4, what="both keep trying")
        for client in (consumer, producer):
            with pytest.raises(NotConnected, match=f"{nsqd.tcp_address}: {words}"):
                await client.wait_connected(0.01)
    assert {type(error) for error in errors_in(facts)} == {kind}


async def test_both_connect_as_soon_as_the_auth_server_is_back(nsqd: Daemon, auth: AuthServer) -> None:
    auth.stop()
    seen: list[bytes] = []
    facts: list[Fact] = []
    source, options = [nsqd.tcp_address], settings("open sesame", facts)
    async with (
        Consumer("t", "ch", lambda m: seen.append(m.body), nsqd_tcp_addresses=source, **options),
        Producer(source, **options) as producer,
    ):
        await eventually_async(lambda: len(errors_in(facts)) > 3)
        assert {type(error) for error in errors_in(facts)} == {AuthFailed}
        auth.start()
        await producer.publish("t", b"x", timeout=15)
        await eventually_async(lambda: seen == [b"x"])


async def test_a_publish_that_is_not_permitted_raises_and_a_permitted_subscription_goes_on(
    nsqd: Daemon,
) -> None:
    facts: list[Fact] = []
    seen: list[bytes] = []
    source, listening = [nsqd.tcp_address], settings("listen", facts)
    async with (
        Consumer(
            "t", "ch", lambda m: seen.append(m.body), nsqd_tcp_addresses=source, **listening
        ) as consumer,
        Producer(source, **listening) as deaf,
        Producer(source, **settings("open sesame", [])) as producer,
    ):
        await consumer.wait_connected(15)
        with pytest.raises(Unauthorized, match="PUB"):
            await deaf.publish("t", b"not permitted")
        await producer.publish("t", b"permitted")
        await eventually_async(lambda: seen == [b"permitted"])


async def test_a_channel_that_is_not_permitted_is_told(nsqd: Daemon) -> None:
    facts: list[Fact] = []
    options = settings("listen", facts)
    async with Consumer("t", "other", print, nsqd_tcp_addresses=[nsqd.tcp_address], **options) as consumer:
        await eventually_async(lambda: errors_in(facts))
        with pytest.raises(NotConnected, match=f"{nsqd.tcp_address}: E_UNAUTHORIZED"):
            await consumer.wait_connected(0.01)
    assert {type(error) for error in errors_in(facts)} == {Unauthorized}
