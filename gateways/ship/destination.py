"""The kinds of sinks, told apart by `type`; and where `--to` leads, for those that one value describes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, ValidationError

from gateways.ship.sinks.clickhouse import ClickhouseSettings
from gateways.ship.sinks.datadog import DatadogSettings
from gateways.ship.sinks.discard import DiscardSettings
from gateways.ship.sinks.elasticsearch import ElasticsearchSettings
from gateways.ship.sinks.file import FileSettings
from gateways.ship.sinks.http import HttpSettings
from gateways.ship.sinks.loggly import LogglySettings
from gateways.ship.sinks.loki import LokiSettings
from gateways.ship.sinks.nginx import NginxSettings
from gateways.ship.sinks.nsq import NsqSettings
from gateways.ship.sinks.otlp import OtlpSettings
from gateways.ship.sinks.postgresql import PostgresqlSettings
from gateways.ship.sinks.redis import RedisSettings
from gateways.ship.sinks.s3 import S3Settings
from gateways.ship.sinks.settings import SinkSettings as OneSink
from gateways.ship.sinks.splunk import SplunkSettings
from gateways.ship.sinks.sqlite import SqliteSettings
from gateways.ship.sinks.stdout import StdoutSettings
from gateways.ship.sinks.syslog import SyslogSettings
from nsqgw.errors import ConfigError
from nsqgw.service.settings import mask_url

KNOWN = (
    "file:PATH, sqlite:PATH, stdout, http://HOST/PATH, https://HOST/PATH, postgresql://USER@HOST/DATABASE, "
    "redis://HOST:PORT, syslog://HOST:PORT, syslog+tls://HOST:PORT, nsq://HOST:PORT"
)

SinkSettings = Annotated[
    FileSettings
    | StdoutSettings
    | HttpSettings
    | LogglySettings
    | ElasticsearchSettings
    | SplunkSettings
    | LokiSettings
    | DatadogSettings
    | OtlpSettings
    | ClickhouseSettings
    | S3Settings
    | SyslogSettings
    | PostgresqlSettings
    | SqliteSettings
    | RedisSettings
    | NsqSettings
    | NginxSettings
    | DiscardSettings,
    Field(discriminator="type"),
]
"""The settings of one sink, told apart by `type`."""


_Make = Callable[[str, str], OneSink]

_KINDS: dict[str, _Make] = {
    "file": lambda text, rest: FileSettings(path=rest),
    "sqlite": lambda text, rest: SqliteSettings(path=rest),
    "http": lambda text, rest: HttpSettings(url=(text,)),
    "https": lambda text, rest: HttpSettings(url=(text,)),
    "postgresql": lambda text, rest: PostgresqlSettings.model_validate({"dsn": text}),
    "redis": lambda text, rest: RedisSettings(url=text),
    "rediss": lambda text, rest: RedisSettings(url=text),
    "syslog": lambda text, rest: SyslogSettings(address=_address(rest)),
    "syslog+tls": lambda text, rest: SyslogSettings.model_validate({"address": _address(rest), "tls": {}}),
    "nsq": lambda text, rest: NsqSettings(nsqd_tcp_addresses=tuple(_address(rest).split(","))),
}


def parse_destination(text: str) -> OneSink:
    """The settings that a `--to` stands for. Raises ConfigError, naming the known kinds."""
    kind, _, rest = text.partition(":")
    if text == "stdout":
        return StdoutSettings()
    if kind not in _KINDS:
        shown = mask_url(text) if "//" in text or "@" in text else text
        raise ConfigError(
            f"destination {shown!r} is not known: it must be one of {KNOWN}; "
            "others stand in a config file: nsqgw ship config example TYPE"
        )
    if not rest and kind in ("file", "sqlite"):
        raise ConfigError(
            f"destination '{kind}:' names no file: write {kind}:PATH, such as {kind}:/var/log/events"
        )
    try:
        return _KINDS[kind](text, rest)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"destination {reason}") from None


def _address(rest: str) -> str:
    """What stands behind `//`."""
    return rest.removeprefix("//").rstrip("/")
