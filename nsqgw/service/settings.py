"""Addresses, durations, sizes and secrets as people write them in flags and files.

Each parser returns a plain value and raises ConfigError, whose text names the value and shows a right one.
Go's spellings are understood, since nsqd's flags and files use them: ":4150", "1h30m", "250ms".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nsqgw.errors import ConfigError

MASK = "***"

_MAX_PORT = 65535
_NO_HOST = re.compile(r"[\s/]")

_DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+", re.ASCII)

_SIZE_UNITS = {"": 1, "b": 1}
_SIZE_UNITS |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)}
_SIZE_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", re.ASCII)

_URL = re.compile(
    r"(?P<start>(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//|)"
    r"(?:(?P<user>[^/?#]*)@)?"
    r"(?P<host>(?:\[[^\]/?#]*\]?|[^:/?#]*)(?::[0-9]*(?=[/?#]|$))?)"
    r"(?P<rest>.*)",
    re.DOTALL,
)


class Address(NamedTuple):
    """A TCP address; host "" means every interface, port 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str, *, default_port: int | None = None) -> Address:
    """`host:port`, `[::1]:port` or `:port` as an Address; `host` alone when there is a `default_port`."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigError(f"address {text!r} is not valid: write [IPv6]:port, such as [::1]:4150")
        port_text = rest[1:]
    else:
        host, _, port_text = text.rpartition(":") if ":" in text else (text, "", "")
        if ":" in host and "/" not in text:
            raise ConfigError(f"address {text!r} is not valid: write [IPv6]:port, such as [::1]:4150")
    if not port_text and default_port is not None and host:
        return Address(host, default_port)
    is_port = port_text.isascii() and port_text.isdigit() and int(port_text) <= _MAX_PORT
    if not is_port or _NO_HOST.search(host):
        raise ConfigError(f"address {text!r} is not valid: write host:port, such as 127.0.0.1:4150")
    return Address(host, int(port_text))


def parse_duration(text: str) -> float:
    """A duration such as `500ms`, `2s`, `5m` or `1h30m`, in seconds."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ConfigError(
            f"duration {text!r} is not valid: write a number with a unit, such as 500ms, 2s or 5m"
        )
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_size(text: str) -> int:
    """A size such as `5MB` (powers of 1000), `256MiB` (powers of 1024) or `4096`, in bytes."""
    match = _SIZE.fullmatch(text.strip())
    factor = _SIZE_UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ConfigError(
            f"size {text!r} is not valid: write bytes or a number with a unit, such as 5MB or 256MiB"
        )
    return int(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor


def size_text(count: int) -> str:
    """The size as `parse_size` reads it, in the largest unit that it is a whole number of."""
    units = [(name, factor) for name, factor in _SIZE_UNITS.items() if count and count % factor == 0]
    name, factor = max(units, key=lambda unit: unit[1], default=("", 1))
    return f"{count // factor}{name.upper().replace('I', 'i')}" if factor > 1 else str(count)


def mask_url(url: str) -> str:
    """What of `url` is fit for logs: scheme, host and port; the rest is where credentials and tokens stand.

    Takes any text, since mistyped URLs contain secrets, too.
    """
    match = _URL.fullmatch(url)
    assert match is not None, "the pattern takes everything"
    user = f"{MASK}@" if match["user"] is not None else ""
    rest = match["rest"] if match["rest"] in ("", "/") else f"/{MASK}"
    return f"{match['start']}{user}{match['host']}{rest}"
