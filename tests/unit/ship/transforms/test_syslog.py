"""Syslog of both kinds: the examples of the RFCs and what senders really write, into fields."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.ship.transforms.decoders import Undecodable
from gateways.ship.transforms.syslog import decode_syslog
from harness.transforming import TIMESTAMP

NEW = "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' failed"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            NEW,
            {
                "facility": "auth", "severity": "crit", "timestamp": "2003-10-11T22:14:15.003Z",
                "hostname": "mymachine.example.com", "appname": "su", "msgid": "ID47",
                "message": "'su root' failed",
            },
        ),
        (
            '<165>1 2003-08-24T05:14:15.000003-07:00 10.0.0.1 a 8710 - [a@1 x="1" y="q\\"\\]\\\\z"][b@2] [t]',
            {
                "facility": "local4", "severity": "notice", "timestamp": "2003-08-24T05:14:15.000003-07:00",
                "hostname": "10.0.0.1", "appname": "a", "procid": "8710",
                "structured_data": {"a@1": {"x": "1", "y": 'q"]\\z'}, "b@2": {}}, "message": "[t]",
            },
        ),
        ("<0>1 - - - - - -", {"facility": "kern", "severity": "emerg", "message": ""}),
        (
            "<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed\n",
            {
                "facility": "auth", "severity": "crit", "timestamp": "2025-10-11T22:14:15",
                "hostname": "mymachine", "appname": "su", "procid": "12", "message": "'su root' failed",
            },
        ),
        (
            "<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
            {
                "facility": "user", "severity": "notice", "timestamp": "2026-02-05T17:32:18",
                "hostname": "10.0.0.99", "message": "Use the BFG!",
            },
        ),
    ],
)  # fmt: skip
def test_messages(line: str, found: dict[str, Any]) -> None:
    assert decode_syslog(line.encode(), TIMESTAMP) == found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no priority",
        "<192>1 - - - - - -",
        "<1>1 - - - -",
        "<1>1 yesterday - - - - -",
        "<1>1 - - - - - broken",
        '<1>1 - - - - - [a x="1]',
        '<1>1 - - - - - [a x="1"]tail',
        "<1>1 - - - - - []",
        "<34>Foo 11 22:14:15 host m",
        "<34>Feb 30 22:14:15 host m",
        "<34>Oct 11 25:14:15 host m",
        "<34>text",
    ],
)
def test_what_is_no_syslog(line: str) -> None:
    with pytest.raises(Undecodable, match="no syslog"):
        decode_syslog(line.encode(), TIMESTAMP)


def test_a_leap_day_takes_a_year_that_has_it() -> None:
    leap = 1_709_200_000_000_000_000  # 2024-02-29
    assert decode_syslog(b"<1>Feb 29 01:00:00 h m", leap)["timestamp"] == "2024-02-29T01:00:00"
