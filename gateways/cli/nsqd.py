"""`nsqgw nsqd`: the broker with the flags of the original, one for each field of NsqdOptions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import Field, asdict, fields
from typing import TYPE_CHECKING, Any

import click

from compat.go_logs import log_to_stderr
from compat.nsqd import Nsqd, NsqdOptions
from compat.nsqd.metrics import broker_metrics
from compat.nsqd.options import KIND_DURATION, config_key, flag_name
from gateways.cli.go_flags import (
    LOG_LEVEL,
    Decorator,
    GoCommand,
    boolean_option,
    config_option,
    duration_option,
    version_option,
)
from gateways.cli.options import OPTIONAL_ADDRESS
from nsqgw.errors import ConfigError
from nsqgw.service.lifecycle import run

if TYPE_CHECKING:
    from prometheus_client import Metric

logger = logging.getLogger("compat.nsqd")

DRAIN_TIMEOUT = 10.0


class NsqdService:
    """The broker as a service of `nsqgw.service`."""

    name = "nsqgw nsqd"

    def __init__(self, options: NsqdOptions) -> None:
        self._nsqd = Nsqd(options)

    async def start(self) -> None:
        if self._nsqd.options.data_path:
            logger.warning("data-path has no effect: this broker keeps everything in memory until it stops")
        await self._nsqd.start()

    async def stop(self) -> None:
        await self._nsqd.stop()

    def ready(self) -> str | None:
        return None

    def metrics(self) -> Iterable[Metric]:
        return broker_metrics(self._nsqd)

    def settings(self) -> dict[str, object]:
        return asdict(self._nsqd.options)


def _option(setting: Field[Any]) -> Decorator:
    """The flag for one field; its value goes by the key it has in a config file."""
    name, text = f"--{flag_name(setting.name)}", setting.metadata["help"]
    default, key = setting.default, config_key(setting.name)
    if setting.metadata.get("kind") == KIND_DURATION:
        return duration_option(name, setting.metadata["shown"], text)
    if isinstance(default, bool):
        return boolean_option(name, default, text)
    if isinstance(default, tuple):
        kind = float if setting.name.endswith("percentiles") else str
        return click.option(name, key, type=kind, multiple=True, help=text)
    value_type = LOG_LEVEL if setting.name == "log_level" else type(default)
    return click.option(name, key, type=value_type, default=default, show_default=True, help=text)


def _with_nsqd_flags(function: Callable[..., int]) -> Callable[..., int]:
    for setting in reversed(fields(NsqdOptions)):
        function = _option(setting)(function)
    return function


@click.command(cls=GoCommand, name="nsqd", context_settings={"help_option_names": ["-h", "--help"]})
@version_option("nsqd")
@config_option()
@_with_nsqd_flags
@boolean_option("--verbose", False, "Accepted without effect, as in the original.")
@boolean_option("--worker-id", False, "Accepted without effect, as in the original.")
@click.option(
    "--admin-address",
    type=OPTIONAL_ADDRESS,
    default="",
    help="host:port for /ping, /ready, /metrics and /config; none by default.",
)
def command(admin_address: str, verbose: bool, worker_id: bool, **flags: Any) -> int:
    """The message broker: nsqd in memory, with the flags of the original.

    Flags take one or two dashes, and their value after `=` or as the next argument.
    """
    try:
        options = NsqdOptions(**{each.name: flags[config_key(each.name)] for each in fields(NsqdOptions)})
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    log_to_stderr(options.log_prefix, options.log_level)
    return run(NsqdService(options), admin_address=admin_address, drain_timeout=DRAIN_TIMEOUT)
