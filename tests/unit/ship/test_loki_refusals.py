"""Which lines Loki's answers mean; the texts are those of its validation and its ingesters."""

from __future__ import annotations

import pytest

from gateways.ship.sinks.loki_refusals import Line, named_lines

SECOND = 1_000_000_000
NOON = 1_699_963_200 * SECOND  # 2023-11-14 12:00 UTC
APP, DB = {"app": 'w"eb', "topic": "t"}, {"app": "db"}
LINES = [
    Line(APP, NOON, 10),
    Line(APP, NOON + 5, 300_000),
    Line(APP, NOON + SECOND, 10),
    Line(DB, NOON, 300_000),
    Line(DB, NOON + 3600 * SECOND, 5),
]
STREAM = '{app="w\\"eb", service_name="unknown_service", topic="t"}'


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        (
            f"Max entry size '262144' bytes exceeded for stream '{STREAM}' while adding an entry with length"
            " '300000' bytes",
            "line_too_long",
            [1],
        ),
        (
            f"entry for stream '{STREAM}' has timestamp too old: 2023-11-14T12:00:00Z, oldest acceptable"
            " timestamp is: 2023-11-14T12:00:01Z",
            "greater_than_max_sample_age",
            [0, 1],
        ),
        (
            "entry for stream '{app=\"db\"}' has timestamp too new: 2023-11-14T13:00:00Z",
            "too_far_in_future",
            [4],
        ),
        (
            "entry with timestamp 2023-11-14 12:00:00.000000005 +0000 UTC ignored, reason: 'entry too far"
            " behind, entry timestamp is: 2023-11-14T12:00:00Z, oldest acceptable timestamp is:"
            " 2023-11-14T13:00:00Z',\n"
            "entry with timestamp 2023-11-14 13:00:01 +0100 CET ignored, reason: 'entry too far behind, entry"
            " timestamp is: x',\n"
            f"user 'fake', total ignored: 2 out of 3 for stream: {STREAM}",
            "too_far_behind",
            [1, 2],
        ),
    ],
)
def test_lines_that_are_named(text: str, code: str, named: list[int]) -> None:
    found = named_lines(text, LINES)
    assert sorted(found) == named
    assert {(why.code, why.status) for why in found.values()} == {(code, 400)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ufffd<html>",
        "error at least one label pair is required per stream",
        "entry for stream '{app=\"other\"}' has timestamp too new: 2023-11-14T13:00:00Z",
        f"entry for stream '{STREAM}' has timestamp too new: soonZ",
        f"total ignored: 2 out of 3 for stream: {STREAM}",
        "entry with timestamp 2023-11-14 12:00:00 +0000 UTC ignored, reason: 'no stream'",
    ],
)
def test_a_text_that_names_none(text: str) -> None:
    assert named_lines(text, LINES) == {}
