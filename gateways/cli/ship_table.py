"""The table of `nsqgw ship top`: pure, from two looks at /status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateways.cli.columns import byte_count, in_columns

Status = Sequence[Mapping[str, Any]]
"""The pipelines, as gateways.ship.status tells them."""


class Row(NamedTuple):
    """One line; the pipelines' own have no sink. What a line has no word on is empty."""

    pipeline: str
    sink: str
    state: str
    events: str
    bytes: str
    try_ms: str
    retries: str
    held: str
    oldest: str
    dead: str


_HEAD = Row(
    "PIPELINE", "SINK", "STATE", "EVENTS/S", "BYTES/S", "TRY MS", "RETRIES/S", "HELD", "OLDEST", "DEAD"
)


def rows(before: Status, now: Status, seconds: float) -> list[Row]:
    """Each pipeline and, below it, its sinks; rates over the `seconds` between the two looks.

    One that was not there before, or began anew since, has the rates of its life so far.
    """
    earlier = {each["pipeline"]: each for each in before}
    lines: list[Row] = []
    for each in now:
        past = earlier.get(each["pipeline"], {})
        if past.get("received", 0) > each["received"]:
            past = {}
        lines.append(_pipeline_row(past, each, seconds))
        past_sinks = {sink["sink"]: sink for sink in past.get("sinks", ())}
        lines += [_sink_row(past_sinks.get(sink["sink"], {}), sink, seconds) for sink in each["sinks"]]
    return lines


def table(lines: Sequence[Row]) -> str:
    """The lines in columns, below a head."""
    return in_columns([_HEAD, *lines], words=3)


def _pipeline_row(past: Mapping[str, Any], now: Mapping[str, Any], seconds: float) -> Row:
    return Row(
        now["pipeline"],
        "",
        "ready" if now["trouble"] is None else "not ready",
        f"{_more(past, now, 'received') / seconds:.0f}",
        byte_count(_more(past, now, "received_bytes") / seconds),
        "",
        "",
        str(now["held_messages"]),
        _age(now["oldest_seconds"]),
        str(now["dead_letters"]),
    )


def _sink_row(past: Mapping[str, Any], now: Mapping[str, Any], seconds: float) -> Row:
    tries = _more(past, now, "tries")
    try_ms = f"{_more(past, now, 'try_seconds') / tries * 1000:.0f}" if tries else ""
    return Row(
        "",
        now["sink"],
        now["state"],
        f"{_more(past, now, 'events') / seconds:.0f}",
        byte_count(_more(past, now, "bytes") / seconds),
        try_ms,
        f"{_more(past, now, 'retries') / seconds:.1f}",
        str(now["held_messages"]),
        _age(now["oldest_seconds"]),
        "",
    )


def _more(past: Mapping[str, Any], now: Mapping[str, Any], key: str) -> float:
    return float(now[key] - past.get(key, 0))


def _age(seconds: float) -> str:
    if not seconds:
        return "-"
    return f"{seconds:.1f}s" if seconds < 60 else f"{seconds // 60:.0f}m{seconds % 60:.0f}s"
