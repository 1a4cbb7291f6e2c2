"""What a setting means, in one line: its description, or its entry in the docstring of its model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

_ENTRY = re.compile(r"^ {4}(?P<names>[a-z_*]+(?:, [a-z_*]+)*)  +(?P<text>\S.*)$")


def meaning(model: type[BaseModel], name: str) -> str:
    """What the setting means; empty when nobody says it."""
    described = model.model_fields[name].description
    return described or next((text for names, text in _entries(model) if name in names), "")


def summary(model: type[BaseModel]) -> str:
    """What the model is for: the first sentence or two of its docstring."""
    return (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def _entries(model: type[BaseModel]) -> Iterator[tuple[set[str], str]]:
    """The names and texts in the docstrings of the model and those it comes from."""
    for each in model.__mro__:
        lines = (vars(each).get("__doc__") or "").splitlines()
        for number, line in enumerate(lines):
            found = _ENTRY.match(line)
            if found is None:
                continue
            following = [text.strip() for text in _continued(lines[number + 1 :])]
            names = set(found["names"].split(", "))
            stars = {name[:-1] for name in names if name.endswith("*")}
            names |= {name for name in model.model_fields if any(name.startswith(star) for star in stars)}
            yield names, " ".join([found["text"], *following])


def _continued(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith(" " * 6):
            return
        yield line
