"""`type = "enrich"`: fields from a table (CSV) that is looked up by a field of the event."""

from __future__ import annotations

import csv
from pathlib import Path as FilePath
from typing import Literal

from pydantic import PrivateAttr, model_validator

from gateways.ship.fields import FieldPath, NoObject
from gateways.ship.template import as_text
from gateways.ship.transforms.edit import Path
from gateways.ship.transforms.transform import Record, Reject, StepSettings, Transform
from nsqgw.errors import ConfigError

_MAX_BYTES = 64 * 1024 * 1024

Table = dict[str, dict[str, str]]


class EnrichSettings(StepSettings):
    """Add the other columns of the row in which column `key` has the value of `field`; without one nothing.

    file   CSV with a head line, UTF-8, at most 64 MiB; a reload of the configuration reads it again
    key    the column that is looked up; its values are different
    field  whose value is looked up
    into   the object that the columns go into; by default the event itself
    """

    type: Literal["enrich"] = "enrich"
    file: str
    key: str
    field: Path
    into: Path | None = None
    # Beside the settings, so that those with another table are others, and a reload begins anew with it.
    _table: Table = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _read(self) -> EnrichSettings:
        self._table = read_table(FilePath(self.file), self.key)
        return self

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        table, field, into = self._table, FieldPath(self.field), self.into
        below = FieldPath(into) if into is not None else None

        def enrich(record: Record) -> Record | Reject:
            row = table.get(as_text(field.get(record.fields)))
            if row is None:
                return record
            try:
                if below is None:
                    record.fields.update(row)
                else:
                    below.set(record.fields, dict(row))
            except NoObject as error:
                return Reject(str(error))
            record.changed = True
            return record

        return enrich


def read_table(path: FilePath, key: str) -> Table:
    """Its rows by the value of the column `key`, without that. Raises ConfigError, naming the line."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"table {path} is larger than {_MAX_BYTES} bytes: a database is made for that")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(csv.DictReader(file, strict=True), path, key)
    except OSError as error:
        raise ConfigError(f"table {path} cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"table {path} is no CSV in UTF-8: {error}") from error


def _rows(reader: csv.DictReader[str], path: FilePath, key: str) -> Table:
    if key not in (reader.fieldnames or ()):
        names = ", ".join(reader.fieldnames or ()) or "none"
        raise ConfigError(f"table {path} has no column {key!r}: its head line has {names}")
    table: Table = {}
    for row in reader:
        if None in row or None in row.values():
            raise ConfigError(f"table {path}:{reader.line_num}: has not as many values as the head line")
        value = row.pop(key)
        if value in table:
            raise ConfigError(f"table {path}:{reader.line_num}: {key} {value!r} is there a second time")
        table[value] = row
    return table
