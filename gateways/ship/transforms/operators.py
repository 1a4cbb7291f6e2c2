"""What the operators and functions of expressions mean, for any values that JSON has; none of them fails.

Texts compare with texts and numbers with numbers; true is not 1. A comparison with an object or a list is
false (`!=` is true), so none of them takes time that grows with the depth of the event.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

_MAX_NUMBER_TEXT = 400


def equal(left: Any, right: Any) -> bool:
    """Whether both are the same plain value."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return False
    return bool(left == right)


def is_in(left: Any, right: Any) -> bool:
    """An element of a list, a part of a text, or a key of an object."""
    if isinstance(right, list):
        return any(equal(left, each) for each in right)
    return isinstance(left, str) and isinstance(right, str | dict) and left in right


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        if isinstance(left, str):
            return isinstance(right, str) and compare(left, right)
        return _is_number(left) and _is_number(right) and compare(left, right)

    return ordered


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: equal,
    ast.NotEq: lambda left, right: not equal(left, right),
    ast.Lt: _ordered(lambda left, right: left < right),
    ast.LtE: _ordered(lambda left, right: left <= right),
    ast.Gt: _ordered(lambda left, right: left > right),
    ast.GtE: _ordered(lambda left, right: left >= right),
    ast.In: is_in,
    ast.NotIn: lambda left, right: not is_in(left, right),
}


def matches(search: Callable[[str], object], value: Any) -> bool:
    """Whether the pattern is found anywhere in a text."""
    return isinstance(value, str) and search(value) is not None


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else None


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, str | list | dict) else None


def _number(value: Any) -> int | float | None:
    """A number, or the one that a text shows; null for what is none."""
    if isinstance(value, int | float) and _is_number(value):
        return value
    if not isinstance(value, str) or len(value) > _MAX_NUMBER_TEXT:
        return None
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _startswith(value: Any, start: Any) -> bool:
    return isinstance(value, str) and isinstance(start, str) and value.startswith(start)


def _endswith(value: Any, end: Any) -> bool:
    return isinstance(value, str) and isinstance(end, str) and value.endswith(end)


FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "contains": (2, lambda whole, part: is_in(part, whole)),
    "endswith": (2, _endswith),
    "length": (1, _length),
    "lower": (1, _lower),
    "number": (1, _number),
    "startswith": (2, _startswith),
}
"""Name -> how many arguments, and the function; `exists`, `field` and `matches` are the parser's."""
