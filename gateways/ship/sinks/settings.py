"""What the settings of all sinks have in common: strict keys, no changes once made, secrets never show."""

from __future__ import annotations

import abc
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from gateways.pipeline.sink import Sink
from gateways.service.secrets import with_secret_files
from gateways.ship.template import Template
from nsqgw.errors import ConfigError
from nsqgw.service.settings import MASK, mask_url


class SinkSettings(BaseModel, abc.ABC):
    """One sink as it is configured. Subclasses add `type: Literal[...]`, by which they are told apart.

    Secrets have the type `Secret`, addresses that may carry one the type `Url`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _secret_files(cls, table: Any) -> Any:
        return with_secret_files(cls, table)

    @abc.abstractmethod
    def make(self, concurrency: int) -> Sink:
        """The sink, not yet open, for at most `concurrency` batches on their way at once."""

    def patience(self) -> float:
        """Seconds that a try may take by these settings, where the pipeline's `send_timeout` is shorter."""
        return 0.0

    def shown(self) -> dict[str, object]:
        """The settings, fit for /config: secrets masked."""
        return self.model_dump(mode="json")


def checked_url(url: str) -> str:
    """`url` itself; ValueError, which masks it, when it is no complete URL for HTTP."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise ValueError(
            f"{mask_url(url)!r} is no complete URL: write one such as https://logs.example.com/in"
        )
    return url


Url = Annotated[str, AfterValidator(checked_url), PlainSerializer(mask_url, when_used="json")]
"""An HTTP URL; its user, password, path and query are shown as asterisks."""


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Urls = Annotated[tuple[Url, ...], BeforeValidator(_listed), Field(min_length=1)]
"""One URL, or a list of them."""


def _checked_template(text: str) -> str:
    try:
        Template(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return text


TemplateText = Annotated[str, AfterValidator(_checked_template)]
"""The text of a template; see `gateways.ship.template`."""

Masked = Annotated[str, PlainSerializer(lambda text: text and MASK, when_used="json")]
"""A text that may contain a token, as paths do: shown as asterisks."""

MaskedTemplate = Annotated[Masked, AfterValidator(_checked_template)]
"""A template that may contain one."""


def _checked_path(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"{text!r} is no path: take out the NUL")
    return text


PathText = Annotated[str, AfterValidator(_checked_path)]
"""The path of a file or folder, or a template of one."""
