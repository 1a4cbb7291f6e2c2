"""What `nsqgw ship top` shows of two looks at a gateway."""

from __future__ import annotations

from typing import Any

from gateways.cli.ship_table import rows, table

SINK = {
    "sink": "disk",
    "state": "ok",
    "events": 1000,
    "bytes": 200_000,
    "tries": 10,
    "try_seconds": 0.5,
    "retries": 2,
    "held_messages": 5,
    "oldest_seconds": 75.2,
}
PIPELINE: dict[str, Any] = {
    "pipeline": "app",
    "trouble": None,
    "received": 1000,
    "received_bytes": 150_000,
    "held_messages": 5,
    "oldest_seconds": 0.0,
    "dead_letters": 3,
    "sinks": [SINK],
}


def look(received: int, events: int, tries: int) -> list[dict[str, Any]]:
    sink = {**SINK, "events": events, "bytes": events * 200, "tries": tries, "try_seconds": tries * 0.05}
    return [{**PIPELINE, "received": received, "received_bytes": received * 150, "sinks": [sink]}]


def test_rates_are_of_the_time_between() -> None:
    text = table(rows(look(1000, 1000, 10), look(3000, 2000, 14), 2.0))
    assert text.splitlines() == [
        "PIPELINE  SINK  STATE  EVENTS/S   BYTES/S  TRY MS  RETRIES/S  HELD  OLDEST  DEAD",
        "app             ready      1000  150.0 kB                        5       -     3",
        "          disk  ok          500  100.0 kB      50        0.0     5   1m15s",
    ]


def test_a_pipeline_that_began_anew_has_no_negative_rates() -> None:
    before, now = look(3000, 3000, 30), look(100, 90, 1)
    pipeline, sink = rows(before, now, 1.0)
    assert (pipeline.events, sink.events) == ("100", "90")


def test_a_new_pipeline_and_one_in_trouble() -> None:
    (now,) = look(10, 0, 0)
    pipeline, sink = rows([], [{**now, "trouble": "HTTP 503"}], 1.0)
    assert (pipeline.state, pipeline.events, sink.try_ms) == ("not ready", "10", "")


def test_nothing_runs() -> None:
    assert table(rows([], [], 1.0)).startswith("PIPELINE")
