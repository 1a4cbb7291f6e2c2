"""A config file's tables: TOML, then the environment and secrets, then models; all problems are told at once.

`load` reads the file and calls a gateway's own reading of its `Tables`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from gateways.access import NsqAccess
from gateways.service.environment import interpolated
from gateways.service.merged import Merged, read_documents
from gateways.service.nsq_settings import NsqSettings
from gateways.service.problems import BadConfigFile, Problem, problems_of, unknown_key
from gateways.service.secrets import REFERENCE, STORES, SecretStore, references, store_named
from gateways.service.toml_lines import Path
from nsqgw.errors import ConfigError

EXIT_CONFIG = 78
"""Of a file that cannot be used (EX_CONFIG of sysexits.h): starting again will not help."""

SECRETS = "secret"
"""The table of secret stores, in every gateway's file."""

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Tables:
    """What one document says; `problems` are gathered while it is read."""

    def __init__(self, document: dict[str, Any], environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._environ = environ
        self._secrets: dict[tuple[str, str], str] = {}  # by store and key; none for the stores' own tables
        self._secrets = self._read_secrets(document)
        self._document: dict[str, Any] = self._filled_in(document, ())

    @property
    def secrets(self) -> frozenset[str]:
        """What came from secret stores, to be masked wherever it would be shown."""
        return frozenset(self._secrets.values())

    def check_names(self, known: Collection[str]) -> None:
        """There are no other keys and tables in the outermost place than these."""
        self.problems += [unknown_key((key,), known) for key in self._document.keys() - {*known, SECRETS}]

    def table(self, name: str) -> dict[str, Any]:
        """The table `[name]`; empty when there is none."""
        table = self._document.get(name, {})
        if isinstance(table, dict):
            return table
        self.problems.append(Problem((name,), f"must be a table: write [{name}]"))
        return {}

    def tables(self, name: str) -> list[dict[str, Any]]:
        """The tables `[[name]]`."""
        tables = self._document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.problems.append(Problem((name,), f"must be an array of tables: write [[{name}]]"))
            return []
        return tables

    def model(self, model: type[M], table: dict[str, Any], path: Path) -> M | None:
        """`table`, which stands at `path`, as `model`; None when it has problems."""
        try:
            return model.model_validate(table)
        except ValidationError as error:
            self.problems += problems_of(error, path, table, model.model_fields)
            return None

    def section(self, cls: type[T], name: str) -> T | None:
        """The table `[name]` as the dataclass `cls`; None when it has problems."""
        table, known = self.table(name), {each.name for each in fields(cast("Any", cls))}
        unknown = [unknown_key((name, key), known) for key in table.keys() - known]
        self.problems += unknown
        try:
            value = TypeAdapter(cls).validate_python({key: table[key] for key in table.keys() & known})
        except ValidationError as error:
            self.problems += problems_of(error, (name,), table, known)
            return None
        return None if unknown else value

    def access(self, nsq: NsqSettings) -> NsqAccess | None:
        """How `[nsq]` lets us in; None, with the problem told, for one that names no source or a bad file."""
        if not nsq.nsqd_tcp_addresses and not nsq.lookupd_http_addresses:
            text = "names no source: set nsqd_tcp_addresses or lookupd_http_addresses"
            self.problems.append(Problem(("nsq",), text))
            return None
        try:
            return nsq.access()
        except ConfigError as error:
            self.problems.append(Problem(("nsq", "tls"), str(error)))
            return None

    def _filled_in(self, value: Any, path: Path) -> Any:
        """The same with the environment's values."""
        if isinstance(value, dict):
            return {key: self._filled_in(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self._filled_in(each, (*path, index)) for index, each in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            return self._text(value)
        except ConfigError as error:
            self.problems.append(Problem(path, str(error)))
            return value

    def _text(self, text: str) -> str:
        """What comes in is not looked at again: neither has a secret references nor a variable secrets."""
        filled, end = "", 0
        for match in REFERENCE.finditer(text):
            filled += interpolated(text[end : match.start()], self._environ)
            filled += self._secrets.get((match[1], match[2]), "")  # when it is missing, that is told already
            end = match.end()
        return filled + interpolated(text[end:], self._environ)

    # -- secrets

    def _read_secrets(self, document: dict[str, Any]) -> dict[tuple[str, str], str]:
        """What the stores have of all that the document refers to, by store and key."""
        stores = self._stores(document.get(SECRETS, {}))
        wanted: dict[str, dict[str, Path]] = {}
        for path, name, key in references({key: document[key] for key in document if key != SECRETS}):
            wanted.setdefault(name, {}).setdefault(key, path)
        found: dict[tuple[str, str], str] = {}
        for name, keys in wanted.items():
            if stores.get(name, name) is None:
                continue  # it has problems of its own
            try:
                values = store_named(name, stores).read(keys, self._environ)
            except ConfigError as error:
                path = (SECRETS, name) if name in stores else next(iter(keys.values()))
                self.problems.append(Problem(path, str(error)))
            else:
                found |= {(name, key): value for key, value in values.items()}
        return found

    def _stores(self, tables: Any) -> dict[str, SecretStore | None]:
        """Each by its name; None for those with problems, which are told already."""
        if not isinstance(tables, dict):
            self.problems.append(Problem((SECRETS,), f"must be tables: write [{SECRETS}.NAME]"))
            return {}
        stores: dict[str, SecretStore | None] = {}
        for name, table in tables.items():
            try:
                stores[name] = STORES.validate_python(self._filled_in(table, (SECRETS, name)))
            except ValidationError as error:
                self.problems += problems_of(error, (SECRETS, name), table, ())
                stores[name] = None
        return stores


def load(
    paths: FilePath | Sequence[FilePath],
    read: Callable[[Tables], T | None],
    environ: Mapping[str, str] = os.environ,
) -> T:
    """What `read` makes of the files and folders at `paths` together; None, or problems left, refuse them.

    Raises BadConfigFile with all that is wrong.
    """
    merged = Merged(read_documents([paths] if isinstance(paths, FilePath) else paths))
    tables = Tables(merged.tables, environ)
    tables.problems += merged.problems
    result = read(tables)
    if result is None or tables.problems:
        raise BadConfigFile(merged.lines(tables.problems))
    return result
