"""Addresses, durations, sizes and masked URLs as people write them."""

from __future__ import annotations

import pytest

from nsqgw.errors import ConfigError
from nsqgw.service.settings import Address, mask_url, parse_address, parse_duration, parse_size, size_text


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:4150", "127.0.0.1", 4150),
        ("nsqd.example.com:0", "nsqd.example.com", 0),
        (":4150", "", 4150),
        ("[::1]:4150", "::1", 4150),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert address == (host, port)
    assert str(address) == text


@pytest.mark.parametrize("text", ["localhost", "[::1]"])
def test_the_port_may_be_left_out_where_there_is_a_default(text: str) -> None:
    assert parse_address(text, default_port=4150).port == 4150
    with pytest.raises(ConfigError, match="write host:port"):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "host:", "host:nsqd", "host:65536", "host:-1", "::1:4150", "[::1", "[::1]4150", "a b:1",
     "http://host:4150", "host:4150/", "host:٣", "host:4150 "],
)  # fmt: skip
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="is not valid: write") as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


def test_an_address_is_printed_with_brackets_where_they_are_needed() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2.0), ("5m", 300.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("0", 0.0), ("0s", 0.0),
     (".5s", 0.5), ("100us", 1e-4), ("1m0.5s", 60.5)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "5 s", "5d", "1h 30m", "1e3s", "5s!", "٣s"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 500ms, 2s or 5m") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("5MB", 5_000_000), ("256MiB", 268_435_456), ("1kb", 1000), ("1.5KiB", 1536),
     ("2 GB", 2_000_000_000), ("7B", 7)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "5XB", "5MBs", "1e6", "five"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 5MB or 256MiB") as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://logs.example.com", "https://logs.example.com"),
        ("https://logs.example.com/", "https://logs.example.com/"),
        ("https://logs.example.com/in", "https://logs.example.com/***"),
        ("http://[::1]:9428/in", "http://[::1]:9428/***"),
        ("https://me:secret@host:8443/in", "https://***@host:8443/***"),
        ("https://secret@host/in", "https://***@host/***"),
        ("https://me:se@cret@host/", "https://***@host/"),
        ("https://host/in?token=secret&type=x", "https://host/***"),
        ("https://host?secret", "https://host/***"),
        ("https://host#secret", "https://host/***"),
        ("https://host/services/T0SECRET/B0SECRET/secret", "https://host/***"),
        ("https://host/bulk/0a1b2c3d-secret-2222-3333-444455556666/tag/prod/", "https://host/***"),
        ("/elsewhere?secret", "/***"),
        ("", ""),
        # what is no URL is shown no better
        ("https://me:secret/@host/in", "https://me/***"),
        ("https:me:secret@host", "***@host"),
        ("me:secret@host/in", "***@host/***"),
        ("https://me:secret@[::1", "https://***@[::1"),
        ("https://host:secret/", "https://host/***"),
    ],
)
def test_of_a_url_only_scheme_host_and_port_are_shown(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1, "1"),
        (1500, "1500"),
        (2000, "2KB"),
        (5_000_000, "5MB"),
        (4096, "4KiB"),
        (256 << 20, "256MiB"),
    ],
)
def test_a_size_is_shown_as_it_is_written(count: int, text: str) -> None:
    assert size_text(count) == text
    assert parse_size(text) == count
