"""What of a channel's messages a subscriber wants: conditions on fields of JSON bodies, as a value.

A filter is an object of paths and what has to stand there: a value, a list of values any of which will do,
or `{"prefix": "..."}` for a string that begins so. All have to hold; a message that is no JSON, or lacks a
field, does not match. Equal filters are one value: each is asked once a message, whoever has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateways.push.entry import Entry, Missing

MAX_CONDITIONS = 8
MAX_VALUES = 64
MAX_DEPTH = 8
MAX_PATH = 128
MAX_TEXT = 256
"""Bounds of what one subscriber may ask for; texts and paths in characters."""

Scalar = tuple[str, object]
"""A JSON scalar beside its kind: true is not 1, but 1 is 1.0."""


class BadFilter(ValueError):
    """What a client sent is no filter; the text says why."""


@dataclass(frozen=True)
class Condition:
    """The field at `path` is one of `values`, or a string that begins with `prefix`."""

    path: tuple[str, ...]
    values: frozenset[Scalar] = frozenset()
    prefix: str | None = None

    def holds(self, entry: Entry) -> bool:
        """Whether `entry` fulfils it."""
        try:
            value = entry.field(self.path)
        except Missing:
            return False
        if self.prefix is not None:
            return isinstance(value, str) and value.startswith(self.prefix)
        return not isinstance(value, (dict, list)) and _scalar(value) in self.values


@dataclass(frozen=True)
class Filter:
    """Conditions all of which have to hold; equal ones are equal in whatever order they were written."""

    conditions: frozenset[Condition]

    def matches(self, entry: Entry) -> bool:
        """Whether a subscriber with this filter gets `entry`."""
        return all(condition.holds(entry) for condition in self.conditions)


def parse_filter(document: object) -> Filter:
    """The filter in a decoded command; BadFilter when it is none."""
    if not isinstance(document, Mapping) or not document:
        raise BadFilter("filter has to be an object with a condition at least")
    if len(document) > MAX_CONDITIONS:
        raise BadFilter(f"filter has more than {MAX_CONDITIONS} conditions")
    return Filter(frozenset(_condition(path, wanted) for path, wanted in document.items()))


def _condition(path: object, wanted: object) -> Condition:
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH:
        raise BadFilter(f"a path in filter has to be a string of 1 to {MAX_PATH} characters")
    names = tuple(path.split("."))
    if len(names) > MAX_DEPTH:
        raise BadFilter(f"a path in filter has more than {MAX_DEPTH} names")
    if isinstance(wanted, Mapping):
        prefix = wanted.get("prefix")
        if set(wanted) != {"prefix"} or not isinstance(prefix, str) or len(prefix) > MAX_TEXT:
            raise BadFilter(f'filter knows {{"prefix": "..."}} with up to {MAX_TEXT} characters, and values')
        return Condition(names, prefix=prefix)
    values = wanted if isinstance(wanted, list) else [wanted]
    if not 0 < len(values) <= MAX_VALUES:
        raise BadFilter(f"a list in filter has 1 to {MAX_VALUES} values")
    return Condition(names, frozenset(map(_wanted, values)))


def _wanted(value: object) -> Scalar:
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise BadFilter("a value in filter has to be a string, a number, true, false or null")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise BadFilter(f"a value in filter has more than {MAX_TEXT} characters")
    return _scalar(value)


def _scalar(value: object) -> Scalar:
    if isinstance(value, bool):
        return ("bool", value)
    return ("number" if isinstance(value, (int, float)) else type(value).__name__, value)
