"""The kinds of values in ship's settings that people write as text: durations, sizes and secrets.

A wrong one raises ConfigError's text as pydantic's error; a secret shows as asterisks wherever it is printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr

from nsqgw.errors import ConfigError
from nsqgw.service.settings import parse_duration, parse_size

FILE_PREFIX = "file:"

_MAX_SECRET_BYTES = 64 * 1024


def _seconds(value: Any) -> Any:
    return _parsed(parse_duration, value) if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    return _parsed(parse_size, value) if isinstance(value, str) else value


def read_secret(text: str) -> str:
    """The secret itself: `text`, or what stands in PATH for `file:PATH`, without the newline at its end.

    Raises ConfigError when there is no such file, or nothing in it.
    """
    if not text.startswith(FILE_PREFIX):
        return text
    path = Path(text.removeprefix(FILE_PREFIX))
    try:
        with path.open("rb") as file:
            secret = file.read(_MAX_SECRET_BYTES).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"secret file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"secret file {path} is not UTF-8 text") from error
    if not secret:
        raise ConfigError(f"secret file {path} is empty: put the secret into it")
    return secret


def _secret(value: Any) -> Any:
    return _parsed(read_secret, value) if isinstance(value, str) else value


def _parsed(parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""`2s`, `1h30m`, or a number of seconds."""

Bytes = Annotated[int, BeforeValidator(_bytes)]
"""`5MB`, `256MiB`, or a number of bytes."""

Secret = Annotated[SecretStr, BeforeValidator(_secret)]
"""The secret as text, or `file:PATH` to read it from a file each time the settings are read."""
