"""Log lines: one record a line, whatever is in it."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from nsqgw.service.logs import JsonFormatter, KeyValueFormatter


def record(message: str, *args: Any, **fields: Any) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {
            "name": "nsqgw.test",
            "levelno": 20,
            "levelname": "INFO",
            "msg": message,
            "args": args,
            "created": 0.25,
        }
    )
    vars(made).update(fields)
    return made


def test_key_value_lines() -> None:
    line = KeyValueFormatter().format(record("sent %d", 3, topic="events", note='say "hi"\nthere', empty=""))
    assert line == (
        'time=1970-01-01T00:00:00.250Z level=info logger=nsqgw.test msg="sent 3" '
        'topic=events note="say \\"hi\\"\\nthere" empty=""'
    )


def test_json_lines() -> None:
    line = JsonFormatter().format(record("sent %d", 3, topic="events", where=object))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "info",
        "logger": "nsqgw.test",
        "msg": "sent 3",
        "topic": "events",
        "where": "<class 'object'>",
    }


@pytest.mark.parametrize("formatter", [KeyValueFormatter(), JsonFormatter()])
def test_a_traceback_stays_on_the_line(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        line = formatter.format(record("failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "ValueError: wrong" in line
