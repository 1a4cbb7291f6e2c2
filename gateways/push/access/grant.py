"""What somebody may do: rights, on channels named exactly or by a prefix, for a time.

A grant comes from a token, a signed URL or the user's own backend; without any of these there are two fixed
ones. `denial` is the one question everything that serves a channel asks. No socket and no clock in here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from nsqgw.errors import ConfigError

PATTERN_END = "*"
MAX_CHANNELS = 1000
"""Names and prefixes of one grant."""


class Right(Enum):
    """What may be done with a channel."""

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    PRESENCE = "presence"


class Denial(Enum):
    """Why something is not done, in words for the client."""

    NO_GRANT = "a token is needed here"
    NOT_ALLOWED = "the token does not allow it"
    EXPIRED = "the token is expired"

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status that says it."""
        return HTTPStatus.FORBIDDEN if self is Denial.NOT_ALLOWED else HTTPStatus.UNAUTHORIZED


@dataclass(frozen=True)
class Channels:
    """Names of channels, and prefixes of names."""

    exact: frozenset[str]
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Channels:
        """From `orders` (that channel) and `orders.*` (all that begin so); ConfigError for anything else."""
        names = tuple(entries)
        if len(names) > MAX_CHANNELS:
            raise ConfigError(
                f"{len(names)} channels are named: at most {MAX_CHANNELS}, use a prefix such as a.*"
            )
        for name in names:
            if not name or PATTERN_END in name[:-1]:
                raise ConfigError(
                    f"channel {name!r} is not valid: write a name, or a prefix and * at its end"
                )
        return cls(
            frozenset(name for name in names if not name.endswith(PATTERN_END)),
            tuple(name[:-1] for name in names if name.endswith(PATTERN_END)),
        )

    def cover(self, name: str) -> bool:
        """Whether all that `name` stands for, which may be a pattern such as `a.*`, is among these."""
        if name in self.exact:
            return True
        return name.removesuffix(PATTERN_END).startswith(self.prefixes)


EVERY_CHANNEL = Channels(frozenset(), ("",))


@dataclass(frozen=True)
class Grant:
    """`rights` on `channels` until `expires`, a time since the epoch in seconds; None is for ever."""

    channels: Channels
    rights: frozenset[Right]
    user: str | None = None
    expires: float | None = None
    info: object = None

    def permits(self, right: Right, channel: str) -> bool:
        """Whether `right` goes for `channel`, or for all that match it where it is a pattern."""
        return right in self.rights and self.channels.cover(channel)


UNRESTRICTED = Grant(EVERY_CHANNEL, frozenset(Right))
"""For everybody who reaches a gateway that asks for no token."""
ANONYMOUS = Grant(EVERY_CHANNEL, frozenset({Right.SUBSCRIBE}))
"""For those without a token where one is not needed."""


class Visitor:
    """One connection as access sees it: where it comes from, what it may do, when that has to be looked at.

    Times are the event loop's. `due` is when the connection's session has something to do about its grant.
    """

    __slots__ = ("address", "due", "expires_at", "grant", "secure", "user")

    def __init__(self, grant: Grant | None = None) -> None:
        self.grant = grant
        self.address: str | None = None
        """The key it is counted under, None while it is not counted."""
        self.user: str | None = None
        """The user it is counted for."""
        self.secure = False
        """Whether it came by TLS, to us or to a proxy that is trusted."""
        self.expires_at = math.inf
        self.due = math.inf


def denial(visitor: Visitor, right: Right, channel: str, now: float) -> Denial | None:
    """Why `visitor` may not have `channel`, None when it may; every way to a channel asks this."""
    grant = visitor.grant
    if grant is None:
        return Denial.NO_GRANT
    if now >= visitor.expires_at:
        return Denial.EXPIRED
    return None if grant.permits(right, channel) else Denial.NOT_ALLOWED
