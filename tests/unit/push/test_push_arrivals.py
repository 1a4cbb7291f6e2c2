"""Counts by address and user, whose address it is behind proxies, and the PROXY protocol."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.push.access import throttle
from gateways.push.access.proxies import TrustedProxies
from gateways.push.access.proxy_protocol import BadProxyHeader, ProxyHeader, read_proxy_header
from gateways.push.access.throttle import ArrivalLimits, Arrivals, address_key
from nsqgw.errors import ConfigError


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", None),
        ("a browser", None),
    ],
)
def test_what_an_address_is_counted_under(address: str, key: str | None) -> None:
    assert address_key(address) == key


def test_connections_of_an_address_are_bounded_and_come_back() -> None:
    arrivals = Arrivals(ArrivalLimits(connections_per_address=2, connect_rate=0))
    assert arrivals.arrive("a", 0) is None
    assert arrivals.arrive("a", 0) is None
    assert "at most 2" in str(arrivals.arrive("a", 0))
    assert arrivals.arrive("b", 0) is None
    arrivals.leave("a")
    assert arrivals.arrive("a", 0) is None
    for key in "aab":
        arrivals.leave(key)
    assert arrivals.sizes == (0, 0, 0)


def test_the_rate_of_an_address() -> None:
    arrivals = Arrivals(ArrivalLimits(connect_rate=2, connect_burst=3))
    results = [arrivals.arrive("a", 10.0) for _ in range(4)]
    assert results[:3] == [None] * 3
    assert "at most 2" in str(results[3])
    assert arrivals.arrive("a", 10.5) is None
    assert arrivals.arrive("a", 10.5) is not None


def test_users() -> None:
    arrivals = Arrivals(ArrivalLimits(connections_per_user=1))
    assert arrivals.add_user("ada")
    assert not arrivals.add_user("ada")
    assert arrivals.add_user("bob")
    arrivals.remove_user("ada")
    assert arrivals.add_user("ada")


def test_the_table_of_rates_has_a_bound_and_empties(monkeypatch) -> None:
    monkeypatch.setattr(throttle, "MAX_BUCKETS", 100)
    arrivals = Arrivals(ArrivalLimits(connect_rate=1, connect_burst=5))
    for number in range(1000):
        arrivals.arrive(str(number), 0.0)
        arrivals.leave(str(number))
    assert arrivals.sizes == (0, 0, 100)
    for _ in range(200):
        arrivals.arrive("x", 100.0)
    assert arrivals.sizes[2] == 1


PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8::1"])


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("1.2.3.4, 203.0.113.5", "203.0.113.5"),  # the first one is what a client made up
        ("203.0.113.5, 10.1.1.1", "203.0.113.5"),
        ("203.0.113.5, 2001:db8::1, 10.1.1.1", "203.0.113.5"),
        ("[2001:db8::5]", "2001:db8::5"),
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.5, evil\t, 10.1.1.1", "10.1.1.1"),
    ],
)
def test_the_client_behind_proxies(forwarded: str, client: str) -> None:
    assert PROXIES.client("10.0.0.1", forwarded) == client


def test_only_those_on_the_list_are_trusted() -> None:
    assert PROXIES.trust("10.9.9.9")
    assert PROXIES.trust("::ffff:10.0.0.1")
    assert PROXIES.trust("2001:db8::1")
    assert not PROXIES.trust("11.0.0.1")
    assert not PROXIES.trust("")
    assert not TrustedProxies(()).trust("10.0.0.1")
    with pytest.raises(ConfigError, match="trusted proxy 'lb' is not valid"):
        TrustedProxies(["lb"])


V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, body: bytes) -> bytes:
    return V2 + struct.pack("!BBH", command, family, len(body)) + body


@pytest.mark.parametrize(
    ("data", "client"),
    [
        (b"PROXY TCP4 203.0.113.5 10.0.0.1 1234 80\r\n", "203.0.113.5"),
        (b"PROXY TCP6 2001:db8::5 ::1 1234 80\r\n", "2001:db8::5"),
        (b"PROXY UNKNOWN\r\n", None),
        (v2(0x21, 0x11, bytes([203, 0, 113, 5, 10, 0, 0, 1, 0, 1, 0, 80])), "203.0.113.5"),
        (v2(0x21, 0x21, ipaddress.ip_address("2001:db8::5").packed + bytes(20) + b"tlv"), "2001:db8::5"),
        (v2(0x20, 0x00, b""), None),
        (v2(0x21, 0x31, bytes(216)), None),
    ],
)
def test_proxy_headers_however_they_are_cut(data: bytes, client: str | None) -> None:
    assert read_proxy_header(data + b"GET /") == ProxyHeader(client, len(data))
    assert all(read_proxy_header(data[:cut]) is None for cut in range(len(data)))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 a b c d\r\n",
        b"PROXY TCP4 999.0.0.1 10.0.0.1 1 2\r\n",
        b"PROXY " + b"x" * 200,
        v2(0x31, 0x11, bytes(12)),
        v2(0x21, 0x11, bytes(4)),
        V2 + struct.pack("!BBH", 0x21, 0x11, 65_535),
    ],
)
def test_what_is_no_proxy_header(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        read_proxy_header(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    try:
        header = read_proxy_header(data)
    except BadProxyHeader:
        return
    assert header is None or 0 < header.length <= len(data)
