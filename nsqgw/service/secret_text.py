"""Secrets as people give them: the text itself, or `file:PATH` for what stands in a file."""

from __future__ import annotations

from pathlib import Path

from nsqgw.errors import ConfigError

FILE_PREFIX = "file:"

_MAX_BYTES = 64 * 1024


def read_secret(text: str) -> str:
    """The secret itself: `text`, or what stands in PATH for `file:PATH`, without the newline at its end.

    Raises ConfigError when there is no such file, or nothing in it.
    """
    if not text.startswith(FILE_PREFIX):
        return text
    path = Path(text.removeprefix(FILE_PREFIX))
    try:
        with path.open("rb") as file:
            secret = file.read(_MAX_BYTES).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"secret file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"secret file {path} is not UTF-8 text") from error
    if not secret:
        raise ConfigError(f"secret file {path} is empty: put the secret into it")
    return secret
