"""Every limit of nsqd's flags, lowered: what is told of it, and the error beyond (nsqd-behaviour 7)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.daemons import Daemon, nsqd_of
from harness.http import get, post
from harness.wire import ERROR, Wire, mpub_body

LIMITS: dict[str, Any] = {
    "max_rdy_count": 5,
    "max_msg_size": 10,
    "max_body_size": 400,
    "msg_timeout": 1.5,
    "max_msg_timeout": 2.0,
    "max_req_timeout": 3.0,
    "max_heartbeat_interval": 4.0,
    "max_output_buffer_size": 100,
    "min_output_buffer_timeout": 0.05,
    "output_buffer_timeout": 0.2,
    "max_output_buffer_timeout": 1.0,
    "max_deflate_level": 3,
    "max_channel_consumers": 1,
}


@pytest.fixture(scope="module")
def limited(kind: str) -> Iterator[Daemon]:
    daemon = nsqd_of(kind)(**LIMITS)
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def client(limited: Daemon) -> Iterator[Wire]:
    with Wire(limited.tcp_address) as wire:
        yield wire


def test_identify_tells_of_them(client: Wire) -> None:
    answer = client.negotiate(deflate_level=9, deflate=True)
    told = {
        key: answer[key] for key in ("max_rdy_count", "max_msg_timeout", "msg_timeout", "max_deflate_level")
    }
    assert told == {"max_rdy_count": 5, "max_msg_timeout": 2000, "msg_timeout": 1500, "max_deflate_level": 3}
    assert (answer["deflate_level"], answer["output_buffer_timeout"]) == (3, 200)


def test_info_tells_of_them(limited: Daemon) -> None:
    info = get(limited.http_address, "/info").json
    assert info["max_heartbeat_interval"] == 4_000_000_000
    assert info["max_output_buffer_size"] == 100
    assert info["max_output_buffer_timeout"] == 1_000_000_000
    assert info["max_deflate_level"] == 3


@pytest.mark.parametrize(
    ("key", "allowed", "beyond", "words"),
    [
        ("heartbeat_interval", 4000, 4001, "heartbeat interval (4001)"),
        ("msg_timeout", 2000, 2001, "msg timeout (2001)"),
        ("output_buffer_size", 100, 101, "output buffer size (101)"),
        ("output_buffer_timeout", 1000, 1001, "output buffer timeout (1001)"),
        ("output_buffer_timeout", 50, 49, "output buffer timeout (49)"),
    ],
)
def test_what_identify_may_ask_for(client: Wire, key: str, allowed: int, beyond: int, words: str) -> None:
    assert client.negotiate(**{key: allowed})
    assert client.identify(**{key: beyond}) == (ERROR, f"E_BAD_BODY IDENTIFY {words} is invalid".encode())


def test_max_rdy_count(client: Wire) -> None:
    client.ok(b"SUB rdy ch")
    client.send(b"RDY 5\n")
    assert client.ask(b"RDY 6") == (ERROR, b"E_INVALID RDY count 6 out of range 0-5")


@pytest.mark.parametrize("command", ["PUB", "DPUB"])
def test_max_msg_size(client: Wire, command: str) -> None:
    line = f"{command} t{' 0' if command == 'DPUB' else ''}".encode()
    client.ok(line, b"x" * 10)
    client.send(line + b"\n\0\0\0\x0b")
    assert client.error() == f"E_BAD_MESSAGE {command} message too big 11 > 10"


def test_max_msg_size_in_a_batch(client: Wire) -> None:
    client.send(b"MPUB t\n" + mpub_body(b"x" * 10, b"x" * 11))
    assert client.error() == "E_BAD_MESSAGE MPUB message too big 11 > 10"


@pytest.mark.parametrize("command", ["MPUB t", "IDENTIFY", "AUTH"])
def test_max_body_size(client: Wire, command: str) -> None:
    client.send(command.encode() + b"\n\0\0\x01\x91")
    assert client.error() == f"E_BAD_BODY {command.split()[0]} body too big 401 > 400"


def test_max_body_size_bounds_the_count_of_a_batch(client: Wire) -> None:
    client.send(b"MPUB t\n\0\0\0\x40\0\0\0\x50")
    assert client.error() == "E_BAD_BODY MPUB invalid message count 80"


def test_the_limits_hold_for_http(limited: Daemon) -> None:
    assert post(limited.http_address, "/pub?topic=t", b"x" * 10).status == 200
    assert post(limited.http_address, "/pub?topic=t", b"x" * 11).status == 413
    assert post(limited.http_address, "/mpub?topic=t", b"x\n" * 201).message == "BODY_TOO_BIG"
    assert post(limited.http_address, "/pub?topic=t&defer=3000", b"x").status == 200
    assert post(limited.http_address, "/pub?topic=t&defer=3001", b"x").message == "INVALID_DEFER"


def test_max_req_timeout(client: Wire) -> None:
    client.ok(b"DPUB t 3000", b"x")
    assert client.ask(b"DPUB t 3001", b"x") == (ERROR, b"E_INVALID DPUB timeout 3001 out of range 0-3000")


def test_c_tcp_54_max_channel_consumers(client: Wire, limited: Daemon) -> None:
    client.ok(b"SUB one ch")
    with Wire(limited.tcp_address) as other:
        assert other.ask(b"SUB one ch") == (
            ERROR,
            b"E_SUB_FAILED SUB failed consumers for one:ch exceeds limit of 1",
        )


def test_config_tells_of_them(limited: Daemon) -> None:
    for name, value in LIMITS.items():
        told = json.loads(get(limited.http_address, f"/config/{name}").body)
        assert told == (round(value * 1e9) if isinstance(value, float) else value), name


def test_a_limit_may_be_below_what_is_the_default(start_nsqd: Callable[..., Daemon]) -> None:
    """A default is not checked against its own limit; only what a client asks for is."""
    with Wire(start_nsqd(msg_timeout=5.0, max_msg_timeout=2.0).tcp_address) as wire:
        assert wire.negotiate()["msg_timeout"] == 5000
