"""Wrong arguments are refused at once with words that help, and what cannot be reached is named."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from harness.consuming import Subject
from harness.polling import eventually_async
from harness.scripted import ScriptedNsqd, error
from nsqgw import Consumer
from nsqgw.errors import Closed, ConfigError, InvalidName, NotConnected, NSQError

GOOD: dict[str, Any] = {"topic": "t", "channel": "ch", "nsqd_tcp_addresses": ["127.0.0.1:4150"]}

WRONG: list[tuple[dict[str, Any], type[NSQError], str]] = [
    ({"topic": "bad topic!"}, InvalidName, "topic name 'bad topic!' is not valid"),
    ({"topic": ""}, InvalidName, "topic name ''"),
    ({"topic": b"t"}, InvalidName, "must be a str, not bytes"),
    ({"channel": "c" * 65}, InvalidName, "channel name"),
    ({"channel": None}, InvalidName, "must be a str, not NoneType"),
    ({"nsqd_tcp_addresses": "127.0.0.1:4150"}, ConfigError, r"must be a list of addresses, like \['127"),
    ({"nsqd_tcp_addresses": []}, ConfigError, "nsqd_tcp_addresses or lookupd_http_addresses"),
    ({"nsqd_tcp_addresses": None}, ConfigError, "nsqd_tcp_addresses = None"),
    ({"nsqd_tcp_addresses": ["localhost"]}, ConfigError, "'localhost' is not of the form host:port"),
    ({"nsqd_tcp_addresses": ["http://x:4150"]}, ConfigError, "leave out 'http://'"),
    ({"nsqd_tcp_addresses": [4150]}, ConfigError, "must be a str"),
    ({"lookupd_http_addresses": "127.0.0.1:4161"}, ConfigError, "lookupd_http_addresses .* list"),
    ({"lookupd_http_addresses": 4161}, ConfigError, "lookupd_http_addresses = 4161"),
    ({"lookupd_http_addresses": ["127.0.0.1"]}, ConfigError, "'127.0.0.1' has no port"),
    ({"lookupd_http_addresses": ["ftp://x"]}, ConfigError, "'ftp://x' is not valid"),
    ({"handler": "print"}, ConfigError, "handler = 'print' cannot be called"),
    ({"batch_handler": 5}, ConfigError, "batch_handler = 5 cannot be called"),
    ({"handler": print, "batch_handler": print}, ConfigError, "handler or batch_handler, not both"),
    ({"max_in_fligt": 5}, ConfigError, "did you mean max_in_flight"),
    ({"max_in_flight": -1}, ConfigError, "max_in_flight = -1"),
    ({"max_in_flight": "10"}, ConfigError, "max_in_flight = '10'"),
    ({"concurrency": 0}, ConfigError, "concurrency = 0"),
    ({"config": {"max_in_flight": 5}}, ConfigError, "config = .* must be a ConsumerConfig"),
    ({"connection": "fast"}, ConfigError, "connection = 'fast'"),
]


@pytest.mark.parametrize(("arguments", "kind", "words"), WRONG, ids=lambda value: str(value)[:45])
def test_wrong_arguments(arguments: dict[str, Any], kind: type[NSQError], words: str) -> None:
    with pytest.raises(kind, match=words):
        Consumer(**(GOOD | arguments))


async def test_a_wrong_limit_leaves_the_old_one(fake: ScriptedNsqd) -> None:
    async with Subject(print, fake, max_in_flight=5) as consumer:
        session = await fake.subscribed()
        for wrong in (-1, 2.5, "7", None):
            with pytest.raises(ConfigError, match="max_in_flight"):
                consumer.set_max_in_flight(wrong)  # type: ignore[arg-type]
        consumer.set_max_in_flight(6)
        await session.seen("RDY 6")
        assert session.lines("RDY") == ["RDY 5", "RDY 6"]


async def test_starting_twice(fake: ScriptedNsqd) -> None:
    async with Subject(print, fake) as consumer:
        with pytest.raises(Closed, match="make a new one"):
            await consumer.start()


def dead_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "{}:{}".format(*probe.getsockname())


async def test_every_address_and_its_trouble_is_named() -> None:
    dead = dead_address()
    async with (
        ScriptedNsqd(answers={"IDENTIFY": None}) as mute,
        ScriptedNsqd(answers={"SUB": error("E_SUB_FAILED SUB failed exceeds limit of 1")}) as full,
        ScriptedNsqd(answers={"IDENTIFY": b"HTTP/1.1 400 Bad Request\r\n\r\n"}) as web,
        Subject(print, dead, mute, full, web) as consumer,
    ):
        await eventually_async(lambda: len(consumer._topics.problems) == 3)
        with pytest.raises(NotConnected) as caught:
            await consumer.wait_connected(0.05)
    text = str(caught.value)
    assert text.startswith("no nsqd connected within 0.05 s: ")
    assert text.count(dead) == 1
    assert f"{dead}: Connection refused" in text
    assert f"{mute.address}: no answer yet" in text
    assert f"{full.address}: E_SUB_FAILED SUB failed exceeds limit of 1" in text
    assert f"{web.address}: the peer speaks HTTP" in text
    assert "\n" not in text
