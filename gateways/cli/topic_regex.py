"""Regular expressions for topics, as the original tools take them, as the wildcards that nsqgw takes.

Topics have no characters but letters, digits and `._-`, so what people write is simple; what has no equal
among wildcards is refused rather than read in another way.
"""

from __future__ import annotations

import re

from nsqgw.errors import ConfigError

_PIECE = re.compile(
    r"(?P<any>\.\*\??)|(?P<some>\.\+\??)|(?P<one>\.)|\\(?P<escaped>[.\-_])|(?P<digit>\\d)(?![*+?{])"
    r"|(?P<set>\[\^?[A-Za-z0-9._-]+\])(?![*+?{])|(?P<literal>[A-Za-z0-9_-])(?![*+?{])"
)


def wildcards_of(regex: str) -> tuple[str, ...]:
    """The wildcard patterns that match what `regex` finds anywhere in a topic's name.

    Raises ConfigError when there are none.
    """
    return tuple(_wildcard(branch, regex) for branch in regex.split("|"))


def _wildcard(branch: str, regex: str) -> str:
    start = "" if branch.startswith("^") else "*"
    end = "" if branch.endswith("$") else "*"
    rest = branch.removeprefix("^").removesuffix("$")
    parts = []
    position = 0
    while position < len(rest):
        match = _PIECE.match(rest, position)
        if match is None:
            raise ConfigError(
                f"topic pattern {regex!r} has {rest[position:]!r}, for which there is no wildcard: write"
                r" one such as ^logs\..*$, with . .* .+ [...] and |"
            )
        parts.append(_translated(match))
        position = match.end()
    return re.sub(r"\*\*+", "*", start + "".join(parts) + end)


def _translated(match: re.Match[str]) -> str:
    if match["any"]:
        return "*"
    if match["some"]:
        return "?*"
    if match["one"]:
        return "?"
    if match["digit"]:
        return "[0-9]"
    if match["set"]:
        return match["set"].replace("[^", "[!")
    return match["escaped"] or match["literal"]
