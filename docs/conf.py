"""How Sphinx builds these pages, with the reference from the docstrings: `make docs`."""

from __future__ import annotations

import re
from typing import Any

from nsqgw.version import __version__

project = "nsqgw"
author = "The nsqgw authors"
version = release = __version__

extensions = ["sphinx.ext.autodoc", "myst_parser"]
suppress_warnings = ["myst.xref_missing"]  # links to files beside docs/, which are right where they are read
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
html_theme = "alabaster"
html_theme_options = {"description": "An NSQ suite for Python", "page_width": "1100px"}

_FIELD = re.compile(r"(?P<names>\w+(?:, \w+)*)  +(?P<text>\S.*)")
_TREE = re.compile("[│├└]")


def from_our_style(app: Any, what: str, name: str, item: object, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: `code`, tables of names and meanings, drawings. Here they become reST."""
    lines[:] = [new for line in _drawings_apart(lines) for new in _as_rest(line)]


def _drawings_apart(lines: list[str]) -> list[str]:
    """A paragraph with a drawing in it becomes a literal block."""
    done: list[str] = []
    for paragraph in "\n".join(lines).split("\n\n"):
        if _TREE.search(paragraph):
            done += ["::", "", *("    " + line for line in paragraph.splitlines()), ""]
        else:
            done += [*paragraph.splitlines(), ""]
    return done


def _as_rest(line: str) -> list[str]:
    if _TREE.search(line) or line == "::":
        return [line]
    line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
    if field := _FIELD.fullmatch(line):
        names = ", ".join(f"``{each}``" for each in field["names"].split(", "))
        return [names, "    " + field["text"]]
    # What goes on below a name stands deeper than its text here; one depth is all that reST minds.
    return ["    " + line.strip()] if line.startswith("      ") else [line]


def what_a_call_gives(
    app: Any, what: str, name: str, item: object, options: Any, arguments: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """The HTTP clients' methods are described as calls, and give what these do."""
    return arguments, result and re.sub(r"^Call\[(.*)\]$", r"\1", result)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", what_a_call_gives)
    app.connect("autodoc-process-docstring", from_our_style)
