"""Conditions on bodies: what they let through, what is refused, and that equal ones are asked once."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.push.audience import Shares
from gateways.push.entry import Entry
from gateways.push.filter import MAX_CONDITIONS, MAX_VALUES, BadFilter, Filter, parse_filter
from gateways.push.frame import Burst, Frame


@pytest.mark.parametrize(
    ("wanted", "body", "matches"),
    [
        ({"a": 1}, b'{"a":1}', True),
        ({"a": 1}, b'{"a":1.0}', True),
        ({"a": 1}, b'{"a":true}', False),
        ({"a": True}, b'{"a":1}', False),
        ({"a": None}, b'{"a":null}', True),
        ({"a": None}, b"{}", False),
        ({"a": "1"}, b'{"a":1}', False),
        ({"a.b": ["x", 2]}, b'{"a":{"b":2}}', True),
        ({"a.b": ["x", 2]}, b'{"a":{"b":[2]}}', False),
        ({"a": {"prefix": "or"}}, b'{"a":"order"}', True),
        ({"a": {"prefix": "or"}}, b'{"a":"no"}', False),
        ({"a": {"prefix": ""}}, b'{"a":1}', False),
        ({"a": 1, "b": 2}, b'{"a":1,"b":2}', True),
        ({"a": 1, "b": 2}, b'{"a":1}', False),
        ({"a": 1}, b"no json", False),
        ({"a": 1}, b"[1]", False),
    ],
)
def test_what_matches(wanted: dict[str, Any], body: bytes, matches: bool) -> None:
    assert parse_filter(wanted).matches(Entry(body)) is matches


@pytest.mark.parametrize(
    "wanted",
    [None, [], {}, "a", {"": 1}, {"a": []}, {"a": {}}, {"a": {"prefix": 1}}, {"a": {"suffix": "x"}}]
    + [{"a": [[1]]}, {"a": "x" * 300}, {"a" * 200: 1}, {".".join("abcdefghi"): 1}]
    + [{"a": list(range(MAX_VALUES + 1))}, {str(n): 1 for n in range(MAX_CONDITIONS + 1)}],
)
def test_what_is_no_filter_is_refused(wanted: object) -> None:
    with pytest.raises(BadFilter):
        parse_filter(wanted)


def test_equal_filters_are_one_and_asked_once_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = parse_filter({"a": [1, 2], "b": 3}), parse_filter({"b": 3, "a": [2, 1]})
    assert first == second
    asked = []
    matches = Filter.matches
    monkeypatch.setattr(Filter, "matches", lambda self, entry: asked.append(entry) or matches(self, entry))
    frames = [Frame(Entry(body), "c", "e", n) for n, body in enumerate([b'{"a":1,"b":3}', b"{}"])]
    shares = Shares(Burst("c", frames))
    share = shares.of(first)
    assert share is not None
    assert share.frames == (frames[0],)
    assert shares.of(second) is share
    assert len(asked) == 2


def test_a_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr(
        "gateways.push.entry.orjson.loads", lambda body: parsed.append(body) or {"a": {"b": 1}}
    )
    entry = Entry(b"x")
    assert [parse_filter({path: 1}).matches(entry) for path in ("a.b", "a", "c")] == [True, False, False]
    assert parsed == [b"x"]


def test_filters_that_let_the_same_through_share_a_burst() -> None:
    frames = [Frame(Entry(b'{"a":%d}' % n), "c", "e", n) for n in range(3)]
    burst = Burst("c", frames)
    shares = Shares(burst)
    assert shares.of(None) is burst
    assert shares.of(parse_filter({"a": [0, 1, 2]})) is burst
    assert shares.of(parse_filter({"a": 9})) is None
    assert shares.of(parse_filter({"a": 1})) is shares.of(parse_filter({"a": [1, 5]}))
