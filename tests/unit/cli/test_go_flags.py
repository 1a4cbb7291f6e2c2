"""Flags written as Go programs take them, and the config file below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from gateways.cli.go_flags import (
    LOG_LEVEL,
    GoCommand,
    boolean_option,
    config_option,
    duration_option,
)


@click.command(cls=GoCommand)
@config_option()
@click.option("--log-prefix", default="[x] ")
@click.option("--lookupd-tcp-address", "nsqlookupd_tcp_addresses", multiple=True)
@click.option("--log-level", type=LOG_LEVEL, default="info")
@boolean_option("--snappy", True, "")
@duration_option("--msg-timeout", "1m0s", "")
def program(**flags: Any) -> dict[str, Any]:
    return flags


def parse(*arguments: str) -> Any:
    return program.main(list(arguments), prog_name="x", standalone_mode=False)


def test_defaults() -> None:
    assert parse() == {
        "log_prefix": "[x] ",
        "nsqlookupd_tcp_addresses": (),
        "log_level": "info",
        "snappy": True,
        "msg_timeout": 60.0,
    }


@pytest.mark.parametrize(
    "arguments",
    [("-msg-timeout", "2s"), ("--msg-timeout", "2s"), ("-msg-timeout=2s",), ("--msg-timeout=2s",)],
)
def test_one_or_two_dashes_and_both_ways_of_values(arguments: tuple[str, ...]) -> None:
    assert parse(*arguments)["msg_timeout"] == 2.0


def test_the_last_one_wins_and_lists_collect() -> None:
    flags = parse(
        "-msg-timeout=2s", "-msg-timeout=3s", "-lookupd-tcp-address=a:1", "-lookupd-tcp-address", "b:2"
    )
    assert flags["msg_timeout"] == 3.0
    assert flags["nsqlookupd_tcp_addresses"] == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("argument", "value"),
    [("-snappy", True), ("--snappy=false", False), ("-snappy=F", False), ("-snappy=1", True)],
)
def test_booleans(argument: str, value: bool) -> None:
    assert parse(argument)["snappy"] is value


def test_a_boolean_never_takes_the_next_argument() -> None:
    with pytest.raises(click.UsageError, match="false"):
        parse("-snappy", "false")


def test_a_value_may_look_like_a_flag() -> None:
    assert parse("-log-prefix", "-snappy=false")["log_prefix"] == "-snappy=false"


def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "nsqd.toml"
    file.write_text(
        'nsqlookupd_tcp_addresses = ["a:1"]\nmsg_timeout = 5000\nlog_level = "error"\n'
        "snappy = false\nother = 1\n"
    )
    flags = parse("-config", str(file), "-log-level=WARN")
    assert flags["nsqlookupd_tcp_addresses"] == ("a:1",)
    assert flags["msg_timeout"] == 5.0
    assert flags["log_level"] == "warn"
    assert flags["snappy"] is False
    assert "'other'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "5", "5x", "-5s", "soon"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.UsageError, match="such as"):
        parse(f"-msg-timeout={text}")
