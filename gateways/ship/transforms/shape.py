"""`flatten`, `nest`, `join` and `truncate`: the form that an event's values have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from gateways.ship.fields import MISSING, FieldPath, NoObject
from gateways.ship.transforms.decoders import encode_json
from gateways.ship.transforms.edit import Path
from gateways.ship.transforms.transform import Record, Reject, StepSettings, Transform


class FlattenSettings(StepSettings):
    """Objects inside objects become fields of one level, named by their path; lists stay as they are.

    separator  between the names of a path
    """

    type: Literal["flatten"] = "flatten"
    separator: str = Field(default=".", min_length=1)

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        separator = self.separator

        def flatten(record: Record) -> Record | Reject:
            if not any(isinstance(value, dict) for value in record.fields.values()):
                return record
            flat: dict[str, Any] = {}
            for name, value in _leaves(record.fields, separator):
                if name in flat:
                    return Reject(f"two fields are called {name} when flattened")
                flat[name] = value
            record.fields, record.changed = flat, True
            return record

        return flatten


def _leaves(fields: dict[str, Any], separator: str) -> Iterator[tuple[str, Any]]:
    """What stands at the ends of all paths, in order, whatever the depth; empty objects are ends, too."""
    waiting = [iter(list(fields.items()))]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        name, value = found
        if isinstance(value, dict) and value:
            waiting.append(iter([(f"{name}{separator}{key}", each) for key, each in value.items()]))
        else:
            yield name, value


class NestSettings(StepSettings):
    """Move fields into an object; all fields when none are named.

    into    the path of the object
    fields  paths; each keeps the last of its names
    """

    type: Literal["nest"] = "nest"
    into: Path
    fields: tuple[Path, ...] = ()

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        into, paths = FieldPath(self.into), [FieldPath(path) for path in self.fields]

        def nest(record: Record) -> Record | Reject:
            if paths:
                moved = {path.name: path.remove(record.fields) for path in paths}
                moved = {name: value for name, value in moved.items() if value is not MISSING}
                if not moved:
                    return record
                there = into.get(record.fields)
                moved = {**there, **moved} if isinstance(there, dict) else moved
            else:
                moved, record.fields = record.fields, {}
            try:
                into.set(record.fields, moved)
            except NoObject as error:
                return Reject(str(error))
            record.changed = True
            return record

        return nest


class JoinSettings(StepSettings):
    """Make one text of a list.

    fields     paths; what is no list stays as it is
    separator  between the elements; those that are no text are written as JSON
    """

    type: Literal["join"] = "join"
    fields: tuple[Path, ...] = Field(min_length=1)
    separator: str = ","

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        paths, separator = [FieldPath(path) for path in self.fields], self.separator

        def join(record: Record) -> Record | Reject:
            for path in paths:
                value = path.get(record.fields)
                if not isinstance(value, list):
                    continue
                try:
                    path.set(record.fields, separator.join(map(_text, value)))
                except ValueError as error:
                    return Reject(f"field {path.text} cannot be joined: {error}")
                record.changed = True
            return record

        return join


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encode_json({"": value}).decode()[4:-1]


class TruncateSettings(StepSettings):
    """Cut texts that are too long, at a whole character.

    fields     paths; what is no text stays as it is
    max_bytes  of UTF-8, the ending included
    ending     stands at the end of what was cut
    """

    type: Literal["truncate"] = "truncate"
    fields: tuple[Path, ...] = Field(min_length=1)
    max_bytes: int = Field(ge=1)
    ending: str = "..."

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        paths, limit = [FieldPath(path) for path in self.fields], self.max_bytes
        ending = self.ending if len(self.ending.encode()) <= limit else ""
        room = limit - len(ending.encode())

        def truncate(record: Record) -> Record:
            for path in paths:
                value = path.get(record.fields)
                if not isinstance(value, str) or len(value) * 4 <= limit or len(value.encode()) <= limit:
                    continue
                path.set(record.fields, value.encode()[:room].decode("utf-8", "ignore") + ending)
                record.changed = True
            return record

        return truncate
