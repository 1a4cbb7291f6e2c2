"""Options that belong together: one decorator for all of them, and what they stand for as settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Option = Callable[..., Any]
Flags = dict[str, Any]


class OptionGroup:
    """A decorator for commands; `take` makes settings, by their names, of the flags it takes out of all."""

    def __init__(self, options: Sequence[Option], take: Callable[[Flags], dict[str, Any]]) -> None:
        self._options = options
        self.take = take

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(self._options):
            function = option(function)
        return function
