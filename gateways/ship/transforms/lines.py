"""Lines of text into fields by a form that the settings describe: regex, CSV, pairs, access logs.

Values stay text: a number that stands in a line may be a number or a name, and the line does not say which.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

from gateways.ship.transforms.decoders import Undecodable, decode_text
from gateways.ship.transforms.patterns import compile_pattern
from nsqgw.errors import ConfigError

Decoder = Callable[[bytes], dict[str, Any]]

ACCESS_LOG = (
    r"^(?P<remote_addr>\S+) (?P<ident>\S+) (?P<remote_user>\S+) \[(?P<time_local>[^\]]+)\]"
    r' "(?:(?P<method>[A-Z]+) (?P<target>\S+)(?: (?P<protocol>HTTP/[\d.]+))?|(?P<request>(?:[^"\\]|\\.)*))"'
    r" (?P<status>\d{3}) (?P<bytes_sent>\d+|-)"
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<user_agent>(?:[^"\\]|\\.)*)")?'
)
"""`common` and `combined` of Apache and nginx; what stands behind them is left alone."""


def pattern_decoder(pattern: str, what: str = "pattern") -> Decoder:
    """The named groups of the first match, those that matched. Raises ConfigError for one without names."""
    compiled = compile_pattern(pattern)
    names = sorted(compiled.groupindex, key=compiled.groupindex.get)
    if not names:
        raise ConfigError(f"pattern {pattern!r} names no group: write (?P<name>...) for what makes a field")

    def decode(body: bytes) -> dict[str, Any]:
        match = compiled.search(decode_text(body).rstrip("\r\n"))
        if match is None:
            raise Undecodable(f"the {what} is not found in it")
        return {name: match[name] for name in names if match[name] is not None}

    return decode


def access_log_decoder() -> Decoder:
    """Lines of Apache's and nginx's access logs; a `-` stands for nothing and makes no field."""
    decode = pattern_decoder(ACCESS_LOG, "form of an access log")
    return lambda body: {name: value for name, value in decode(body).items() if value != "-"}


def csv_decoder(columns: tuple[str, ...], separator: str) -> Decoder:
    """One record of CSV (RFC 4180) with these columns."""

    def decode(body: bytes) -> dict[str, Any]:
        try:
            records = list(
                csv.reader(decode_text(body).splitlines(keepends=True), delimiter=separator, strict=True)
            )
        except csv.Error as error:
            raise Undecodable(f"no CSV: {error}") from None
        if len(records) != 1 or len(records[0]) != len(columns):
            found = f"{len(records[0])} values" if len(records) == 1 else f"{len(records)} records"
            raise Undecodable(f"no CSV as configured: {found} in place of one record of {len(columns)}")
        return dict(zip(columns, records[0], strict=True))

    return decode


def pairs_decoder(separator: str, between: str) -> Decoder:
    """`a=1; b=2`: `between` a name and its value, `separator` between pairs; space around is left out."""

    def decode(body: bytes) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for pair in decode_text(body).split(separator):
            name, found, value = pair.partition(between)
            if found and name.strip():
                fields[name.strip()] = value.strip()
            elif pair.strip():
                raise Undecodable(f"no pairs: {pair.strip()[:40]!r} has no {between!r} behind a name")
        if not fields:
            raise Undecodable("no pairs: there is nothing in it")
        return fields

    return decode
