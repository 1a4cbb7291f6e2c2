"""Paths to fields of a decoded event: `status`, `request.user.id`, `tags.0`; `\\.` is a dot inside a name.

Looking up never fails: what is not there is MISSING. Setting makes the objects on the way, and says when
something else stands there.
"""

from __future__ import annotations

import re
from typing import Any, Final

from nsqgw.errors import ConfigError

MAX_PATH_PARTS = 32

_PART = re.compile(r"(?:[^.\\]|\\.)+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Missing:
    """The type of MISSING; false, and equal to nothing but itself."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class NoObject(ValueError):
    """A path leads through a value that has no fields; the text names it."""


class FieldPath:
    """One path, parsed once. Raises ConfigError for a text that is none."""

    __slots__ = ("_first", "_last", "_way", "text")

    def __init__(self, text: str) -> None:
        parts = _PART.findall(text)
        if not parts or ".".join(parts) != text or len(parts) > MAX_PATH_PARTS:
            raise ConfigError(
                f"field {text!r} is no path: write names with dots between them, such as request.status,"
                f" at most {MAX_PATH_PARTS}; \\. is a dot inside a name"
            )
        self.text = text
        *way, self._last = (_ESCAPED.sub(r"\1", part) for part in parts)
        self._way = tuple(way)
        self._first = self._last if not way else None

    def __repr__(self) -> str:
        return f"FieldPath({self.text!r})"

    @property
    def name(self) -> str:
        """The last of its names."""
        return self._last

    def get(self, fields: dict[str, Any]) -> Any:
        """The value there, or MISSING. A number on the way, or at its end, is an index into a list."""
        if self._first is not None:
            return fields.get(self._first, MISSING)
        value: Any = fields
        for name in self._way:
            value = step(value, name)
        return step(value, self._last)

    def set(self, fields: dict[str, Any], value: object) -> None:
        """Put `value` there, and objects on the way where nothing is. Raises NoObject."""
        if self._first is not None:
            fields[self._first] = value
            return
        place: Any = fields
        for name in self._way:
            place = place.setdefault(name, {}) if isinstance(place, dict) else step(place, name)
        if isinstance(place, dict):
            place[self._last] = value
        elif step(place, self._last) is not MISSING:
            place[int(self._last)] = value
        else:
            raise NoObject(f"field {self.text} cannot be set: what it stands in is no object")

    def remove(self, fields: dict[str, Any]) -> Any:
        """Take out what is there and return it, or MISSING. Elements of lists stay where they are."""
        place: Any = fields
        for name in self._way:
            place = step(place, name)
        return place.pop(self._last, MISSING) if isinstance(place, dict) else MISSING


def step(value: object, name: str) -> Any:
    """One step down: the field of an object or the element of a list; MISSING when there is none."""
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 10:
        index = int(name)
        return value[index] if index < len(value) else MISSING
    return MISSING
