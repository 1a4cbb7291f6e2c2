"""docs/push-nginx.md: its commands are understood, its flags are the command's, its settings the sink's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from gateways.cli import push_bridge
from gateways.ship.sinks.nginx import NginxSettings

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
