"""Where the shared history is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from gateways.service.values import Seconds
from nsqgw.errors import ConfigError

_SCHEMES = ("redis", "rediss", "unix")
SHARED_CHANNEL = "push"
"""The channel of NSQ that all processes consume together, unless another one is set."""


@dataclass(frozen=True)
class SharedSettings:
    """The history in Redis, which all gateway processes write and deliver from.

    url       redis://, rediss:// (TLS) or unix://, with user, password and database; empty for none
    prefix    of the keys
    timeout   seconds for each question to Redis
    remember  seconds for which a message that nsqd delivers again is known
    """

    url: str = ""
    prefix: Annotated[str, Field(min_length=1)] = "nsqgw"
    timeout: Seconds = 5.0
    remember: Seconds = 300.0

    def __post_init__(self) -> None:
        if self.url and urlsplit(self.url).scheme not in _SCHEMES:
            raise ConfigError(
                f"{self.shown_url!r} is no address of Redis: write one such as redis://127.0.0.1:6379/0"
            )

    @property
    def shown_url(self) -> str:
        """The address without the password."""
        user, at, rest = self.url.rpartition("@")
        return self.url if not at else f"{user.partition('://')[0]}://...@{rest}"
