"""`add`, `remove`, `keep` and `rename`: which fields an event has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AllowInfNan,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
)

from gateways.ship.fields import MISSING, FieldPath, NoObject
from gateways.ship.template import MissingField, Template
from gateways.ship.transforms.transform import (
    Record,
    Reject,
    StepSettings,
    Transform,
    check_path,
    check_template,
)

Path = Annotated[str, AfterValidator(check_path)]
_Finite = Annotated[StrictFloat, AllowInfNan(False)]  # JSON has no others
Value = Annotated[StrictStr | StrictBool | StrictInt | _Finite, AfterValidator(check_template)]


class AddSettings(StepSettings):
    """Set fields to constants or, when the value is text, to templates.

    An event without a field that a template asks for is a dead letter.

    overwrite  whether a field that is there already gets the new value
    """

    type: Literal["add"] = "add"
    fields: dict[Path, Value] = Field(min_length=1)
    overwrite: bool = True

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        overwrite = self.overwrite
        additions = [(FieldPath(path), _as_template(value)) for path, value in self.fields.items()]

        def add(record: Record) -> Record | Reject:
            fields = record.fields
            try:
                for path, value in additions:
                    if overwrite or path.get(fields) is MISSING:
                        filled = value.fill(record.message, fields) if isinstance(value, Template) else value
                        path.set(fields, filled)
            except (MissingField, NoObject) as error:
                return Reject(str(error))
            record.changed = True
            return record

        return add


class RemoveSettings(StepSettings):
    """Take fields out; those that are not there are no mistake."""

    type: Literal["remove"] = "remove"
    fields: tuple[Path, ...] = Field(min_length=1)

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        paths = [FieldPath(path) for path in self.fields]

        def remove(record: Record) -> Record:
            for path in paths:
                if path.remove(record.fields) is not MISSING:
                    record.changed = True
            return record

        return remove


class KeepSettings(StepSettings):
    """Take out all but these fields."""

    type: Literal["keep"] = "keep"
    fields: tuple[Path, ...] = Field(min_length=1)

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        paths = [FieldPath(path) for path in self.fields]

        def keep(record: Record) -> Record | Reject:
            found = [(path, path.get(record.fields)) for path in paths]
            record.fields = {}
            record.changed = True
            try:
                for path, value in found:
                    if value is not MISSING:
                        path.set(record.fields, value)
            except NoObject as error:
                return Reject(str(error))
            return record

        return keep


class RenameSettings(StepSettings):
    """Move fields, old path to new path, one after the other; what stood at the new path is replaced."""

    type: Literal["rename"] = "rename"
    fields: dict[Path, Path] = Field(min_length=1)

    @field_validator("fields")
    @classmethod
    def _check(cls, value: dict[str, str]) -> dict[str, str]:
        for old, new in value.items():
            if new == old or new.startswith(f"{old}."):
                raise ValueError(f"field {old} cannot be moved to {new}: that is itself, or a part of it")
        return value

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        moves = [(FieldPath(old), FieldPath(new)) for old, new in self.fields.items()]

        def rename(record: Record) -> Record | Reject:
            for old, new in moves:
                value = old.remove(record.fields)
                if value is MISSING:
                    continue
                record.changed = True
                try:
                    new.set(record.fields, value)
                except NoObject as error:
                    return Reject(str(error))
            return record

        return rename


def _as_template(value: str | bool | int | float) -> Template | str | bool | int | float:
    """Constants stay what they are, text without places included."""
    if not isinstance(value, str):
        return value
    template = Template(value)
    return template.constant if template.constant is not None else template
