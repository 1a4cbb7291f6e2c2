"""IDENTIFY, heartbeats and the first bytes of a connection (nsqd-tcp sections 1, 3, 5 and 7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.daemons import Daemon
from harness.http import stats
from harness.wire import HEARTBEAT, Wire, sized

KEYS = {
    "max_rdy_count": int,
    "version": str,
    "max_msg_timeout": int,
    "msg_timeout": int,
    "tls_v1": bool,
    "deflate": bool,
    "deflate_level": int,
    "max_deflate_level": int,
    "snappy": bool,
    "sample_rate": int,
    "auth_required": bool,
    "output_buffer_size": int,
    "output_buffer_timeout": int,
}
NEWER = {"topology_region": str, "topology_zone": str}  # came after 1.3.0; ours sends them too

ACCEPTED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"msg_timeout": 60000, "output_buffer_size": 16384, "output_buffer_timeout": 250}),
    ({"heartbeat_interval": 1000}, {}),
    ({"heartbeat_interval": 60000}, {}),
    ({"heartbeat_interval": -1}, {}),
    ({"output_buffer_size": 64}, {"output_buffer_size": 64}),
    ({"output_buffer_size": 65536}, {"output_buffer_size": 65536}),
    ({"output_buffer_size": -1}, {"output_buffer_size": 1, "output_buffer_timeout": 0}),
    ({"output_buffer_timeout": 25}, {"output_buffer_timeout": 25}),
    ({"output_buffer_timeout": 30000}, {"output_buffer_timeout": 30000}),
    ({"output_buffer_timeout": -1}, {"output_buffer_timeout": 0}),
    ({"sample_rate": 99}, {"sample_rate": 99}),
    ({"msg_timeout": 1000}, {"msg_timeout": 1000}),
    ({"msg_timeout": 900000}, {"msg_timeout": 900000}),
    ({"msg_timeout": 0, "sample_rate": 0, "heartbeat_interval": 0}, {"msg_timeout": 60000, "sample_rate": 0}),
    ({"tls_v1": True}, {"tls_v1": False}),
    ({"deflate_level": 3}, {"deflate": False}),
    ({"MSG_Timeout": 2000, "sample_rate": None}, {"msg_timeout": 2000, "sample_rate": 0}),
    ({"short_id": "h", "long_id": "h.example", "extra": [1, {"x": 2}]}, {"msg_timeout": 60000}),
]


def test_c_tcp_2_magic_alone_is_not_answered(wire: Wire) -> None:
    assert wire.is_silent(0.2)


def test_c_tcp_3_ok_to_the_byte(wire: Wire, topic: str) -> None:
    wire.send(f"SUB {topic} ch\n".encode())
    assert wire.exactly(10) == bytes.fromhex("00000006000000004F4B")


def test_c_tcp_6_carriage_return_is_taken_off(wire: Wire, topic: str) -> None:
    wire.ok(f"SUB {topic} ch\r".encode())


def test_surplus_parameters_are_ignored(wire: Wire, topic: str) -> None:
    wire.ok(f"SUB {topic} ch surplus".encode())


@pytest.mark.parametrize("document", [{}, {"tls_v1": True, "snappy": True}, {"feature_negotiation": False}])
def test_c_tcp_9_without_negotiation_the_answer_is_ok(
    wire: Wire, topic: str, document: dict[str, Any]
) -> None:
    assert wire.identify(**document).data == b"OK"
    wire.ok(b"PUB " + topic.encode(), b"in the clear")


def test_identify_null_is_an_empty_document(wire: Wire) -> None:
    wire.ok(b"IDENTIFY", b"null")


def test_c_tcp_10_negotiation_answers_all_keys_in_order(wire: Wire) -> None:
    answer = wire.negotiate()
    types = {key: type(value) for key, value in answer.items()}
    assert list(types.items())[: len(KEYS)] == list(KEYS.items())
    assert list(types.items())[len(KEYS) :] in ([], list(NEWER.items()))
    assert answer["max_rdy_count"] == 2500
    assert answer["version"] == "1.3.0"
    assert answer["max_msg_timeout"] == 900000
    assert answer["max_deflate_level"] == answer["deflate_level"] == 6
    assert not answer["auth_required"]


@pytest.mark.parametrize(("asked", "granted"), ACCEPTED, ids="-".join)
def test_c_tcp_11_13_14_15_16_58_accepted_values(
    wire: Wire, asked: dict[str, Any], granted: dict[str, Any]
) -> None:
    answer = wire.negotiate(**asked)
    assert {key: answer[key] for key in granted} == granted


def test_identify_may_come_twice_before_sub(wire: Wire, topic: str) -> None:
    wire.negotiate(client_id="first")
    wire.negotiate(client_id="second")
    wire.subscribe(topic, "ch")


def test_publishing_works_with_heartbeats_off(wire: Wire, topic: str) -> None:
    wire.identify(heartbeat_interval=-1)
    wire.ok(b"PUB " + topic.encode(), b"x")


def test_identify_shows_in_stats(broker: Daemon, wire: Wire, topic: str) -> None:
    wire.negotiate(client_id="me", hostname="host.example", user_agent="scene/1", sample_rate=50)
    wire.subscribe(topic, "ch", rdy=7)
    wire.ok(b"PUB " + topic.encode(), b"x")
    (client,) = stats(broker.http_address, f"&topic={topic}")["topics"][0]["channels"][0]["clients"]
    expected = {"client_id": "me", "hostname": "host.example", "user_agent": "scene/1", "sample_rate": 50}
    assert expected.items() <= client.items()
    assert client["ready_count"] == 7


def test_without_identify_stats_show_the_address(broker: Daemon, wire: Wire, topic: str) -> None:
    wire.subscribe(topic, "ch")
    (client,) = stats(broker.http_address, f"&topic={topic}")["topics"][0]["channels"][0]["clients"]
    assert (client["client_id"], client["hostname"], client["user_agent"]) == ("127.0.0.1", "127.0.0.1", "")


def test_c_tcp_41_silence_is_closed_after_two_heartbeats_and_nop_keeps(connect: Callable[..., Wire]) -> None:
    silent, alive = connect(), connect()
    for wire in (silent, alive):
        wire.identify(heartbeat_interval=1000)
    began = time.monotonic()
    assert silent.frame(heartbeats=True) == HEARTBEAT
    assert alive.frame(heartbeats=True) == HEARTBEAT
    alive.send(b"NOP\n")
    # The second heartbeat and the deadline of two intervals fall together, so either may come first.
    assert silent.remainder() in (b"", b"\0\0\0\x0f\0\0\0\0_heartbeat_")
    assert time.monotonic() - began >= 1.5
    for _ in range(2):
        assert alive.frame(heartbeats=True) == HEARTBEAT
        alive.send(b"NOP\n")


def test_c_tcp_42_heartbeats_reach_who_never_subscribed(connect: Callable[..., Wire]) -> None:
    wire = connect()
    wire.identify(heartbeat_interval=1000)
    assert wire.frame(heartbeats=True) == HEARTBEAT


def test_pipelined_identify_body_and_next_command(wire: Wire, topic: str) -> None:
    """Without an upgrade nothing is lost when commands follow IDENTIFY in the same packet."""
    wire.send(b"IDENTIFY\n" + sized(b"{}") + f"PUB {topic}\n".encode() + sized(b"x"))
    assert [wire.frame().data for _ in range(2)] == [b"OK", b"OK"]


def test_unknown_keys_may_have_any_number(wire: Wire) -> None:
    document = b'{"unknown":%s}' % (b"1" * 5000)
    assert wire.ask(b"IDENTIFY", document).data == b"OK"
