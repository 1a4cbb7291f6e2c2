"""The options of `nsqgw push` about the URLs of nginx-push-stream-module."""

from __future__ import annotations

from collections.abc import Iterable

import click

from gateways.cli.option_group import Flags, OptionGroup
from gateways.push.push_stream.settings import PATHS, PushStreamSettings
from nsqgw.errors import ConfigError


def _take(flags: Flags) -> dict[str, object]:
    on, template = flags.pop("push_stream"), flags.pop("push_stream_template")
    paths = flags.pop("push_stream_paths")
    if (template or paths) and not on:
        raise ConfigError("--push-stream-template and --push-stream-path go with --push-stream: add it")
    given = {"template": template} if template else {}
    return {"push_stream": PushStreamSettings(on=on, **given, **_paths(paths))}


def _paths(texts: Iterable[str]) -> dict[str, str]:
    paths = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or name not in PATHS:
            known = ", ".join(PATHS)
            raise ConfigError(f"--push-stream-path {text!r} must be NAME=PATH, with one of {known}")
        paths[name] = path
    return paths


PUSH_STREAM = OptionGroup(
    (
        click.option(
            "--push-stream",
            is_flag=True,
            help="Serve the URLs of nginx-push-stream-module, too: /sub /ev /lp /ws /pub /channels-stats.",
        ),
        click.option(
            "--push-stream-template",
            metavar="TEXT",
            help="Of messages there: with ~text~, ~id~ and others, or json for pushstream.js; else ~text~.",
        ),
        click.option(
            "--push-stream-path",
            "push_stream_paths",
            multiple=True,
            metavar="NAME=PATH",
            help=f"Another place for one of {', '.join(PATHS)}; repeatable.",
        ),
    ),
    _take,
)
