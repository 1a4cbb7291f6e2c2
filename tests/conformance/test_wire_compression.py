"""Deflate and snappy on the wire (nsqd-tcp 5.3): the answer in the clear, then everything compressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.encrypted import CODECS, Layered
from harness.wire import MESSAGE, RESPONSE, Wire


@pytest.mark.parametrize("name", CODECS)
def test_c_tcp_43_44_upgrade_and_traffic(connect: Callable[..., Wire], topic: str, name: str) -> None:
    wire = connect()
    answer = wire.negotiate(**{name: True}, output_buffer_timeout=25)
    assert (answer["deflate"], answer["snappy"]) == (name == "deflate", name == "snappy")
    stream = Layered(wire)
    stream.start_compression(CODECS[name]())
    assert stream.frame() == (RESPONSE, b"OK")
    bodies = [b"x", b"y" * 100_000]
    for body in bodies:
        assert stream.ask(f"PUB {topic}".encode(), body) == (RESPONSE, b"OK")
    stream.send(f"SUB {topic} ch\nRDY 2\n".encode())
    assert stream.frame() == (RESPONSE, b"OK")
    frames = [stream.frame() for _ in bodies]
    assert [kind for kind, _ in frames] == [MESSAGE, MESSAGE]
    assert sorted(data[26:] for _, data in frames) == bodies


def test_what_is_not_allowed_is_not_granted(start_nsqd: Callable[..., Any]) -> None:
    daemon = start_nsqd(deflate=False, snappy=False)
    with Wire(daemon.tcp_address) as wire:
        answer = wire.negotiate(deflate=True)
        assert (answer["deflate"], answer["snappy"]) == (False, False)
        wire.ok(b"PUB t", b"in the clear")


def test_deflate_level_is_clamped(start_nsqd: Callable[..., Any]) -> None:
    daemon = start_nsqd(max_deflate_level=4)
    with Wire(daemon.tcp_address) as wire:
        answer = wire.negotiate(deflate=True, deflate_level=9)
        assert (answer["deflate_level"], answer["max_deflate_level"]) == (4, 4)
