"""What is wrong with a config file, each in one line: file, line, key, value, remedy."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gateways.service.toml_lines import Path
from nsqgw.errors import ConfigError
from nsqgw.service.settings import MASK, mask_url

_SECRET_KEY = re.compile(
    r"secret|token|passw|passphrase|api_?key|access_?key|credential|dsn|auth|headers?", re.IGNORECASE
)
_MAX_SHOWN = 80

_WORDS = {
    "missing": "is missing: it must be set",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "string_type": "must be a text in quotes",
    "tuple_type": 'must be a list, such as ["a", "b"]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake at one key; `text` says what is wrong there and how to mend it."""

    path: Path
    text: str


class BadConfigFile(ConfigError):
    """A config file that cannot be used; its text has all problems, a line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def unknown_key(path: Path, known: Iterable[str]) -> Problem:
    """`path` ends in a key that there is none of."""
    known = sorted(known)
    near = difflib.get_close_matches(str(path[-1]), known, 1)
    remedy = (
        f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}" if known else "take it out"
    )
    return Problem(path, f"is no setting here; {remedy}")


def problems_of(error: ValidationError, prefix: Path, document: Any, known: Iterable[str]) -> list[Problem]:
    """Pydantic's errors about the table at `prefix`; `document` is the table, `known` are its keys."""
    return [_problem(each, prefix, document, known) for each in error.errors(include_url=False)]


def _problem(error: Mapping[str, Any], prefix: Path, document: Any, known: Iterable[str]) -> Problem:
    kind, text = error["type"], error["msg"].removeprefix("Value error, ")
    path = (*prefix, *_path_in(document, error["loc"], absent=kind == "missing"))
    if kind == "extra_forbidden":
        return unknown_key(path, known if len(path) == len(prefix) + 1 else ())
    if kind == "union_tag_not_found":
        return Problem((*path, "type"), _WORDS["missing"])
    if kind == "union_tag_invalid":
        return _unknown_type((*path, "type"), error["ctx"]["tag"], error["ctx"]["expected_tags"])
    if kind == "literal_error":
        return Problem(path, f"must be {error['ctx']['expected']}")
    text = text.replace("Input should be", "must be", 1)
    return Problem(path, _WORDS.get(kind, f"{text[0].lower()}{text[1:]}"))


def _unknown_type(path: Path, given: str, expected: str) -> Problem:
    """`expected` is pydantic's text, names in quotes with commas between them."""
    near = difflib.get_close_matches(given, re.findall(r"'([^']+)'", expected), 1)
    remedy = f"; did you mean {near[0]}?" if near else ""
    return Problem(path, f"must be one of {expected}{remedy}")


def _path_in(document: Any, loc: Sequence[str | int], *, absent: bool) -> Path:
    """`loc` without what pydantic puts in, the names of members of a union. `absent`: it ends in a key."""
    path: list[str | int] = []
    for position, part in enumerate(loc):
        if isinstance(document, str):  # one text where a list could be: the list's index is pydantic's
            break
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            if isinstance(part, int) or position < len(loc) - 1 or not absent:
                continue
        path.append(part)
    return tuple(path)


def told(problem: Problem, where: str, document: Any) -> str:
    """The line for people: the key as it is written, and the value as it stands in the file."""
    value: Any = document
    for part in problem.path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return f"{where}: {_dotted(problem.path)}: {problem.text}"
    if not problem.path:
        return f"{where}: the file {problem.text}"
    if _has_tables(value):  # too much to be shown, and its key says which one it is
        return f"{where}: {_dotted(problem.path)}: {problem.text}"
    return f"{where}: {_dotted(problem.path)} = {_shown(problem.path, value)}: {problem.text}"


def _has_tables(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(map(_has_tables, value)))


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(path: Path, value: Any) -> str:
    keys = [part for part in path if isinstance(part, str)]
    if isinstance(value, str) and "//" in value:
        value = mask_url(value)
    text = json.dumps(value, default=str, ensure_ascii=False)
    if _SECRET_KEY.search(keys[-1] if keys else "") and not (isinstance(value, str) and value[:2] == "${"):
        return MASK
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
