"""Where `--to` leads: `file:PATH`, `stdout`, `http(s)://...`, as settings, and the sinks made of them."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from gateways.pipeline.sink import Sink
from gateways.ship.sinks.file import FileSink
from gateways.ship.sinks.http import HttpSink
from gateways.ship.sinks.stdout import StdoutSink
from nsqgw.errors import ConfigError
from nsqgw.service.settings import mask_url

KNOWN = "file:PATH, stdout, http://HOST/PATH, https://HOST/PATH"


class _SinkSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileSettings(_SinkSettings):
    """Append to `path`."""

    type: Literal["file"] = "file"
    path: str

    def make(self, concurrency: int) -> Sink:
        """The sink; its writes are in order of their own, whatever `concurrency`."""
        return FileSink(self.path)

    def shown(self) -> str:
        """As `--to` takes it, fit for /config."""
        return f"file:{self.path}"


class StdoutSettings(_SinkSettings):
    """Write to standard output."""

    type: Literal["stdout"] = "stdout"

    def make(self, concurrency: int) -> Sink:
        """The sink; its writes are in order of their own, whatever `concurrency`."""
        return StdoutSink()

    def shown(self) -> str:
        """As `--to` takes it, fit for /config."""
        return "stdout"


class HttpSettings(_SinkSettings):
    """POST to `url`; time-outs in seconds."""

    type: Literal["http"] = "http"
    url: str
    connect_timeout: float = Field(default=5.0, gt=0)
    request_timeout: float = Field(default=20.0, gt=0)

    def make(self, concurrency: int) -> Sink:
        """The sink, with at most `concurrency` requests at once."""
        return HttpSink(
            self.url,
            concurrency=concurrency,
            connect_timeout=self.connect_timeout,
            request_timeout=self.request_timeout,
        )

    def shown(self) -> str:
        """As `--to` takes it, fit for /config: secrets masked."""
        return mask_url(self.url)


SinkSettings = Annotated[FileSettings | StdoutSettings | HttpSettings, Field(discriminator="type")]


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
        return HttpSettings(url=_checked_url(text))
    shown = mask_url(text) if "//" in text or "@" in text else text
    raise ConfigError(f"destination {shown!r} is not known: it must be one of {KNOWN}")


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise ConfigError(
            f"destination {mask_url(url)!r} is no complete URL: write one such as https://logs.example.com/in"
        )
    return url
