"""Regular expressions that take time in proportion to the text, whatever the text: RE2's.

Bodies come from strangers; with Python's own engine one line could hold the gateway up for hours.
"""

from __future__ import annotations

from typing import Any

from nsqgw.errors import ConfigError

_MAX_PATTERN = 1000
_MAX_MEMORY = 8 << 20


def compile_pattern(text: str) -> Any:
    """RE2's pattern object. Raises ConfigError, saying what RE2 does not take."""
    import re2  # a large library, for those who use patterns

    if len(text) > _MAX_PATTERN:
        raise ConfigError(f"pattern {text[:40]!r}... is longer than {_MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(text, options=options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ConfigError(
            f"pattern {text!r} cannot be used: {reason}; RE2 has neither look-around nor back-references"
        ) from None
