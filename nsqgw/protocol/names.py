"""Topic and channel names (nsqd-tcp section 4): one rule for both, and for both sides of the wire."""

from __future__ import annotations

import re

from nsqgw.errors import InvalidName

MAX_NAME_LENGTH = 64
EPHEMERAL_SUFFIX = "#ephemeral"

_NAME = re.compile(r"[.a-zA-Z0-9_-]+(#ephemeral)?", re.ASCII)


def is_valid_name(name: str) -> bool:
    """Whether nsqd takes `name` as a topic or channel: 1 to 64 of [.a-zA-Z0-9_-], maybe `#ephemeral`."""
    return len(name) <= MAX_NAME_LENGTH and _NAME.fullmatch(name) is not None


def is_ephemeral(name: str) -> bool:
    """Whether a topic or channel of this name vanishes with its last user."""
    return name.endswith(EPHEMERAL_SUFFIX)


def check_topic(name: str) -> str:
    """`name` itself, or InvalidName when nsqd would refuse it."""
    return _check("topic", name)


def check_channel(name: str) -> str:
    """`name` itself, or InvalidName when nsqd would refuse it."""
    return _check("channel", name)


def _check(kind: str, name: str) -> str:
    if not isinstance(name, str):
        raise InvalidName(f"{kind} name must be a str, not {type(name).__name__}: {name!r}")
    if not is_valid_name(name):
        raise InvalidName(
            f"{kind} name {name!r} is not valid: 1 to {MAX_NAME_LENGTH} letters, digits, '.', '_' or '-', "
            f"optionally ending in {EPHEMERAL_SUFFIX!r}"
        )
    return name
