"""docs/push-security.md: its commands, code and settings are right, flags and numbers are the gateway's."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import fields
from pathlib import Path

import pytest

from gateways.cli import push
from gateways.cli.push_security import SECURITY
from gateways.push.access.assembly import Assembly
from gateways.push.access.grant import Right
from gateways.push.access.signed_url import SignedUrls
from gateways.push.access.throttle import ArrivalLimits
from gateways.push.config_file import load_program
from gateways.push.http import Request
from gateways.push.limits import Limits
from gateways.push.multiplex import MAX_NAME
from harness.command import run_nsqgw
from harness.tokens import SECRET

PAGE = (Path(__file__).parents[2] / "docs" / "push-security.md").read_text()


def code(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_refusal_to_start_is_as_shown() -> None:
    command, error = code("console")[0].splitlines()
    answer = run_nsqgw(*shlex.split(command.removeprefix("$ nsqgw ")))
    assert answer.returncode == 2
    assert error in answer.stderr.splitlines()


def test_a_token_made_as_shown_is_good(tmp_path) -> None:
    key = tmp_path / "token.key"
    key.write_bytes(SECRET)
    made: dict = {}
    exec(code("python")[0].replace("/etc/nsqgw/token.key", str(key)), made)
    arguments = shlex.split(
        code("console")[1].removeprefix("nsqgw push ").replace("/etc/nsqgw/token.key", str(key))
    )
    context = push.command.make_context("push", arguments)
    security = SECURITY.take(dict(context.params))["security"]
    gate = Assembly(security, "0.0.0.0:8080").gate
    grant = gate.verify(made["token"])
    assert grant.user == "ada"
    assert grant.permits(Right.SUBSCRIBE, "orders.ada.7")


def test_a_url_signed_as_shown_is_good(tmp_path) -> None:
    key = tmp_path / "url.key"
    key.write_bytes(SECRET)
    made: dict = {}
    exec(code("python")[1].replace("/etc/nsqgw/url.key", str(key)), made)
    path, _, query = made["url"].partition("?")
    assert SignedUrls((SECRET,), wall=time.time).grant(Request("GET", path, query, {}, b"")) is not None


def test_the_config_file_is_understood(tmp_path) -> None:
    path = tmp_path / "push.toml"
    path.write_text(code("toml")[0])
    security = load_program(path).config.security
    assert security.token_audience == "push"
    assert security.arrivals.connections_per_address == 100


def test_flags_are_those_there_are() -> None:
    known = {flag for parameter in push.command.params for flag in parameter.opts}
    assert set(re.findall(r"--[a-z][a-z0-9-]+", PAGE)) - {"--help"} <= known


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("--max-connections-per-address` ({};", ArrivalLimits().connections_per_address),
        ("--connect-rate` ({:g} a second)", ArrivalLimits().connect_rate),
        ("--connect-burst` ({})", ArrivalLimits().connect_burst),
        ("--max-connections-per-user` ({})", ArrivalLimits().connections_per_user),
        ("all together {:,}", Limits().max_connections),
        ("{} frames", Limits().max_client_frames),
        ("{} MiB", Limits().max_client_bytes // 2**20),
        ("{} subscribes", Limits().max_subscribes),
        ("{} publishes", Limits().max_publishing),
        ("{} errors", Limits().max_errors),
        ("{} channels", Limits().max_channels),
        ("{} KiB a message", Limits().max_client_message_bytes // 1024),
        ("{} KiB a head", Limits().max_head_bytes // 1024),
        ("names of {} characters", MAX_NAME),
    ],
)
def test_numbers_are_the_defaults(text: str, value: float) -> None:
    assert text.format(value) in PAGE


def test_every_limit_by_address_has_a_flag() -> None:
    names = {parameter.name for parameter in push.command.params}
    assert {field.name for field in fields(ArrivalLimits)} <= names
