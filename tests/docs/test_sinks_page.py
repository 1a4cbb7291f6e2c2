"""docs/sinks.md: every example is a sink, every kind has one, the flags are the commands'."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import TypeAdapter

from gateways.cli import nsq_to_file, nsq_to_http
from gateways.pipeline.sink import Fate
from gateways.ship.config_file import OF_ANY_SINK
from gateways.ship.destination import SinkSettings
from gateways.ship.named_sink import NamedSink
from gateways.ship.sinks.http import HttpSettings
from gateways.ship.sinks.http_answers import Answer
from harness.pipeline import make_batch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).parents[2] / "docs" / "sinks.md").read_text()
COMMANDS = {"nsq_to_file": nsq_to_file.command, "nsq_to_http": nsq_to_http.command}
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition("]")[0])
def test_examples_are_sinks(text: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    ((_, settings),) = tomllib.loads(re.sub(r"/run/secrets/\w+", str(secret), text))["sink"].items()
    common = {key: settings.pop(key) for key in OF_ANY_SINK if key in settings}
    sink = TypeAdapter[Any](SinkSettings).validate_python(settings)
    assert NamedSink(to=sink, **common).shown()
    assert "hush" not in str(sink.shown())
    assert sink.make(1).describe()


@pytest.mark.parametrize(
    ("name", "status", "fate"),
    [
        ("newrelic", 202, Fate.CONFIRMED),
        ("newrelic", 403, Fate.BLOCKED),
        ("newrelic", 413, Fate.TOO_LARGE),
        ("sumo", 408, Fate.CONFIRMED),
        ("sumo", 401, Fate.BLOCKED),
        ("sumo", 429, Fate.RETRY),
        ("logzio", 400, Fate.REJECTED),
        ("logzio", 401, Fate.BLOCKED),
        ("betterstack", 202, Fate.CONFIRMED),
        ("betterstack", 402, Fate.BLOCKED),
        ("betterstack", 406, Fate.REJECTED),
    ],
)
def test_services_without_a_sink_of_their_own_are_understood(
    name: str, status: int, fate: Fate, tmp_path: Path
) -> None:
    (text,) = [text for text in EXAMPLES if f"[sink.{name}]" in text]
    secret = tmp_path / "secret"
    secret.write_text("hush")
    settings = tomllib.loads(re.sub(r"/run/secrets/\w+", str(secret), text))["sink"][name]
    sink = HttpSettings.model_validate(settings).make(1)
    assert sink.judge(make_batch([b"x"]), Answer(status, {}, b"")).fate is fate


def test_every_kind_has_an_example() -> None:
    kinds = {kind.model_fields["type"].default for kind in get_args(get_args(SinkSettings)[0])}
    assert kinds - {"stdout"} <= set(re.findall(r'^type = "(\w+)"$', PAGE, re.MULTILINE))
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE)
    assert kinds <= {name.strip("` ") for row in rows for name in row.split(",")}


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_the_command_is_understood(name: str, command: click.Command) -> None:
    (line,) = re.findall(rf"^nsqgw {name} (.*)$", PAGE, re.MULTILINE)
    command.make_context(name, shlex.split(line))


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_the_flags_are_those_of_the_command(name: str, command: click.Command) -> None:
    section = PAGE.partition(f"## From {name}\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"`(--?[a-z-]+)[`\s]", section))
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {"--" + flag.lstrip("-") for flag in told} <= known
