"""docs/push-nginx.md: its commands are understood, its flags are the command's, its settings too."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from gateways.cli import push, push_bridge, push_compat
from gateways.push.push_stream.settings import PushStreamSettings
from gateways.ship.sinks.nginx import NginxSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).parents[2] / "docs" / "push-nginx.md").read_text()


def test_the_command_is_understood() -> None:
    (line,) = re.findall(r"^nsqgw push bridge (.*)$", PAGE, re.MULTILINE)
    context = push_bridge.command.make_context("bridge", shlex.split(line))
    assert push_bridge.config_of(context.params).pipelines[0].sinks[0].to.type == "nginx"


def test_flags_and_settings_are_those_there_are() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `(\w+)`", PAGE, re.MULTILINE)
    known = {flag for parameter in push_bridge.command.params for flag in parameter.opts}
    assert {flag for flag, _ in rows} <= known
    assert {setting for _, setting in rows} - {"dead_letter"} <= NginxSettings.model_fields.keys()
    assert set(push_bridge.SINK_FLAGS.values()) <= {setting for _, setting in rows}


def test_the_command_with_push_streams_urls_is_understood() -> None:
    (line,) = re.findall(r"^nsqgw push (--topic .*)$", PAGE, re.MULTILINE)
    context = push.command.make_context("push", shlex.split(line))
    settings = push_compat.PUSH_STREAM.take(dict(context.params))["push_stream"]
    assert settings == PushStreamSettings(on=True, template="json")


def test_the_table_of_the_config_file_shows_the_defaults() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    table = tomllib.loads(text)["push_stream"]
    assert PushStreamSettings(**table) == PushStreamSettings(on=True, template="json")
    assert table.keys() == PushStreamSettings.__dataclass_fields__.keys()
