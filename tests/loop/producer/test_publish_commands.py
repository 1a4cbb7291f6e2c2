"""What is sent for a publish, byte for byte, and what is refused before anything is."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from harness.producing import producer_of
from harness.scripted import OK, ScriptedNsqd, Session, error
from nsqgw import ConnectionConfig, Producer
from nsqgw.errors import BadTopic, ConfigError, InvalidName, MessageTooBig, MpubFailed, NSQError, PublishError


async def test_commands_are_exact(fake: ScriptedNsqd) -> None:
    async with producer_of(fake) as producer:
        await producer.publish("t", b"\x00body")
        await producer.publish("t#ephemeral", bytearray(b"array"))  # type: ignore[arg-type]
        await producer.publish("t", memoryview(b"view"))  # type: ignore[arg-type]
        await producer.publish("t", b"later", delay=1.5)
        await producer.publish("t", b"now", delay=0)
        await producer.publish_many("t", [b"a", b"bc"])
        session = await fake.session()
        assert session.commands[1:] == [
            "PUB t",
            "PUB t#ephemeral",
            "PUB t",
            "DPUB t 1500",
            "DPUB t 0",
            "MPUB t",
        ]
        assert session.bodies[1:6] == [b"\x00body", b"array", b"view", b"later", b"now"]
        assert session.bodies[6] == struct.pack(">ii1si2s", 2, 1, b"a", 2, b"bc")


def split(body: bytes) -> list[bytes]:
    """The messages of an MPUB."""
    (count,) = struct.unpack_from(">i", body)
    bodies, position = [], 4
    for _ in range(count):
        (size,) = struct.unpack_from(">i", body, position)
        bodies.append(body[position + 4 : position + 4 + size])
        position += 4 + size
    assert position == len(body)
    return bodies


@pytest.mark.parametrize("limit", [30, 31, 64, 600])
async def test_publish_many_splits_at_the_servers_limit(fake: ScriptedNsqd, limit: int) -> None:
    bodies = [bytes([number]) * (1 + number % 20) for number in range(60)]
    async with producer_of(fake, max_batch_size=limit, max_message_size=limit - 8) as producer:
        await producer.publish_many("t", iter(bodies))
        batches = (await fake.session()).bodies[1:]
        assert [body for batch in batches for body in split(batch)] == bodies
        assert all(len(batch) <= limit for batch in batches)
        if limit == 600:
            assert len(batches) == 2
        assert producer.stats.published == 60


async def test_the_largest_message_fits_into_a_batch(fake: ScriptedNsqd) -> None:
    """nsqd closes the connection over a batch above its limit, of one message too."""
    async with producer_of(fake, max_batch_size=40, max_message_size=32) as producer:
        await producer.publish_many("t", [b"x" * 32] * 3)
        assert [len(batch) for batch in (await fake.session()).bodies[1:]] == [40] * 3


async def test_publish_many_of_nothing_sends_nothing(fake: ScriptedNsqd) -> None:
    async with producer_of(fake) as producer:
        await producer.wait_connected(5)
        await producer.publish_many("t", [])
        assert (await fake.session()).commands == ["IDENTIFY"]


async def test_a_refused_batch_stops_the_rest(fake: ScriptedNsqd) -> None:
    answers = iter([OK, error("E_MPUB_FAILED MPUB failed disk full")])
    fake.answers["MPUB"] = lambda session, line: next(answers)
    async with producer_of(fake, max_batch_size=20, max_message_size=12) as producer:
        with pytest.raises(MpubFailed, match="disk full"):
            await producer.publish_many("t", [b"12345678"] * 4)
        assert len((await fake.session()).lines("MPUB")) == 2
        assert (producer.stats.published, producer.stats.failed) == (1, 1)


WRONG_PUBLISHES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"topic": "bad topic!"}, InvalidName, "topic name 'bad topic!' is not valid"),
    ({"topic": b"t"}, InvalidName, "must be a str, not bytes"),
    ({"topic": ["t"]}, InvalidName, "must be a str, not list"),
    ({"body": "text"}, TypeError, r"body must be bytes, not str; encode it, e\.g\. text\.encode\(\)"),
    ({"body": 5}, TypeError, "body must be bytes, not int"),
    ({"body": None}, TypeError, "body must be bytes, not NoneType"),
    ({"body": b""}, PublishError, "the body is empty"),
    ({"body": bytearray()}, PublishError, "the body is empty"),
    ({"body": bytes(101)}, MessageTooBig, "the body has 101 bytes, max_message_size is 100"),
    ({"delay": -1}, ConfigError, "delay = -1 must be seconds, 0 or more"),
    ({"delay": "5"}, ConfigError, "delay = '5' must be seconds"),
    ({"delay": float("nan")}, ConfigError, "delay = nan must be seconds"),
    ({"delay": 10**12}, ConfigError, "delay = 1000000000000 must be seconds"),
    ({"delay": 3600.1}, ConfigError, r"delay = 3600\.1 is more than max_delay = 3600: .* -max-req-timeout"),
]


@pytest.mark.parametrize(("arguments", "kind", "words"), WRONG_PUBLISHES, ids=lambda value: str(value)[:40])
async def test_wrong_publishes_send_nothing(
    fake: ScriptedNsqd, arguments: dict[str, Any], kind: type[Exception], words: str
) -> None:
    async with producer_of(fake, max_message_size=100) as producer:
        await producer.wait_connected(5)
        with pytest.raises(kind, match=words):
            producer.publish_soon(**({"topic": "t", "body": b"x"} | arguments))
        with pytest.raises(kind, match=words):
            await producer.publish(**({"topic": "t", "body": b"x"} | arguments))
        if "delay" not in arguments:
            bodies = [b"fine", arguments.get("body", b"x")]
            with pytest.raises(kind, match=words):
                await producer.publish_many(arguments.get("topic", "t"), bodies)
        await producer.publish("t", b"x")
        assert (await fake.session()).commands == ["IDENTIFY", "PUB t"]
        assert producer.stats.outstanding == 0


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ("127.0.0.1:4150", {}, r"must be a list of addresses, like \['127"),
    ([], {}, "nsqd_tcp_addresses is empty: name at least one nsqd"),
    (None, {}, "nsqd_tcp_addresses = None must be a list"),
    ([], {"lookupd_http_addresses": "127.0.0.1:4161"}, r"must be a list of addresses, like \['127"),
    ([], {"lookupd_http_addresses": ["localhost"]}, "nsqlookupd address 'localhost' has no port"),
    (["127.0.0.1:4150"], {"address_map": {"a:1": "b"}}, "address_map: 'a:1': 'b' must be host:port"),
    (["localhost"], {}, "'localhost' is not of the form host:port"),
    ([("localhost", 4150)], {}, "must be a str"),
    (["127.0.0.1:4150"], {"max_outstandin": 5}, "did you mean max_outstanding"),
    (["127.0.0.1:4150"], {"publish_timeout": 0}, "publish_timeout = 0"),
    (["127.0.0.1:4150"], {"config": ConnectionConfig()}, r"config = .* must be a ProducerConfig"),
]


@pytest.mark.parametrize(("addresses", "options", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_producers(addresses: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Producer(addresses, **options)


async def test_a_topic_nsqd_refuses(fake: ScriptedNsqd) -> None:
    """Whatever the reason: the error is that of nsqd and the producer goes on."""
    fake.answers["PUB"] = error('E_BAD_TOPIC PUB topic name "t" is not valid')
    async with producer_of(fake) as producer:
        with pytest.raises(BadTopic):
            await producer.publish("t", b"x")
        fake.answers["PUB"] = OK
        await producer.publish("t", b"x")
        assert len(fake.sessions) == 2


async def test_a_refusal_is_an_nsq_error_of_the_session_it_came_from(fake: ScriptedNsqd) -> None:
    def refuse(session: Session, line: str) -> bytes:
        return error("E_NEW_AND_UNKNOWN oh") if session is fake.sessions[0] else OK

    fake.answers["PUB"] = refuse
    async with producer_of(fake) as producer:
        with pytest.raises(NSQError, match=f"^{fake.address}: E_NEW_AND_UNKNOWN oh$"):
            await producer.publish("t", b"x")
        await producer.publish("t", b"x")
