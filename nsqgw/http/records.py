"""JSON objects as frozen dataclasses, read by their annotations.

Keys that are not fields are ignored, so that a newer daemon can be read; a key that is missing or null
takes the field's default, so that an older one can. A value of another type is an error that names its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

R = TypeVar("R")
Reader = Callable[[Any, str], Any]

_NAMES: dict[type, tuple[str, tuple[type, ...]]] = {
    str: ("a string", (str,)),
    int: ("an integer", (int,)),
    float: ("a number", (int, float)),
    bool: ("true or false", (bool,)),
}


class Mismatch(ValueError):
    """A value is not what the field is annotated with; the text names both."""


def nanoseconds() -> Any:
    """A field in seconds that is integer nanoseconds in the JSON; 0 by default."""
    return field(default=0.0, metadata={"per_second": 1e9})


def record(kind: type[R], value: Any, place: str = "") -> R:
    """`value` as a `kind`; Mismatch, with the place below `place`, when it is none."""
    if not isinstance(value, dict):
        raise Mismatch(f"{place or kind.__name__} is no object")
    given = {}
    for name, read, required in _plan(kind):  # type: ignore[arg-type]  # classes are hashable
        where = f"{place}.{name}" if place else name
        if value.get(name) is not None:
            given[name] = read(value[name], where)
        elif required:
            raise Mismatch(f"{where} is missing")
    return kind(**given)


def items(kind: type[R], value: Any, place: str) -> tuple[R, ...]:
    """`value` as a list of `kind`: a dataclass, str, int, float or bool; Mismatch when it is none."""
    read: tuple[R, ...] = _items_reader(_reader(kind))(value, place)
    return read


@cache
def _plan(kind: type) -> tuple[tuple[str, Reader, bool], ...]:
    """Name, reader and whether it must be there, for each field."""
    hints = get_type_hints(kind)
    return tuple((item.name, _field_reader(item, hints[item.name]), _required(item)) for item in fields(kind))


def _required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _field_reader(item: Field[Any], annotation: Any) -> Reader:
    read = _reader(annotation)
    per_second = item.metadata.get("per_second")
    return read if per_second is None else lambda value, place: read(value, place) / per_second


def _reader(annotation: Any) -> Reader:
    if get_origin(annotation) is tuple:
        return _items_reader(_reader(get_args(annotation)[0]))
    options = [option for option in get_args(annotation) if option is not type(None)]
    if options:  # X | None: null was dealt with before
        return _reader(options[0])
    if is_dataclass(annotation):
        return lambda value, place: record(annotation, value, place)  # type: ignore[arg-type]  # a class
    return _plain_reader(annotation)


def _items_reader(read: Reader) -> Reader:
    def read_all(value: Any, place: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Mismatch(f"{place} is no list")
        return tuple(read(item, f"{place}[{number}]") for number, item in enumerate(value))

    return read_all


def _plain_reader(kind: type) -> Reader:
    name, accepted = _NAMES[kind]

    def plain(value: Any, place: str) -> Any:
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise Mismatch(f"{place} is not {name}")
        return kind(value)

    return plain
