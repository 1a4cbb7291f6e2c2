"""Flags as the original daemons take them, as pieces for click.

`-name` equals `--name`, values come after `=` or as the next argument, booleans take `=true` or `=false` and
never the next argument, the last one wins; durations are Go's. A TOML file gives defaults, its keys being the
flags with underscores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from compat.go_logs import LOG_LEVELS
from compat.version import version_line
from nsqgw.errors import ConfigError
from nsqgw.service.settings import parse_duration

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BOOLEANS = dict.fromkeys(("1", "t", "true"), True) | dict.fromkeys(("0", "f", "false"), False)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in click's newest versions only
    """A Go duration, as seconds. A bare number is milliseconds, and only a config file can hold one."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value / 1000.0
        try:
            return parse_duration(str(value))
        except ConfigError as error:
            self.fail(str(error), param, ctx)


class Boolean(click.ParamType):  # type: ignore[type-arg]  # generic in click's newest versions only
    """`true` or `false`, in the spellings Go takes."""

    name = "true|false"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() not in _BOOLEANS:
            self.fail(f"{value!r} is neither true nor false", param, ctx)
        return _BOOLEANS[str(value).lower()]


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in click's newest versions only
    """Numbers with commas between them, as a tuple; for a flag that may also come several times."""

    name = "number[,...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        try:
            return tuple(map(float, str(value).split(",")))
        except ValueError:
            self.fail(f"{value!r} is no number", param, ctx)


class Word(Boolean):
    """A word that may be left out, for `true`; a config file may hold the boolean."""

    name = "word"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return str(value).lower()


DURATION = Duration()
NUMBERS = Numbers()
BOOLEAN = Boolean()
WORD = Word()
LOG_LEVEL = click.Choice(tuple(LOG_LEVELS), case_sensitive=False)


class GoCommand(click.Command):
    """A command whose arguments are written the way Go's flag package reads them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._canonical(args))

    def _canonical(self, args: Sequence[str]) -> list[str]:
        """The same arguments as `--name=value`, which click reads in one way only."""
        flags = {name: parameter for parameter in self.params for name in parameter.opts}
        canonical: list[str] = []
        rest = iter(args)
        for argument in rest:
            if argument == "--":
                return [*canonical, argument, *rest]
            if not argument.startswith("-") or len(argument) < 3:
                canonical.append(argument)
                continue
            name, equals, value = argument.partition("=")
            name = "--" + name.lstrip("-")
            flag = flags.get(name)
            following = None
            if not equals and isinstance(flag, click.Option) and not flag.is_flag:
                following = "true" if isinstance(flag.type, Boolean) else next(rest, None)
            if following is not None:
                equals, value = "=", following
            canonical.append(name + equals + value)
        return canonical


def joined(
    _ctx: click.Context, _param: click.Parameter, given: Sequence[tuple[float, ...]]
) -> tuple[float, ...]:
    """The NUMBERS of all occurrences of a flag, in one."""
    return tuple(number for numbers in given for number in numbers)


def boolean_option(name: str, default: bool, text: str) -> Decorator:
    """A flag that is true when it stands alone."""
    return click.option(
        name,
        type=BOOLEAN,
        default=default,
        show_default=str(default).lower(),
        metavar="[=true|false]",
        help=text,
    )


def duration_option(name: str, default: str, text: str) -> Decorator:
    """A flag with a Go duration, which the function gets as seconds."""
    return click.option(name, type=DURATION, default=default, show_default=True, help=text)


def version_option(daemon: str) -> Decorator:
    """`-version`: print the original's version line and exit."""

    def show(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
        if wanted:
            click.echo(version_line(daemon))
            ctx.exit(0)

    return click.option(
        "--version",
        type=BOOLEAN,
        default=False,
        metavar="[=true|false]",
        show_default=False,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Print the version and exit.",
    )


def config_option() -> Decorator:
    """`-config`: a TOML file whose keys are the flags with underscores; the command line wins over it."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_load_config,
        help="TOML file; its keys are the flags with underscores.",
    )


def _load_config(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    if not path:
        return
    try:
        with open(path, "rb") as file:
            settings = tomllib.load(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"failed to load config file {path}: {reason}") from error
    known = {parameter.name for parameter in ctx.command.params}
    for key in settings.keys() - known:
        click.echo(f"warning: {path}: {key!r} is no setting of {ctx.info_name} and has no effect", err=True)
    ctx.default_map = {**(ctx.default_map or {}), **settings}
