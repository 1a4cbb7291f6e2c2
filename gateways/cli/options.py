"""What the subcommands' options share: value types with one-line errors, and flags with one or two dashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from nsqgw.errors import ConfigError
from nsqgw.protocol.names import check_channel, check_topic
from nsqgw.service.settings import parse_address, parse_duration, parse_size


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
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


ADDRESS = Parsed("host:port", _checked_address)
OPTIONAL_ADDRESS = Parsed("host:port", lambda text: text and _checked_address(text))
DURATION = Parsed("duration", parse_duration)
SIZE = Parsed("size", parse_size)
TOPIC = Parsed("topic", check_topic)
CHANNEL = Parsed("channel", check_channel)


class GoFlagsCommand(click.Command):
    """A command whose options are also taken as Go programs write them.

    `-tcp-address=x` stands for `--tcp-address=x`, `-verbose=true` for `--verbose`; `--verbose=false` leaves a
    flag off.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bring Go's spellings into click's, then parse."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        names = {name: option for option in options for name in option.opts + option.secondary_opts}
        return super().parse_args(ctx, _with_two_dashes(args, names))


def _with_two_dashes(args: Sequence[str], options: dict[str, click.Option]) -> list[str]:
    result: list[str] = []
    for position, arg in enumerate(args):
        if arg == "--":
            return result + list(args[position:])
        name, equals, value = arg.partition("=")
        if name not in options and f"-{name}" in options:
            name = f"-{name}"
        option = options.get(name)
        if option is not None and option.is_flag and equals and value in ("true", "false"):
            result += [name] if value == "true" else option.secondary_opts[:1]
        else:
            result.append(name + equals + value)
    return result
