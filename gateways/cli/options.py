"""The types of the subcommands' options; a bad value is a usage error of one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nsqgw.errors import ConfigError
from nsqgw.protocol.names import check_channel, check_topic
from nsqgw.service.hosts import check_host_name
from nsqgw.service.listen import is_path
from nsqgw.service.settings import parse_address, parse_duration, parse_size


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic in click's newest versions only
    """A value read by one of the library's parsers; its ConfigError becomes a usage error."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


def _checked_address(text: str) -> str:
    """The text itself, once it was read as an address: the library takes "host:port" strings."""
    parse_address(text)
    return text


def _checked_lookup_address(text: str) -> str:
    """The same for nsqlookupd's, which may be a URL."""
    from nsqgw.lookup.client import lookup_address  # for clients; a daemon starts without

    lookup_address(text)
    return text


def _checked_listen_address(text: str) -> str:
    """The same for what is listened on, which may be the path of a unix socket."""
    return text if is_path(text) else _checked_address(text)


def _checked_topic_or_pattern(text: str) -> str:
    """A topic, or a pattern of such."""
    from nsqgw.consumer.topics import split_topics  # for clients; a daemon starts without

    split_topics(text)
    return text


ADDRESS = Parsed("host:port", _checked_address)
OPTIONAL_ADDRESS = Parsed("host:port", lambda text: text and _checked_address(text))
LISTEN_ADDRESS = Parsed("host:port or path", _checked_listen_address)
OPTIONAL_LISTEN_ADDRESS = Parsed("host:port or path", lambda text: text and _checked_listen_address(text))
LOOKUP_ADDRESS = Parsed("host:port or URL", _checked_lookup_address)
DURATION = Parsed("duration", parse_duration)
SIZE = Parsed("size", parse_size)
TOPIC = Parsed("topic", check_topic)
TOPIC_OR_PATTERN = Parsed("topic", _checked_topic_or_pattern)
OPTIONAL_TOPIC = Parsed("topic", lambda text: text and check_topic(text))
CHANNEL = Parsed("channel", check_channel)


def allow_host_option(server: str) -> Callable[..., Any]:
    """`--allow-host`, for the HTTP ports that `server` names."""
    return click.option(
        "--allow-host",
        "allow_hosts",
        type=Parsed("name", check_host_name),
        multiple=True,
        help=f"A name of {server} beside addresses, localhost and this machine's; repeatable, * for all.",
    )
