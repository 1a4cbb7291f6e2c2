"""`nsqgw nsq_to_file`: the flags of nsq_to_file, so that a command line of it moves over unchanged.

The same files come of it. Unlike there, a full disk or a vanished folder is waited for, folders are synced,
too, and a gateway that was killed moves what it left in the work folder at its next start.
"""

from __future__ import annotations

import os
from typing import Any

import click
from pydantic import ValidationError

from gateways.cli.access import access_options, taken_access
from gateways.cli.go_flags import LOG_LEVEL, GoCommand, boolean_option, duration_option, version_option
from gateways.cli.options import ADDRESS, CHANNEL, LOOKUP_ADDRESS, OPTIONAL_ADDRESS, TOPIC, Parsed
from gateways.cli.ship import run_gateway
from gateways.cli.topic_regex import wildcards_of
from gateways.ship.config import ServiceSettings, ShipConfig
from gateways.ship.named_sink import NamedSink
from gateways.ship.settings import ShipSettings
from gateways.ship.sinks.file import FileSettings

_RETRY_BUDGET = 300.0  # seconds, as ship has it; a batch must not be older than half of that
_LOG_LEVELS = {"warn": "warning", "fatal": "error"}
_FOLDER_MODE = 0o770
_NO_EFFECT = "Accepted without effect."


@click.command("nsq_to_file", cls=GoCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--topic", "topics", type=TOPIC, multiple=True, help="Topic; repeatable.")
@click.option(
    "--topic-pattern",
    "patterns",
    type=Parsed("regular expression", lambda text: text and wildcards_of(text)),
    default="",
    help="All topics that nsqlookupd knows and this finds, when no topic is given.",
)
@click.option(
    "--channel", type=CHANNEL, default="nsq_to_file", show_default=True, help="Channel to consume on."
)
@click.option("--max-in-flight", type=click.IntRange(1, 1_000_000), default=200, show_default=True)
@click.option("--output-dir", default="/tmp", show_default=True, help="Where finished files go.")  # noqa: S108
@click.option("--work-dir", default="", help="Where a file is while it is written; by default, there too.")
@click.option("--datetime-format", default="%Y-%m-%d_%H", show_default=True, help="strftime, of <DATETIME>.")
@click.option(
    "--filename-format",
    default="<TOPIC>.<HOST><REV>.<DATETIME>.log",
    show_default=True,
    help="With <TOPIC> <HOST> <PID> <DATETIME> <REV>; <REV> is counted up when a file exists already.",
)
@click.option(
    "--host-identifier",
    default="",
    help="<HOST>; may hold <SHORT_HOST> and <HOSTNAME>; by default the short name.",
)
@boolean_option("--gzip", False, "Compress.")
@click.option("--gzip-level", type=click.IntRange(1, 9), default=6, show_default=True)
@boolean_option("--skip-empty-files", False, "Begin no file before there is something to write.")
@click.option("--rotate-size", type=click.IntRange(0), default=0, help="Next file above so many bytes.")
@duration_option("--rotate-interval", "0", "Next file after so long.")
@duration_option("--sync-interval", "30s", "Write and sync at least so often.")
@click.option("--nsqd-tcp-address", "nsqds", type=ADDRESS, multiple=True, help="An nsqd; repeatable.")
@click.option("--lookupd-http-address", "lookupds", type=LOOKUP_ADDRESS, multiple=True, help="Repeatable.")
@access_options
@duration_option("--topic-refresh", "1m", _NO_EFFECT)
@duration_option("--http-client-connect-timeout", "2s", _NO_EFFECT)
@duration_option("--http-client-request-timeout", "5s", _NO_EFFECT)
@click.option("--consumer-opt", "consumer_options", multiple=True, help="Not taken: these are go-nsq's.")
@click.option("--log-level", type=LOG_LEVEL, default="info", show_default=True)
@click.option("--log-prefix", default="", help=_NO_EFFECT)
@click.option(
    "--admin-address", type=OPTIONAL_ADDRESS, default="", help="For /ready and /metrics; none by default."
)
@version_option("nsq_to_file")
def command(**flags: Any) -> int:
    """Write topics to files, with the flags of nsq_to_file."""
    config = configured(flags)
    for folder in filter(None, (flags["output_dir"], flags["work_dir"])):
        os.makedirs(folder, _FOLDER_MODE, exist_ok=True)
    return run_gateway(config, name="nsqgw nsq_to_file")


def configured(flags: dict[str, Any]) -> ShipConfig:
    """The configuration that the flags stand for. UsageError for what cannot be used."""
    _check(flags)
    try:
        return _config(flags)
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _check(flags: dict[str, Any]) -> None:
    if flags["consumer_options"]:
        raise click.UsageError(
            f"--consumer-opt {flags['consumer_options'][0]} is go-nsq's: for TLS and AUTH there are"
            " --tls-* and --auth-secret"
        )
    if not flags["topics"] and not flags["patterns"]:
        raise click.UsageError("--topic or --topic-pattern is needed")


def _config(flags: dict[str, Any]) -> ShipConfig:
    access = taken_access(flags)
    level = flags["log_level"].lower()
    pipeline = ShipSettings.model_validate(
        {
            "topics": flags["topics"] or flags["patterns"],
            "channel": flags["channel"],
            "sinks": (NamedSink(to=_sink(flags)),),
            "access": access,
            "nsqd_tcp_addresses": flags["nsqds"],
            "lookupd_http_addresses": flags["lookupds"],
            "max_in_flight": flags["max_in_flight"],
            "batch_max_messages": flags["max_in_flight"],
            "batch_max_age": flags["sync_interval"],
            "retry_budget": max(_RETRY_BUDGET, 2 * flags["sync_interval"]),
        }
    )
    service = ServiceSettings.model_validate(
        {"admin_address": flags["admin_address"], "log_level": _LOG_LEVELS.get(level, level)}
    )
    return ShipConfig((pipeline,), service)


def _sink(flags: dict[str, Any]) -> FileSettings:
    # What templates would take for a place of theirs stands for itself here.
    name = flags["filename_format"].replace("%", "%%").replace("{", "{{").replace("}", "}}")
    work = flags["work_dir"]
    return FileSettings(
        path=name,
        folder=flags["output_dir"],
        work_folder=work if work and os.path.abspath(work) != os.path.abspath(flags["output_dir"]) else None,
        host_identifier=flags["host_identifier"],
        datetime_format=flags["datetime_format"],
        rotate_interval=flags["rotate_interval"],
        rotate_size=flags["rotate_size"],
        keep_empty=not flags["skip_empty_files"],
        compression="gzip" if flags["gzip"] else "none",
        level=flags["gzip_level"] if flags["gzip"] else None,
    )
