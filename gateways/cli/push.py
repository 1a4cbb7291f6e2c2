"""`nsqgw push`: topics to browsers, by flags or by a config file.

Each group of options is a module of its own, named push_<part>.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from gateways.cli.config_errors import reported
from gateways.cli.event_loop import runner
from gateways.cli.open_files import allow_all_files
from gateways.cli.push_channels import CHANNELS
from gateways.cli.push_compat import PUSH_STREAM
from gateways.cli.push_history import HISTORY, LIMITS
from gateways.cli.push_listen import LISTEN
from gateways.cli.push_security import SECURITY
from gateways.cli.push_service import FIELDS, SERVICE
from gateways.cli.push_streams import STREAMS
from gateways.cli.subcommands import WithSubcommands
from gateways.push.config import PushConfig
from gateways.push.config_file import PushProgram, load_program
from gateways.push.gateway import PushGateway
from gateways.push.processes import PushProcesses
from gateways.push.settings import ServiceSettings
from gateways.push.worker import Worker
from nsqgw.errors import ConfigError
from nsqgw.service import logs
from nsqgw.service.lifecycle import Service, run

logger = logging.getLogger(__name__)

GROUPS = (STREAMS, CHANNELS, LISTEN, SECURITY, LIMITS, HISTORY, PUSH_STREAM)
"""What they take are arguments of PushConfig."""

SUBCOMMANDS = {
    "validate": ("gateways.cli.push_validate", "Check a config file, and whether what it names is reached."),
    "top": ("gateways.cli.push_top", "Watch what a running gateway does."),
    "health": ("gateways.cli.push_health", "Whether a running gateway is well, as an exit code."),
    "config": ("gateways.cli.push_config", "What a config file can hold: a schema."),
    "bridge": ("gateways.cli.push_bridge", "Publish topics into an nginx (push-stream or nchan)."),
}
"""Name -> the module that has it as `command`, and its line in the help."""

_THIS_COMMAND = (sys.executable, "-m", "gateways.cli.main", *sys.argv[1:])
_LAST_WORDS = 3.0  # seconds a supervisor waits longer than its workers drain


class PushCommand(WithSubcommands):
    """Runs by flags or a config file."""

    subcommands = SUBCOMMANDS


@click.command("push", cls=PushCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file in place of all flags but those of the program; SIGHUP reads it again.",
)
@STREAMS
@CHANNELS
@LISTEN
@SECURITY
@LIMITS
@HISTORY
@PUSH_STREAM
@SERVICE
@click.pass_context
def command(ctx: click.Context, /, config: Path | None, **flags: Any) -> int:
    """Stream TOPICs to browsers, by WebSocket and server-sent events, at /stream/<topic>.

    /connect is one WebSocket for many topics; docs/push-protocol.md has its protocol.

    / is a page that shows the streams. A browser that comes back with its position gets what it missed. One
    that does not take its messages is closed, or as --slow says, so that the others never wait.
    """
    if config is None:
        return run_gateway(_by_flags(flags))
    given = {name for name in flags if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if misplaced := given.difference(FIELDS):
        flag = next(p.opts[0] for p in ctx.command.params if p.name in misplaced)
        raise click.UsageError(f"{flag} belongs into the file when there is --config")
    service = {name: flags[name] for name in given}

    def load() -> PushProgram:
        return load_program(config, service)

    with reported():
        return run_gateway(load(), load)


def run_gateway(program: PushProgram, load: Callable[[], PushProgram] | None = None) -> int:
    """Run until a signal, and return the exit code; SIGHUP loads the settings anew, where it can be."""
    service, worker = program.service, Worker.this()
    logs.configure(service.log_level, service.log_format)
    allow_all_files()
    gateway: Service
    if worker is not None:
        worker.settle()
        renew = None if load is None else lambda: worker.place(load().config)
        gateway = PushGateway(worker.place(program.config), load=renew)
    elif service.processes != 1:
        gateway = PushProcesses(program.config, service.processes, _THIS_COMMAND, _renewal(service, load))
    else:
        gateway = PushGateway(program.config, load=_renewal(service, load))
    return run(
        gateway,
        admin_address=worker.admin if worker is not None else service.admin_address,
        drain_timeout=service.drain_timeout + (_LAST_WORDS if isinstance(gateway, PushProcesses) else 0.0),
        allow_hosts=service.allow_hosts,
        runner=runner(service.event_loop),
    )


def _renewal(
    service: ServiceSettings, load: Callable[[], PushProgram] | None
) -> Callable[[], PushConfig] | None:
    """What a reload reads of the gateway; of the program around it, `service` stays in force."""
    if load is None:
        return None

    def renewed() -> PushConfig:
        program = load()
        if program.service != service:
            logger.warning("what changed in [service] takes effect at the next start")
        return program.config

    return renewed


def _by_flags(flags: dict[str, Any]) -> PushProgram:
    """What the flags stand for."""
    if not flags["topics"]:
        raise click.UsageError("Missing option '--topic'.")
    service = SERVICE.take(flags)
    settings = {name: service[name] for name in ("connect_timeout", "drain_timeout", "drain_delay")}
    try:
        for group in GROUPS:
            settings |= group.take(flags)
        config = PushConfig(**settings)
        PushGateway(config)  # what it refuses is wrong use
        settled = ServiceSettings.model_validate({**service, "allow_hosts": config.allow_hosts})
        return PushProgram(config, settled)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
