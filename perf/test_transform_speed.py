"""Transforms alone: 500 events of 512 B a round; JSON with a field added has to stay far below 25 us each."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter
from pytest_benchmark.fixture import BenchmarkFixture

from gateways.pipeline.event import Event
from gateways.ship.template import Template
from gateways.ship.transforms.chain import AnySettings, TransformSettings, build_chain
from harness.pipeline import RecordingOrigin
from nsqgw.message import Message

COUNT = 500
LINE = {
    "time": "2026-02-02T02:40:00.123Z",
    "level": "error",
    "service": "web",
    "status": 503,
    "took": 0.25,
    "request": {"method": "GET", "path": "/api/v1/items/17", "user": "jane", "agent": "curl/8"},
    "tags": ["a", "b"],
    "message": "x" * 290,
}
BODY = orjson.dumps(LINE)
LOGFMT = " ".join(f'{key}="{value}"' for key, value in LINE.items() if isinstance(value, str)).encode()
MESSAGES = [
    Message(1_770_000_000_000_000_000, 1, b"%016x" % n, BODY, RecordingOrigin()) for n in range(COUNT)
]
LINES = [Message(1_770_000_000_000_000_000, 1, b"%016x" % n, LOGFMT, RecordingOrigin()) for n in range(COUNT)]

JSON = {"type": "decode", "format": "json"}
ADD = {"type": "add", "fields": {"env": "prod"}}
CASES: dict[str, list[dict[str, Any]]] = {
    "json": [JSON],
    "json_and_a_field": [JSON, ADD],
    "json_and_a_template": [JSON, {"type": "add", "fields": {"from": "{topic}/{field:service}"}}],
    "json_and_a_filter": [JSON, {"type": "filter", "where": 'level == "error" and request.user != "root"'}],
    "json_and_all_emails": [JSON, {"type": "redact", "patterns": ["email"]}],
    "json_and_half": [JSON, {"type": "sample", "rate": 0.5}],
}


def chain_of(tables: list[dict[str, Any]]) -> Any:
    settings: list[AnySettings] = TypeAdapter(list[TransformSettings]).validate_python(tables)
    return build_chain(settings)


@pytest.mark.parametrize("case", CASES)
def test_transforms(benchmark: BenchmarkFixture, case: str) -> None:
    apply = chain_of(CASES[case]).apply
    results = benchmark(lambda: [apply(message) for message in MESSAGES])
    assert isinstance(results[1], Event) or case == "json_and_half"


def test_logfmt(benchmark: BenchmarkFixture) -> None:
    apply = chain_of([{"type": "decode", "format": "logfmt"}]).apply
    results = benchmark(lambda: [apply(message) for message in LINES])
    assert isinstance(results[0], Event)


def test_an_index_name(benchmark: BenchmarkFixture) -> None:
    render = Template("logs-{topic}-%Y.%m.%d").render
    assert benchmark(lambda: [render(message) for message in MESSAGES])[0] == "logs-events-2026.02.02"
