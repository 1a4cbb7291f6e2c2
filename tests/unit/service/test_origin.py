"""Which pages may connect."""

from __future__ import annotations

import pytest

from nsqgw.errors import ConfigError
from nsqgw.service.origin import OriginPolicy


@pytest.mark.parametrize(
    ("origin", "host", "permitted"),
    [
        (None, "localhost:8080", True),
        ("http://localhost:8080", "localhost:8080", True),
        ("https://example.org", "example.org", True),  # TLS ends at a proxy before us
        ("https://example.org:443", "example.org", True),
        ("http://EXAMPLE.org", "example.ORG", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://localhost:8081", "localhost:8080", False),
        ("http://evil.example", "localhost:8080", False),
        ("http://localhost:8080.evil.example", "localhost:8080", False),
        ("http://localhost:8080@evil.example", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("file://", "localhost:8080", False),
        ("", "", False),
        ("http://a:b", "a:b", False),
    ],
)
def test_by_default_only_the_own_host(origin: str | None, host: str, permitted: bool) -> None:
    assert OriginPolicy().permits(origin, host) is permitted


def test_listed_origins_may_too() -> None:
    policy = OriginPolicy(["https://shop.example", "http://localhost:3000"])
    assert policy.permits("https://shop.example", "push.example")
    assert policy.permits("https://push.example", "push.example")
    assert policy.permits("http://localhost:3000", "push.example")
    assert not policy.permits("http://shop.example", "push.example")
    assert not policy.permits("https://shop.example:444", "push.example")


def test_a_star_allows_all() -> None:
    assert OriginPolicy(["*"]).permits("null", "push.example")


@pytest.mark.parametrize("entry", ["example.org", "https://", "ftp://a", "https://a/b", "https://a:x", ""])
def test_a_malformed_entry_is_named(entry: str) -> None:
    with pytest.raises(ConfigError, match="allowed origin"):
        OriginPolicy([entry])
