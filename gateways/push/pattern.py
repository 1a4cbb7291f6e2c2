"""Patterns: names of channels that end in a star, and stand for all that begin so."""

from __future__ import annotations

PATTERN_END = "*"


def prefix_of(name: str) -> str | None:
    """What channels begin with that the pattern `name` stands for; None when it is a channel's name."""
    return name[: -len(PATTERN_END)] if name.endswith(PATTERN_END) else None


def covers(name: str, other: str) -> bool:
    """Whether who follows `name`, a channel or a pattern, gets all that who follows `other` gets."""
    prefix = prefix_of(name)
    return name == other if prefix is None else other.startswith(prefix)
