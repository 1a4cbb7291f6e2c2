"""Addresses as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from nsqgw.connection.address import TcpAddress, UnixAddress, parse_address
from nsqgw.errors import ConfigError

GOOD = {
    "127.0.0.1:4150": TcpAddress("127.0.0.1", 4150),
    "nsqd.example:1": TcpAddress("nsqd.example", 1),
    "localhost:65535": TcpAddress("localhost", 65535),
    "[::1]:4150": TcpAddress("::1", 4150),
    "[fe80::1%eth0]:4150": TcpAddress("fe80::1%eth0", 4150),
    "/run/nsqd.sock": UnixAddress("/run/nsqd.sock"),
    "./nsqd:1.sock": UnixAddress("./nsqd:1.sock"),
}
WRONG: list[tuple[Any, str]] = [
    ("", "host:port"),
    ("4150", "host:port"),
    ("localhost", "host:port"),
    ("localhost:", "host:port"),
    (":4150", "host:port"),
    ("localhost:0", "host:port"),
    ("localhost:65536", "host:port"),
    ("localhost:-1", "host:port"),
    ("localhost:٣", "host:port"),
    ("localhost:" + "9" * 5000, "host:port"),
    ("localhost:nsq", "host:port"),
    ("[]:4150", "host:port"),
    ("::1:4150", r"brackets, for example \[::1\]:4150"),
    ("http://127.0.0.1:4150", "leave out 'http://'"),
    ("tcp://127.0.0.1:4150", "leave out 'tcp://'"),
    ("http://127.0.0.1:4150/", "leave out 'http://'"),
    ("a\x00b:4150", "host:port"),
    ("/run/\x00", "host:port"),
    ("a b:4150", "host:port"),
    (" localhost:4150", "host:port"),
    (4150, "must be a str"),
    (None, "must be a str"),
    (b"127.0.0.1:4150", "must be a str"),
]


@pytest.mark.parametrize("text", GOOD)
def test_good_addresses(text: str) -> None:
    assert parse_address(text) == GOOD[text]


@pytest.mark.parametrize(("text", "remedy"), WRONG, ids=lambda value: str(value)[:25])
def test_wrong_addresses_are_named_with_the_remedy(text: Any, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy) as caught:
        parse_address(text)
    assert repr(text)[:20] in str(caught.value)
