"""Fields flattened, nested, joined, cut, dated, looked up; events throttled and told from those before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateways.pipeline.event import Event
from gateways.pipeline.transforms import Rejected
from gateways.ship.transforms.limits import DedupeSettings, Passed, ThrottleSettings
from gateways.ship.transforms.transform import Record, Transform
from harness.transforming import DECODE_JSON, SETTINGS, chain_of, event_body, one_message, transformed

Table = dict[str, Any]


def after(body: bytes, *tables: Table) -> Any:
    return json.loads(event_body(body, DECODE_JSON, *tables))


def test_flatten() -> None:
    body = b'{"a":{"b":{"c":1},"d":[{"e":2}],"f":{}},"g":3}'
    flat = {"a.b.c": 1, "a.d": [{"e": 2}], "a.f": {}, "g": 3}
    found = event_body(body, DECODE_JSON, {"type": "flatten"})
    assert found == json.dumps(flat, separators=(",", ":")).encode(), "in order"
    assert after(body, {"type": "flatten", "separator": "_"})["a_b_c"] == 1
    assert event_body(b'{ "g": 3 }', DECODE_JSON, {"type": "flatten"}) == b'{ "g": 3 }'
    assert isinstance(transformed(b'{"a.b":1,"a":{"b":2}}', DECODE_JSON, {"type": "flatten"}), Rejected)


def test_flattening_is_no_matter_of_depth() -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    assert after(deep, {"type": "flatten"}) == {".".join("a" * 900): 1}


def test_nest() -> None:
    body = b'{"a":1,"b":{"c":2},"h":{"x":0}}'
    assert after(body, {"type": "nest", "into": "h", "fields": ["a", "b.c", "no"]}) == {
        "b": {},
        "h": {"x": 0, "a": 1, "c": 2},
    }
    assert after(body, {"type": "nest", "into": "event"}) == {"event": json.loads(body)}
    assert isinstance(transformed(body, DECODE_JSON, {"type": "nest", "into": "a.x"}), Event)
    refused = transformed(body, DECODE_JSON, {"type": "nest", "into": "a.x", "fields": ["b"]})
    assert isinstance(refused, Rejected)


def test_join() -> None:
    join = {"type": "join", "fields": ["t", "n", "s"], "separator": " "}
    found = after(b'{"t":["a","b"],"n":[1,null,{"x":"y"}],"s":"as it is"}', join)
    assert found == {"t": "a b", "n": '1 null {"x":"y"}', "s": "as it is"}


@pytest.mark.parametrize(
    ("value", "cut"),
    [("0123456789", "0123456789"), ("0123456789x", "0123456..."), ("é" * 7, "ééé..."), (7, 7)],
)  # fmt: skip
def test_truncate(value: object, cut: object) -> None:
    body = json.dumps({"v": value}).encode()
    assert after(body, {"type": "truncate", "fields": ["v", "no"], "max_bytes": 10}) == {"v": cut}
    if isinstance(cut, str):
        assert len(cut.encode()) <= 10


@pytest.mark.parametrize(
    ("value", "settings", "found"),
    [
        ("2026-02-02T02:40:00Z", {}, "2026-02-02T02:40:00Z"),
        ("2026-02-02 03:40:00.1234567891+01:00", {}, "2026-02-02T02:40:00.123456789Z"),
        ("2026-02-02T02:40:00.5Z", {"output": "epoch_ms"}, 1770000000500),
        (1770000000, {"formats": ["epoch_s"]}, "2026-02-02T02:40:00Z"),
        (1770000000.25, {"formats": ["epoch_s"]}, "2026-02-02T02:40:00.25Z"),
        ("1770000000123", {"formats": ["epoch_ms"], "output": "epoch_ns"}, 1770000000123000000),
        ("02/Feb/2026 03:40 +0100", {"formats": ["epoch_s", "%d/%b/%Y %H:%M %z"]}, "2026-02-02T02:40:00Z"),
        ("2026-02-02T02:40:00Z", {"output": "%Y.%m.%d"}, "2026.02.02"),
        ("when?", {}, "2026-02-02T02:40:00Z"),  # nsq's own time
        ("when?", {"on_error": "keep"}, "when?"),
        ("1e999999999", {"formats": ["epoch_s"], "on_error": "keep"}, "1e999999999"),
        (1e300, {"formats": ["epoch_s"], "on_error": "keep"}, 1e300),
        (True, {"formats": ["epoch_s"], "on_error": "keep"}, True),
    ],
)  # fmt: skip
def test_timestamp(value: object, settings: Table, found: object) -> None:
    body = json.dumps({"at": value}).encode()
    assert after(body, {"type": "timestamp", "field": "at", **settings}) == {"at": found}


def test_a_time_that_is_missing() -> None:
    timestamp = {"type": "timestamp", "field": "at", "into": "time.utc"}
    assert after(b"{}", timestamp) == {"time": {"utc": "2026-02-02T02:40:00Z"}}
    result = transformed(b"{}", DECODE_JSON, {**timestamp, "on_error": "dead_letter"})
    assert isinstance(result, Rejected)
    assert result.reason == "field at has no time: it is missing"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(number: int, topic: str = "events", **fields: object) -> Record:
    made = Record(one_message(b"", number, topic))
    made.fields = fields
    return made


def passing(step: Transform, *records: Record) -> list[bool]:
    return [step(each) is not None for each in records]


def test_throttle() -> None:
    clock = Clock()
    step = ThrottleSettings(by=("host",), events=2, window=10.0).build(clock)
    a = [record(number, host="a") for number in range(4)]
    assert passing(step, *a) == [True, True, False, False]
    assert passing(step, record(9, host="b"), record(10, topic="other", host="a")) == [True, True]
    assert passing(step, a[1], a[2]) == [True, False], "a redelivery is treated as the first delivery was"
    clock.now = 10.0
    assert passing(step, *a) == [True, True, False, False]


def test_windows_that_are_over_take_no_memory() -> None:
    passed = Passed(2, window=10.0, max_keys=1_000_000)
    for second in range(100):
        assert passed.admits(f"key {second}", "event", float(second))
        assert len(passed) <= 10


def test_what_throttle_remembers_is_bounded() -> None:
    step = ThrottleSettings(by=("host",), events=1, window=10.0, max_keys=2).build(Clock())
    assert passing(step, *(record(number, host=str(number)) for number in range(3))) == [True] * 3
    assert passing(step, record(8, host="0"), record(9, host="2")) == [True, False], "0 is forgotten"


def test_dedupe() -> None:
    clock = Clock()
    step = DedupeSettings(by=("id",), window=10.0).build(clock)
    first, second = record(1, id="x"), record(2, id="x")
    assert passing(step, first, second, first, record(3, id="y")) == [True, False, True, True]
    assert passing(step, record(4), record(5)) == [True, True], "without the field nothing can be told"
    clock.now = 10.0
    assert passing(step, second) == [True]


def test_enrich(tmp_path: Path) -> None:
    file = tmp_path / "hosts.csv"
    file.write_text('host,team,floor\nweb1,shop,2\ndb1,"core, data",1\n')
    enrich = {"type": "enrich", "file": str(file), "key": "host", "field": "h"}
    assert after(b'{"h":"db1"}', enrich) == {"h": "db1", "team": "core, data", "floor": "1"}
    assert after(b'{"h":"web1"}', {**enrich, "into": "about.host"}) == {
        "h": "web1",
        "about": {"host": {"team": "shop", "floor": "2"}},
    }
    assert event_body(b'{ "h": "?" }', DECODE_JSON, enrich) == b'{ "h": "?" }'


def test_a_table_that_changed_makes_other_settings(tmp_path: Path) -> None:
    file = tmp_path / "hosts.csv"
    file.write_text("host,team\nweb1,shop\n")
    table = [{"type": "enrich", "file": str(file), "key": "host", "field": "h"}]
    before, again = SETTINGS.validate_python(table), SETTINGS.validate_python(table)
    assert before == again
    file.write_text("host,team\nweb1,other\n")
    assert SETTINGS.validate_python(table) != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"a,b\n1,2\n", "has no column 'host': its head line has a, b"),
        (b"host,b\n1\n", ":2: has not as many values"),
        (b"host,b\n1,2,3\n", ":2: has not as many values"),
        (b"host,b\n1,2\n1,3\n", ":3: host '1' is there a second time"),
        (b"host,b\n\xff,2\n", "no CSV in UTF-8"),
    ],
)
def test_tables_that_cannot_be_used(text: bytes | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "hosts.csv"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ValidationError, match=words):
        chain_of(DECODE_JSON, {"type": "enrich", "file": str(file), "key": "host", "field": "h"})
