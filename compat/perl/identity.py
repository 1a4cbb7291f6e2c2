"""What a connection tells of itself: IDENTIFY as AnyEvent::NSQ writes it, as settings of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nsqgw.config import USER_AGENT, ConnectionConfig
from nsqgw.errors import ConfigError

_AS_THEY_ARE = (
    "client_id",
    "hostname",
    "sample_rate",
    "snappy",
    "deflate",
    "deflate_level",
    "output_buffer_size",
    "topology_region",
    "topology_zone",
)
_IN_MILLISECONDS = ("heartbeat_interval", "output_buffer_timeout", "msg_timeout")
_OTHER_NAMES = {"short_id": "client_id", "long_id": "hostname", "tls_v1": "tls"}


def settings_from(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Keys and values of IDENTIFY, times in milliseconds, as fields of ConnectionConfig.

    Those that are None are left to their defaults. ConfigError for a key there is none of.
    """
    settings: dict[str, Any] = {}
    for key, value in pairs.items():
        if value is None or key == "feature_negotiation":
            continue
        name = _OTHER_NAMES.get(key, key)
        if name in _IN_MILLISECONDS:
            settings[name] = value / 1000 if value > 0 else value
        elif name == "user_agent":
            settings[name] = user_agent(value)
        elif name in _AS_THEY_ARE or key in _OTHER_NAMES:
            settings[name] = value
        else:
            raise ConfigError(f"{key} = {value!r} is nothing that IDENTIFY can say here")
    return settings


def user_agent(text: str) -> str:
    """A text that ends in a space gets the library's own behind it; an empty one is replaced by that."""
    return text + USER_AGENT if not text or text.endswith(" ") else text


def configuration(pairs: Mapping[str, Any], connect_timeout: float | None) -> ConnectionConfig:
    """The settings of a connection that identifies itself so; ConfigError where one is out of range."""
    settings = settings_from(pairs)
    if connect_timeout is not None:
        settings["connect_timeout"] = connect_timeout
    return ConnectionConfig(**settings)
