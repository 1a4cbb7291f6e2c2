"""Addresses of HTTP APIs as people write them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from nsqgw.errors import ConfigError
from nsqgw.http.address import HttpAddress, parse_http_address


def parse(text: Any) -> HttpAddress:
    return parse_http_address(text, "nsqlookupd", "127.0.0.1:4161")


@pytest.mark.parametrize(
    ("text", "scheme", "origin", "connect_to", "path", "query"),
    [
        ("127.0.0.1:4161", "http", "127.0.0.1:4161", "127.0.0.1:4161", "", ""),
        ("lookup.example:4161/", "http", "lookup.example:4161", "lookup.example:4161", "", ""),
        ("http://Lookup.example:4161", "http", "lookup.example:4161", "lookup.example:4161", "", ""),
        ("http://lookup.example", "http", "lookup.example", "lookup.example:80", "", ""),
        ("https://lookup.example", "https", "lookup.example", "lookup.example:443", "", ""),
        ("https://lookup.example/nsq/?dc=1", "https", "lookup.example", "lookup.example:443", "/nsq", "dc=1"),
        ("[::1]:4161", "http", "[::1]:4161", "[::1]:4161", "", ""),
        ("https://[::1]", "https", "[::1]", "[::1]:443", "", ""),
        ("https://bücher.example", "https", "xn--bcher-kva.example", "xn--bcher-kva.example:443", "", ""),
    ],
)
def test_addresses(text: str, scheme: str, origin: str, connect_to: str, path: str, query: str) -> None:
    address = parse(text)
    assert (address.scheme, address.origin, address.host_and_port) == (scheme, origin, connect_to)
    assert (address.path, address.query, address.authorization) == (path, query, None)


@pytest.mark.parametrize("text", ["127.0.0.1:4161", "http://x:1/p?q=1", "[::1]:4161", "https://Example"])
def test_it_is_shown_as_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize("scheme", ["", "http://", "https://"])
def test_user_and_password_become_a_header_and_are_not_shown(scheme: str) -> None:
    address = parse(f"{scheme}us%40er:p%2Fäss@host:4161/path")
    assert address.authorization is not None
    kind, _, encoded = address.authorization.partition(" ")
    assert (kind, base64.b64decode(encoded).decode()) == ("Basic", "us@er:p/äss")
    assert str(address) == f"{scheme}host:4161/path"
    for shown in (str(address), repr(address)):
        assert "us%40er" not in shown
        assert "p%2F" not in shown
        assert encoded not in shown


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "host:", "host:port", "host:0", "host:65536", ":4161", "ftp://host:1", "a b:4161"),
        *("::1:4161", "http://host:0", "http://[::1", "http://", "host:1/a b", "host:1/\n"),
        *("http://ü..example", None, 4161),
    ],
)
def test_what_is_no_address(text: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert "nsqlookupd" in str(raised.value)
    assert "127.0.0.1:4161" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["http://u:secret@host:port", "u:secret@host", "http://u:sec/secret@host:1", "u:secret@ho st:1"]
)
def test_a_wrong_address_is_told_without_its_password(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert "sec" not in str(raised.value)


def test_the_same_over_https() -> None:
    address = parse("u:p@[::1]:4151/nsq").over_https(4152)
    assert (address.scheme, address.origin, address.path) == ("https", "[::1]:4152", "/nsq")
    assert address.authorization is not None
    assert str(address) == "https://[::1]:4152/nsq"
