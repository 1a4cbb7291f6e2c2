"""`nsqgw nsqd`: the broker with the flags of the original, one for each field of NsqdOptions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import Field, fields, replace
from typing import TYPE_CHECKING, Any

import click

from compat.nsqd import Nsqd, NsqdOptions
from compat.nsqd.options import KIND_ADDRESS, KIND_DURATION, KIND_WORD, config_key, flag_name
from gateways.cli.daemon import admin_options, run_daemon
from gateways.cli.go_flags import (
    LOG_LEVEL,
    NUMBERS,
    WORD,
    Decorator,
    GoCommand,
    boolean_option,
    config_option,
    duration_option,
    joined,
    version_option,
)
from gateways.cli.options import LISTEN_ADDRESS, OPTIONAL_ADDRESS, OPTIONAL_LISTEN_ADDRESS
from nsqgw.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client import Metric


def _metrics(nsqd: Nsqd) -> Iterable[Metric]:
    """The figures for Prometheus, whose library is imported when there is an admin port that asks."""
    from compat.nsqd.metrics import broker_metrics

    return broker_metrics(nsqd)


def _option(setting: Field[Any]) -> Decorator:
    """The flag for one field; its value goes by the key it has in a config file."""
    name, text = f"--{flag_name(setting.name)}", setting.metadata["help"]
    if setting.metadata.get("kind") == KIND_DURATION:
        return duration_option(name, setting.metadata["shown"], text)
    if isinstance(setting.default, bool):
        return boolean_option(name, setting.default, text)
    key, value_type = config_key(setting.name), _value_type(setting)
    if setting.name.endswith("percentiles"):
        return click.option(name, key, type=NUMBERS, multiple=True, callback=joined, help=text)
    if isinstance(setting.default, tuple):
        return click.option(name, key, type=value_type, multiple=True, help=text)
    return click.option(name, key, type=value_type, default=setting.default, show_default=True, help=text)


def _value_type(setting: Field[Any]) -> Any:
    if setting.name == "log_level":
        return LOG_LEVEL
    if setting.metadata.get("kind") == KIND_WORD:
        return WORD
    if setting.name in ("tcp_address", "http_address"):
        return LISTEN_ADDRESS if setting.name.startswith("tcp") else OPTIONAL_LISTEN_ADDRESS
    if setting.metadata.get("kind") == KIND_ADDRESS:
        return OPTIONAL_ADDRESS
    return str if isinstance(setting.default, tuple) else type(setting.default)


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
@admin_options
def command(
    admin_address: str, allow_hosts: tuple[str, ...], verbose: bool, worker_id: bool, **flags: Any
) -> int:
    """The message broker: nsqd, with the flags and the disk queues of the original.

    Flags take one or two dashes, and their value after `=` or as the next argument.
    """
    try:
        options = NsqdOptions(**{each.name: flags[config_key(each.name)] for each in fields(NsqdOptions)})
        options = replace(options, data_path=options.data_path or os.curdir)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    return run_daemon(
        "nsqgw nsqd",
        Nsqd(options),
        _metrics,
        log_prefix=options.log_prefix,
        log_level=options.log_level,
        admin_address=admin_address,
        allow_hosts=allow_hosts,
    )
