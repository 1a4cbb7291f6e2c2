"""`${NAME}` in the values of a config file: replaced after the file was parsed, so no value can add a key.

`${NAME:-text}` is the text when NAME is not set or empty, `${NAME:?text}` an error with that text; `$$` is a
dollar, and a dollar before anything else is one, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nsqgw.errors import ConfigError

_REFERENCE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^}]*))?\}|(\{[^}]*\}?))")


def interpolated(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its references replaced. Raises ConfigError naming the variable that is missing."""

    def value(match: re.Match[str]) -> str:
        dollar, name, how, rest, malformed = match.groups()
        if dollar:
            return "$"
        if malformed:
            raise ConfigError(
                f"${malformed} names no environment variable: write ${{NAME}}, or $$ for a dollar"
            )
        found = environ.get(name)
        if found or (found is not None and how is None):
            return found
        if how == ":-":
            return str(rest)
        if how == ":?":
            raise ConfigError(f"environment variable {name}: {rest or 'it must be set'}")
        raise ConfigError(f"environment variable {name} is not set: set it, or write ${{{name}:-default}}")

    return _REFERENCE.sub(value, text)
