"""Which Host headers a server answers to."""

from __future__ import annotations

import pytest

from nsqgw.errors import ConfigError
from nsqgw.service.hosts import AllowedHosts, check_host_name, refusal


@pytest.fixture(autouse=True)
def own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Web1.example.org")


@pytest.mark.parametrize(
    "host",
    [
        None,  # HTTP/1.0, as some probes speak it
        "127.0.0.1",
        "127.0.0.1:8080",
        "192.0.2.7:80",
        "[::1]:8080",
        "[2001:db8::7]",
        "localhost:8080",
        "LocalHost.",
        "web1.example.org:8080",
        "push.example.org",
        "push.example.org:",
        "shop.example",
    ],
)
def test_addresses_and_own_names_are_answered(host: str | None) -> None:
    assert AllowedHosts("push.example.org:8080", ["Shop.example"]).permits(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "2130706433",
        "0x7f.1",
        "web1",
        "xpush.example.org",
        "",
        ":8080",
        "[evil.example]",
        "[::1",
        "localhost:8080, evil.example",
        "evil.example localhost",
        "localhost:http",
        "user@localhost",
    ],
)
def test_all_others_are_not(host: str) -> None:
    assert not AllowedHosts("push.example.org:8080").permits(host)
    assert not AllowedHosts(":8080").permits(host)


def test_a_star_answers_all() -> None:
    assert AllowedHosts("127.0.0.1:8080", ["*"]).permits("evil.example")


def test_the_refusal_names_the_host_and_the_flag() -> None:
    assert refusal("evil.example:80") == (
        "host 'evil.example:80' is none of this server's names; --allow-host adds one"
    )


@pytest.mark.parametrize("name", ["push.example.org", "push", "PUSH.example.org.", "10.0.0.1", "::1", "*"])
def test_names_to_allow(name: str) -> None:
    assert check_host_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "https://a.example", "a.example:80", "a b", "*.example", "a..b", "ä.de"]
)
def test_what_is_no_name_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match="write a name without scheme and port") as caught:
        check_host_name(name)
    assert repr(name) in str(caught.value)
