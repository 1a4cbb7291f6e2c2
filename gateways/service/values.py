"""The kinds of values in gateways' settings that people write as text: durations, sizes, addresses, secrets.

A wrong one is pydantic's error with ConfigError's text; a secret shows as asterisks wherever it is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr

from nsqgw.lookup.client import lookup_address
from nsqgw.service.secret_text import read_secret
from nsqgw.service.settings import parse_address, parse_duration, parse_size


def _of_text(parse: Callable[[str], object]) -> BeforeValidator:
    """Texts are parsed; other values are for pydantic to take or refuse."""

    def take(value: Any) -> Any:
        return parse(value) if isinstance(value, str) else value

    return BeforeValidator(take)


def _checked(parse: Callable[[str], object]) -> AfterValidator:
    """Texts stay as they are, once `parse` has read them."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


Seconds = Annotated[float, _of_text(parse_duration)]
"""`2s`, `1h30m`, or a number of seconds."""

PositiveSeconds = Annotated[float, _of_text(parse_duration), Field(gt=0, le=86_400)]
"""The same, more than none and no more than a day."""

Bytes = Annotated[int, _of_text(parse_size)]
"""`5MB`, `256MiB`, or a number of bytes."""

PositiveBytes = Annotated[int, _of_text(parse_size), Field(ge=1)]
"""The same, one at least."""

Count = Annotated[int, Field(ge=1)]
"""One at least."""

Secret = Annotated[SecretStr, _of_text(read_secret)]
"""The secret as text, or `file:PATH` to read it from a file each time the settings are read."""

NsqdAddress = Annotated[str, _checked(parse_address)]
"""`host:port` of an nsqd's TCP port."""

LookupdAddress = Annotated[
    str,
    _checked(lookup_address),
    PlainSerializer(lambda text: str(lookup_address(text)), when_used="json"),
]
"""`host:port` of an nsqlookupd's HTTP port, or a URL; its user and password are not shown."""
