"""Where `--to` leads: `file:PATH`, `stdout`, `http(s)://...`, as settings, and the sinks made of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateways.pipeline.sink import Sink
from gateways.ship.sinks.file import FileSink
from gateways.ship.sinks.http import HttpSettings
from gateways.ship.sinks.settings import SinkSettings as OneSink
from gateways.ship.sinks.settings import checked_url
from gateways.ship.sinks.stdout import StdoutSink
from nsqgw.errors import ConfigError
from nsqgw.service.settings import mask_url

KNOWN = "file:PATH, stdout, http://HOST/PATH, https://HOST/PATH"


class FileSettings(OneSink):
    """Append to `path`."""

    type: Literal["file"] = "file"
    path: str

    def make(self, concurrency: int) -> Sink:
        """The sink; its writes are in order of their own, whatever `concurrency`."""
        return FileSink(self.path)


class StdoutSettings(OneSink):
    """Write to standard output."""

    type: Literal["stdout"] = "stdout"

    def make(self, concurrency: int) -> Sink:
        """The sink; its writes are in order of their own, whatever `concurrency`."""
        return StdoutSink()


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
