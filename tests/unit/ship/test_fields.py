"""Paths into decoded events: looking up, setting, taking out."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.ship.fields import MISSING, FieldPath, NoObject
from nsqgw.errors import ConfigError


def sample() -> dict[str, Any]:
    return {"a": {"b": [10, {"c": 1}]}, "x.y": 2, "t": "text"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("t", "text"),
        ("a.b.0", 10),
        ("a.b.1.c", 1),
        (r"x\.y", 2),
        ("a.b.2", MISSING),
        ("a.b.x", MISSING),
        ("a.b.-1", MISSING),
        ("a.b.99999999999999999999", MISSING),
        ("t.0", MISSING),
        ("z", MISSING),
        ("x.y", MISSING),
    ],
)
def test_looking_up(path: str, value: object) -> None:
    assert FieldPath(path).get(sample()) == value


@pytest.mark.parametrize(
    ("path", "value"), [("new", 1), ("n.e.w", 2), ("a.b.0", 3), ("a.b.1.c", 4), (r"x\.y", 5)]
)
def test_what_is_set_is_there(path: str, value: int) -> None:
    fields = sample()
    FieldPath(path).set(fields, value)
    assert FieldPath(path).get(fields) == value


@pytest.mark.parametrize("path", ["t.x", "a.b.7", "a.b.x.y", "t.x.y"])
def test_nothing_is_set_in_what_is_no_object(path: str) -> None:
    fields = sample()
    with pytest.raises(NoObject, match="cannot be set"):
        FieldPath(path).set(fields, 1)
    assert fields == sample()


def test_taking_out() -> None:
    fields = sample()
    assert FieldPath("a.b.1.c").remove(fields) == 1
    assert FieldPath("a.b.0").remove(fields) is MISSING
    assert FieldPath("a.z").remove(fields) is MISSING
    assert fields == {"a": {"b": [10, {}]}, "x.y": 2, "t": "text"}


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a\\", ".".join("a" * 40)])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ConfigError, match="is no path"):
        FieldPath(text)
