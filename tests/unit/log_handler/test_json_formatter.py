"""Log records as JSON: one line, whatever is in them."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from nsqgw.log_handler import JsonFormatter


def formatted(message: str = "lost %s", *args: object, **attributes: Any) -> dict[str, Any]:
    record = logging.LogRecord("app.db", logging.WARNING, "/x.py", 1, message, args, None)
    record.created = 1_700_000_000.25
    vars(record).update(attributes)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_fields() -> None:
    assert formatted("lost %s after %d s", "a:1", 5) == {
        "time": "2023-11-14T22:13:20.250000Z",
        "level": "WARNING",
        "logger": "app.db",
        "message": "lost a:1 after 5 s",
    }


def test_an_exception_is_its_traceback() -> None:
    try:
        raise KeyError("name")
    except KeyError:
        found = formatted("failed", exc_info=sys.exc_info(), stack_info="Stack (most recent call last):\n x")
    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert found["exception"].endswith("KeyError: 'name'")
    assert found["stack"].startswith("Stack")


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, 5),
        ({"a": [1, None]}, {"a": [1, None]}),
        (b"x", "b'x'"),
        (float("nan"), "nan"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (LOOP, "[[...]]"),
    ],
)
def test_extra_always_has_a_form(value: object, shown: object) -> None:
    assert formatted("x", user=value)["extra"] == {"user": shown}
