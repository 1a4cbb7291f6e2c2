"""The settings of the browser gateway, as people see them."""

from __future__ import annotations

import pytest

from gateways.push.config import PushConfig
from nsqgw.errors import ConfigError


def test_a_password_in_a_url_is_not_shown() -> None:
    config = PushConfig(("events",), lookupd_http_addresses=("http://me:secret@directory:4161/eu",))
    assert config.shown()["lookupd_http_addresses"] == ("http://directory:4161/eu",)


def test_a_wrong_nsqlookupd_address_is_named_with_a_right_one() -> None:
    with pytest.raises(ConfigError, match=r"'directory' has no port: .*127\.0\.0\.1:4161"):
        PushConfig(("events",), lookupd_http_addresses=("directory",))


@pytest.mark.parametrize("name", ["topics", "nsqd_tcp_addresses", "allow_origins"])
def test_one_text_in_place_of_several_is_not_taken_apart(name: str) -> None:
    given = {"topics": ("events",), "nsqd_tcp_addresses": ("127.0.0.1:4150",), name: "events"}
    with pytest.raises(ConfigError, match=f"{name} is the text 'events': give several, such as"):
        PushConfig(**given)  # type: ignore[arg-type]
