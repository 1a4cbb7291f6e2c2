"""Which lines Loki means when it answers 400, by the texts of its validation and its ingesters: pure.

A text that is none of these, or that names no line of the request, names nothing: then the bad lines are
found by halving.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from gateways.pipeline.refusal import Refusal, refusal

_SECOND = 1_000_000_000

_IGNORED = re.compile(
    r"entry with timestamp (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([+-]\d{4}) \S+ ignored"
)
_FOR_STREAM = re.compile(r"total ignored: \d+ out of \d+ for stream: (\{.*\})")
_TOO_LONG = re.compile(r"[Mm]ax entry size '?(\d+)'? bytes exceeded for stream '(\{.*?\})' while adding")
_TOO_OLD = re.compile(r"entry for stream '(\{.*?\})' has timestamp too old: (\S+?Z|\S+[+-]\d\d:\d\d),")
_TOO_NEW = re.compile(r"entry for stream '(\{.*?\})' has timestamp too new: (\S+Z|\S+[+-]\d\d:\d\d)")
_LABEL = re.compile(r'([a-zA-Z_]\w*)=("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a request: the labels of its stream, its time in nanoseconds, its bytes."""

    labels: Mapping[str, str]
    time: int
    size: int


def named_lines(text: str, lines: Sequence[Line]) -> dict[int, Refusal]:
    """The lines that an answer refuses, by their indexes, with the reasons."""
    found: dict[int, Refusal] = {}
    for stream, code, is_meant in _named(text):
        labels = _labels(stream)
        for index, line in enumerate(lines):
            if line.labels.items() <= labels.items() and is_meant(line):
                found[index] = refusal(f"HTTP 400, {code}", status=400, code=code)
    return found


def _named(text: str) -> Iterator[tuple[str, str, Callable[[Line], bool]]]:
    """Streams, what is wrong with lines of theirs, and which lines these are."""
    for entry in _TOO_LONG.finditer(text):
        yield entry[2], "line_too_long", _longer_than(int(entry[1]))
    for entry in _TOO_OLD.finditer(text):
        yield entry[1], "greater_than_max_sample_age", _until(_second(entry[2]))
    for entry in _TOO_NEW.finditer(text):
        yield entry[1], "too_far_in_future", _from(_second(entry[2]))
    for stream in _FOR_STREAM.finditer(text):
        times = {_nanoseconds(entry) for entry in _IGNORED.finditer(text[: stream.start()])}
        yield stream[1], "too_far_behind", _one_of(times)


def _longer_than(limit: int) -> Callable[[Line], bool]:
    return lambda line: line.size > limit


def _until(second: int | None) -> Callable[[Line], bool]:
    return lambda line: second is not None and line.time // _SECOND <= second


def _from(second: int | None) -> Callable[[Line], bool]:
    return lambda line: second is not None and line.time // _SECOND >= second


def _one_of(times: set[int]) -> Callable[[Line], bool]:
    return lambda line: line.time in times


def _labels(stream: str) -> dict[str, str]:
    """Of a stream as Loki writes it; it may have added some."""
    found = {}
    for name, value in _LABEL.findall(stream):
        try:
            found[name] = str(json.loads(value))
        except ValueError:
            continue
    return found


def _second(text: str) -> int | None:
    """Seconds since the epoch of a time as RFC 3339 writes it."""
    try:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    except ValueError:
        return None


def _nanoseconds(entry: re.Match[str]) -> int:
    """Nanoseconds since the epoch of a time as Go prints it."""
    date, clock, fraction, zone = entry.groups()
    seconds = datetime.strptime(f"{date} {clock} {zone}", "%Y-%m-%d %H:%M:%S %z").astimezone(timezone.utc)
    return int(seconds.timestamp()) * _SECOND + int((fraction or "0").ljust(9, "0"))
