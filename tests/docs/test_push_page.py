"""docs/push.md: its commands are understood, and its numbers are those of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gateways.cli import push, push_channels, push_history
from gateways.push.channel import ChannelLimits
from gateways.push.history import HistoryLimits
from gateways.push.routing import DROP, Route
from gateways.push.shared.settings import SharedSettings

PAGE = (Path(__file__).parents[2] / "docs" / "push.md").read_text()
COMMANDS = re.findall(r"^nsqgw push (--.*)$", PAGE, re.MULTILINE)


def settings(line: str) -> dict[str, object]:
    flags = dict(push.command.make_context("push", shlex.split(line)).params)
    return {**push_channels.CHANNELS.take(flags), **push_history.HISTORY.take(flags)}


def test_the_commands_are_understood() -> None:
    routed, shared = map(settings, COMMANDS)
    assert routed["routes"] == (Route("orders", "orders.{customer.id}", DROP),)
    assert shared["shared"] == SharedSettings("redis://127.0.0.1:6379/0")


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"`(--[a-z-]+)[ =`]", PAGE))))
def test_the_flags_are_those_there_are(flag: str) -> None:
    known = {name for parameter in push.command.params for name in parameter.opts}
    assert flag in known or flag == "--mem-queue-size", "which is nsqd's"


def test_the_bounds_are_those_of_the_code() -> None:
    history, channels = HistoryLimits(), ChannelLimits()
    assert (history.max_messages, history.max_bytes, history.max_age) == (1000, 512 * 1024, 300.0)
    assert (history.overlap, channels.max_channels, channels.idle_timeout) == (2.0, 10_000, 300.0)
    assert SharedSettings().remember == 300.0
