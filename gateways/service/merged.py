"""Several config files as one document: arrays of tables one after the other, tables side by side.

What stands in two files is a problem, not a question of their order. Every key is remembered with its file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from gateways.service.problems import BadConfigFile, Problem, told
from gateways.service.toml_lines import KeyLines, Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

JSON = ".json"

_POSITION = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was read."""

    file: FilePath
    text: str
    tables: dict[str, Any]


class Merged:
    """`tables` is the whole; `problems` what the files say against each other."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self.tables: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self._owner: dict[Path, int] = {}  # of the keys in tables, and of elements of arrays
        self._first: dict[str, list[int]] = {}  # of an array: the index of each document's first element
        for number, document in enumerate(documents):
            for key, value in document.tables.items():
                self._add(number, key, value)

    def lines(self, problems: Iterable[Problem]) -> list[str]:
        """The problems for people, each with its file and line, in the order of the files."""
        placed = {self._placed(problem) for problem in problems}
        return [text for _, _, text in sorted(placed)]

    def _add(self, number: int, key: str, value: Any) -> None:
        there = self.tables.get(key)
        if isinstance(value, list) and isinstance(there, list | None):
            whole = self.tables.setdefault(key, [])
            self._first.setdefault(key, [0] * number).append(len(whole))
            self._owner |= {(key, len(whole) + index): number for index in range(len(value))}
            whole += value
        elif isinstance(value, dict) and isinstance(there, dict | None):
            self._join(number, key, value)
        else:
            self._set(number, (key,), self.tables, value)
        for starts in self._first.values():
            starts += starts[-1:] * (number + 1 - len(starts))

    def _join(self, number: int, key: str, value: dict[str, Any]) -> None:
        table = self.tables.setdefault(key, {})
        for name, each in value.items():
            self._set(number, (key, name), table, each)

    def _set(self, number: int, path: Path, table: dict[Any, Any], value: Any) -> None:
        if path[-1] not in table:
            table[path[-1]] = value
            self._owner[path] = number
            return
        other = self._documents[self._owner.get(path, 0)].file
        text = f"is in {self._documents[number].file}, too: keep one of them (the other is in {other})"
        self.problems.append(Problem(path, text))

    def _placed(self, problem: Problem) -> tuple[int, int, str]:
        number, path = self._source(problem.path)
        document = self._documents[number]
        line = KeyLines(document.text).line(path)
        return number, line, told(Problem(path, problem.text), f"{document.file}:{line}", document.tables)

    def _source(self, path: Path) -> tuple[int, Path]:
        """The file, and the path in it."""
        for length in (2, 1):
            number = self._owner.get(path[:length])
            if number is not None:
                break
        else:
            holding = (each for each, one in enumerate(self._documents) if path and path[0] in one.tables)
            return next(holding, 0), path
        if len(path) > 1 and isinstance(path[1], int):
            return number, (path[0], path[1] - self._first[str(path[0])][number], *path[2:])
        return number, path


def read_documents(paths: Sequence[FilePath]) -> list[Document]:
    """The files, those of a folder (`*.toml`, `*.json`) in the order of their names. Raises BadConfigFile."""
    files: list[FilePath] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix in (".toml", JSON))
        if not inside:
            raise BadConfigFile([f"{path}: has no file *.toml or *.json"])
        files += inside
    return [_read(file) for file in files]


def _read(file: FilePath) -> Document:
    try:
        text = file.read_bytes().decode("utf-8")
        return Document(file, text, _parsed_json(file, text) if file.suffix == JSON else tomllib.loads(text))
    except OSError as error:
        raise BadConfigFile([f"{file}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise BadConfigFile([f"{file}: is not UTF-8 at byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise BadConfigFile([_syntax_error(file, text, str(error))]) from error
    except RecursionError as error:
        raise BadConfigFile([f"{file}: is too deep: write fewer lists inside lists"]) from error


def _parsed_json(file: FilePath, text: str) -> dict[str, Any]:
    """The same tables as JSON, as programs write them: `pipeline` and `test` are lists."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise BadConfigFile([f"{file}:{line}: is no JSON: {error}"]) from error
    if not isinstance(document, dict):
        raise BadConfigFile([f"{file}:1: is no JSON object with the tables of a config file"])
    return document


def _syntax_error(file: FilePath, text: str, message: str) -> str:
    position = _POSITION.search(message)
    if position is None:
        return f"{file}:{len(text.splitlines()) or 1}: is no TOML: {message}"
    return f"{file}:{position[1]}: is no TOML in column {position[2]}: {message[: position.start()]}"
