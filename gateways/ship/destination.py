"""Where `--to` leads: `file:PATH`, `stdout`, `http(s)://...`, as settings, and the sinks made of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateways.ship.sinks.file import FileSettings
from gateways.ship.sinks.http import HttpSettings
from gateways.ship.sinks.settings import checked_url
from gateways.ship.sinks.stdout import StdoutSettings
from nsqgw.errors import ConfigError
from nsqgw.service.settings import mask_url

KNOWN = "file:PATH, stdout, http://HOST/PATH, https://HOST/PATH"


SinkSettings = Annotated[FileSettings | StdoutSettings | HttpSettings, Field(discriminator="type")]
"""The settings of one sink, told apart by `type`."""


def parse_destination(text: str) -> FileSettings | StdoutSettings | HttpSettings:
    """The settings that a `--to` stands for. Raises ConfigError, naming the known kinds."""
    kind, _, rest = text.partition(":")
    if text == "stdout":
        return StdoutSettings()
    if kind == "file":
        if not rest:
            raise ConfigError("destination 'file:' names no file: write file:PATH, such as file:out.ndjson")
        return FileSettings(path=rest)
    if kind in ("http", "https"):
        try:
            return HttpSettings(url=(checked_url(text),))
        except ValueError as error:
            raise ConfigError(f"destination {error}") from error
    shown = mask_url(text) if "//" in text or "@" in text else text
    raise ConfigError(f"destination {shown!r} is not known: it must be one of {KNOWN}")
