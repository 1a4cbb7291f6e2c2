"""Expressions by example: the grammar of the page, and one line for each thing that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.ship.transforms.expression import Expression
from harness.transforming import one_message
from nsqgw.errors import ConfigError

FIELDS: dict[str, Any] = {
    "level": "error",
    "status": 503,
    "took": 0.25,
    "ok": True,
    "none": None,
    "tags": ["web", "slow"],
    "request": {"path": "/api/v1", "user agent": "curl"},
    "nsq_topic": "mine",
    "text_number": "17.5",
    "a.b": 1,
}


@pytest.mark.parametrize(
    "text",
    [
        'level == "error"',
        "level == 'error' and status >= 500 and not none",
        'level in ("error", "fatal")',
        'level not in ["info"]',
        "400 <= status < 600",
        "took < 0.5 and -1 < took",
        "ok == true and ok == True and ok != 1",
        "missing == null and none == null",
        "exists(none) and not exists(missing) and exists(request.path)",
        'request.path == "/api/v1" and request["user agent"] == "curl"',
        '"slow" in tags and tags[0] == "web" and length(tags) == 2',
        '"ap" in request.path and contains(tags, "web") and "path" in request',
        'startswith(request.path, "/api") and endswith(request.path, "1")',
        r'matches(request.path, r"^/api/v\d+$")',
        'matches(lower("X"), "(?i)X")',
        'nsq_topic == "events" and nsq_attempts == 1 and field("nsq_topic") == "mine"',
        'nsq_channel == "archive" and nsq_nsqd_address == "nsqd:4150" and nsq_timestamp > 0',
        'nsq_id == "0000000000000001"',
        "number(text_number) > 17 and number(level) == null",
        r'field("a\\.b") == 1 and this["a.b"] == null',
        "tags != tags and request != 1",
        'not (level < 1) and not (status < "600")',
        "true or missing.deeply.nested[3]",
    ],
)
def test_what_is_true(text: str) -> None:
    assert Expression(text).holds(one_message(b""), FIELDS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ("level = 'x'", "cannot be read: invalid syntax; compare with =="),
        ("a && b", "join with and, or, not"),
        ("level == 'x", "cannot be read"),
        ("__import__('os')", "__import__() is not known; there are contains"),
        ("level.upper()", "level.upper() is not known"),
        ("[x for x in tags]", "is no value"),
        ("(lambda: 1)()", "is not known"),
        ("status + 1 > 2", "is no value"),
        ("f'{level}'", "is no value"),
        ("level if ok else 1", "is no value"),
        ("b'x' == level", "is no value"),
        ("level in (tags, 1)", "is no value"),
        ("level is null", "compare with =="),
        ("tags[1:2]", "is no field"),
        ("tags[level]", "is no field"),
        ("nsq_topic.x", "nsq_topic has no fields"),
        ("matches(level, tags)", "is no value"),
        ('matches(level, "(")', "cannot be used"),
        ('matches("x")', "takes a value and a pattern"),
        ("length()", "takes 1 argument, not 0"),
        ("contains(level)", "takes 2 arguments, not 1"),
        ("length(x=1)", "plain arguments only"),
        ("field(level)", "takes a path as text"),
        ("exists(1)", "is no field"),
        ("(x := 1)", "is no value"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Expression(text)
    assert says in str(refused.value)
    assert repr(text) in str(refused.value)


def test_what_an_expression_needs_is_known() -> None:
    assert Expression("exists(a)").uses_fields
    assert Expression("nsq_topic in ('a', 'b') or a").uses_fields
    assert not Expression("nsq_topic == 'a' and nsq_attempts > 3 or true").uses_fields
