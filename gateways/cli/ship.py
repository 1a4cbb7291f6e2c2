"""`nsqgw ship`: topics to files and log services, by flags or by a config file.

Its subcommands are for looking at a config file, a running gateway and its dead letters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from pydantic import ValidationError

from gateways.cli.access import taken_access
from gateways.cli.config_errors import reported
from gateways.cli.options import (
    CHANNEL,
    DURATION,
    OPTIONAL_ADDRESS,
    SIZE,
    TOPIC_OR_PATTERN,
    Parsed,
    allow_host_option,
)
from gateways.cli.service_options import log_options, source_options
from gateways.cli.subcommands import WithSubcommands
from gateways.ship.config import ServiceSettings, ShipConfig
from gateways.ship.config_file import load_config
from gateways.ship.destination import KNOWN, parse_destination
from gateways.ship.gateway import ShipGateway
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from nsqgw.service import logs
from nsqgw.service.lifecycle import run
from nsqgw.service.settings import size_text

SUBCOMMANDS = {
    "validate": ("gateways.cli.ship_validate", "Check a config file, and whether what it names is reached."),
    "test": ("gateways.cli.ship_test", "Run the tests that a config file has for its transforms."),
    "top": ("gateways.cli.ship_top", "Watch what a running gateway does."),
    "tap": ("gateways.cli.ship_tap", "Watch events pass through a running gateway."),
    "health": ("gateways.cli.ship_health", "Whether a running gateway is well, as an exit code."),
    "config": ("gateways.cli.ship_config", "What a config file can hold: a schema, examples."),
    "convert": (
        "gateways.cli.ship_convert",
        "A command line of nsq_to_http or nsq_to_file as a config file.",
    ),
    "explain": ("gateways.cli.ship_explain", "What a sink would make of an answer of its service."),
    "dlq": ("gateways.cli.ship_dlq", "Dead letters: list, show, replay, export."),
}
"""Name -> the module that has it as `command`, and its line in the help."""

DESTINATION = Parsed("destination", parse_destination)


def _setting(flag: str, kind: click.ParamType, text: str) -> Callable[..., Any]:  # type: ignore[type-arg]  # generic in click's newest versions only
    """An option whose default is the model's."""
    default = ShipSettings.model_fields[flag.lstrip("-").replace("-", "_")].default
    shown = f"{default:g}s" if kind is DURATION else size_text(default) if kind is SIZE else str(default)
    return click.option(flag, type=kind, default=shown, show_default=True, help=text)


def _only_one(_ctx: click.Context, _param: click.Parameter, given: tuple[Any, ...]) -> Any:
    """Two places would need a file, and of two the first must not be left out silently."""
    if len(given) > 1:
        raise click.UsageError("--to is given twice: a pipeline to several sinks needs --config FILE")
    return given[0] if given else None


class ShipCommand(WithSubcommands):
    """Runs by flags or a config file."""

    subcommands = SUBCOMMANDS


@click.command("ship", cls=ShipCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "configs",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="A TOML file with pipelines, or a folder of such, in place of all flags that are about one pipeline;"
    " repeatable. SIGHUP reads it again.",
)
@click.option("--topic", "topics", type=TOPIC_OR_PATTERN, multiple=True, help="Topic or pattern; repeatable.")
@click.option("--channel", type=CHANNEL, help="Channel to consume on.")
@click.option("--to", type=DESTINATION, multiple=True, callback=_only_one, help=f"Where to: {KNOWN}.")
@source_options
@_setting("--max-in-flight", click.INT, "Messages in hand at once, for each topic.")
@_setting("--batch-max-messages", click.INT, "Send a batch when it has so many messages,")
@_setting("--batch-max-bytes", SIZE, "or so many bytes,")
@_setting("--batch-max-age", DURATION, "or when its first message is so old.")
@_setting("--concurrency", click.INT, "Batches on their way at once, in the beginning.")
@_setting("--max-concurrency", click.INT, "Most that this adapts to; 0 leaves it as it is.")
@_setting("--dedup", click.INT, "Events remembered as confirmed, so as not to be sent twice; 0 is none.")
@_setting("--max-bytes-held", SIZE, "Take no more messages while so many bytes are in hand.")
@_setting(
    "--retry-budget", DURATION, "Hold messages so long for a sink that fails; then nsqd gets them back."
)
@_setting("--send-timeout", DURATION, "For one try of one batch.")
@_setting("--connect-timeout", DURATION, "Give up the start when nothing given answers by then.")
@_setting("--drain-timeout", DURATION, "For stopping in order.")
@click.option(
    "--admin-address",
    type=OPTIONAL_ADDRESS,
    default=ServiceSettings.model_fields["admin_address"].default,
    show_default=True,
    help="For /ping, /ready, /metrics, /config, /status and /tap; empty for none.",
)
@allow_host_option("the admin port")
@log_options
@click.pass_context
def command(ctx: click.Context, /, configs: tuple[Path, ...], **flags: Any) -> int:
    """Ship TOPICs to a file or a log service, in batches; or what a config file says, with several pipelines.

    A message is finished only when the destination has it; while the destination fails, messages are held and
    tried again, then given back to nsqd. SIGTERM and Ctrl-C send what is in hand before the end.
    """
    if not configs:
        return run_gateway(_by_flags(flags))
    given = {name for name in flags if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    service = {name: flags[name] for name in given & ServiceSettings.model_fields.keys()}
    if given - service.keys():
        flag = next(p.opts[0] for p in ctx.command.params if p.name in given - service.keys())
        raise click.UsageError(f"{flag} belongs into the file when there is --config")

    def load() -> ShipConfig:
        return load_config(configs, service)

    with reported():
        return run_gateway(load(), load)


def run_gateway(
    config: ShipConfig, load: Callable[[], ShipConfig] | None = None, *, name: str = ShipGateway.name
) -> int:
    """Run until a signal, and return the exit code; SIGHUP loads the configuration anew, where it can be.

    `name` is how logs and messages call it.
    """
    service = config.service
    logs.configure(service.log_level, service.log_format)
    return run(
        ShipGateway(config, load, name),
        admin_address=service.admin_address,
        drain_timeout=service.drain_timeout,
        allow_hosts=service.allow_hosts,
    )


def _by_flags(flags: dict[str, Any]) -> ShipConfig:
    """The configuration of one pipeline that the flags stand for."""
    for name in ("topics", "channel", "to"):
        if not flags[name]:
            raise click.UsageError(f"Missing option '--{name.removesuffix('s')}', or --config FILE")
    service = {name: flags[name] for name in ServiceSettings.model_fields if name in flags}
    settings = {
        name: value
        for name, value in flags.items()
        if name not in service or name in ShipSettings.model_fields
    }
    settings["sinks"] = (NamedSink(to=settings.pop("to")),)
    settings["nsqd_tcp_addresses"] = settings.pop("nsqds")
    settings["lookupd_http_addresses"] = settings.pop("lookupds")
    settings["access"] = taken_access(settings)
    return ShipConfig((_settings(settings),), ServiceSettings.model_validate(service))


def _settings(values: dict[str, Any]) -> ShipSettings:
    """The pipeline that the flags stand for; a bad value is a usage error naming the flag and the value."""
    try:
        return ShipSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        text = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise click.UsageError(text) from None
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise click.UsageError(f"{flag} {first['input']}: {text[0].lower()}{text[1:]}") from None
