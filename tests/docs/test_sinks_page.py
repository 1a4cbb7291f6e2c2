"""docs/sinks.md: every example is a sink, every kind over HTTP has one, the flags are the command's."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateways.cli.nsq_to_http import command
from gateways.ship.destination import SinkSettings
from gateways.ship.sinks.http_settings import HttpSinkSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).parents[2] / "docs" / "sinks.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition("]")[0])
def test_examples_are_sinks(text: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    ((_, settings),) = tomllib.loads(re.sub(r"/run/secrets/\w+", str(secret), text))["sink"].items()
    sink = TypeAdapter[Any](SinkSettings).validate_python(settings)
    assert "hush" not in str(sink.shown())
    assert sink.make(1).describe()


def test_every_kind_over_http_has_an_example() -> None:
    kinds = {kind.model_fields["type"].default for kind in HttpSinkSettings.__subclasses__()}
    assert kinds <= set(re.findall(r'^type = "(\w+)"$', PAGE, re.MULTILINE))
    assert kinds <= set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_the_command_is_understood() -> None:
    (line,) = re.findall(r"^nsqgw nsq_to_http (.*)$", PAGE, re.MULTILINE)
    command.make_context("nsq_to_http", shlex.split(line))


def test_the_flags_are_those_of_the_command() -> None:
    told = set(re.findall(r"`(--?[a-z-]+)[`\s]", PAGE.partition("## From nsq_to_http")[2]))
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {"--" + flag.lstrip("-") for flag in told} <= known
