"""`config`, `convert` and `explain`: what they print can be used, and is true."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from gateways.cli.main import main
from gateways.ship.config import ShipConfig
from gateways.ship.config_example import kinds
from gateways.ship.config_file import load_config, sink_keys
from gateways.ship.named_sink import NamedSink

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEPLOY = Path(__file__).parents[3] / "deploy"

Printed = Callable[..., str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def run(*arguments: str, code: int = 0) -> str:
        assert main(["ship", *arguments]) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    return run


def loaded(text: str, folder: Path) -> ShipConfig:
    file = folder / "ship.toml"
    file.write_text(text)
    return load_config(file, environ={})


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_an_example_can_be_used_and_has_every_setting(kind: str, printed: Printed, tmp_path: Path) -> None:
    text = printed("config", "example", kind)
    (pipeline,) = loaded(text, tmp_path).pipelines
    assert pipeline.sinks[0].to.type == kind
    told = {line.removeprefix("# ").partition(" =")[0] for line in text.splitlines()}
    own = kinds()[kind].model_fields.keys() - {"type"}
    assert own <= told
    assert own <= set(sink_keys(kind))


def test_the_schema_knows_what_the_file_can_hold(printed: Printed) -> None:
    schema = json.loads(printed("config", "schema"))
    assert schema["properties"].keys() == {"nsq", "service", "secret", "pipeline", "sink", "test"}
    pipeline = schema["properties"]["pipeline"]["items"]
    assert "max_age" in pipeline["properties"]["batch"]["properties"]
    assert "nsqd_tcp_addresses" not in pipeline["properties"]
    assert sorted(pipeline["required"]) == ["channel", "sinks", "topics"]
    loggly = schema["$defs"]["LogglySettings"]
    assert {"token", "token_file", "tags", "required"} <= loggly["properties"].keys()
    assert loggly["additionalProperties"] is False
    refs = {ref for ref in json.dumps(schema).split('"') if ref.startswith("#/$defs/")}
    assert {ref.rpartition("/")[2] for ref in refs} <= schema["$defs"].keys()


def test_editors_find_the_mistakes_and_no_others(printed: Printed) -> None:
    schema = json.loads(printed("config", "schema"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for kind in kinds():
        document = tomllib.loads(printed("config", "example", kind))
        assert list(validator.iter_errors(document)) == [], kind
        document["sink"]["main"]["colour"] = "red"
        assert not validator.is_valid(document), kind
    document = tomllib.loads((DEPLOY / "ship.toml").read_text())
    assert list(validator.iter_errors(document)) == []
    document["pipeline"][0]["batch"] = {"max_age": "2s", "max_messages": "${COUNT}"}
    assert validator.is_valid(document)
    document["pipeline"][0]["batch"]["max_agee"] = 2
    assert not validator.is_valid(document)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nsq_to_http", "--topic=a", "--post=http://h/x?k=$v", "--lookupd-http-address=l:1", "--sample=0.5"],
        ["nsq_to_http", "-topic=a", "-get=http://h/%s", "-nsqd-tcp-address=n:1", "-header=X-Key: $1", "-n=5"],
        ["nsq_to_file", "-topic=a", "-nsqd-tcp-address=n:1", "-gzip", "-rotate-size=9", "-output-dir=/x"],
        ["nsq_to_file", "-topic-pattern=a.*", "-lookupd-http-address=l:1", "-tls-insecure", "-auth-secret=x"],
        ["nsq_to_file", "-topic=a", "-nsqd-tcp-address=n:1", "-sync-interval=5m"],
    ],
)  # fmt: skip
def test_a_command_line_as_a_file_is_the_same(arguments: list[str], printed: Printed, tmp_path: Path) -> None:
    import gateways.cli.nsq_to_file as to_file
    import gateways.cli.nsq_to_http as to_http

    tool = to_http if arguments[0] == "nsq_to_http" else to_file
    flags = tool.command.make_context("tool", list(arguments[1:])).params
    wanted = tool.configured(flags)
    config = loaded(printed("convert", *arguments), tmp_path)
    (pipeline,), (before,) = config.pipelines, wanted.pipelines
    assert pipeline == before.model_copy(update={"sinks": (NamedSink(name="main", to=before.sinks[0].to),)})
    assert config.service == wanted.service


def test_what_cannot_be_converted_is_told(printed: Printed) -> None:
    assert "give --post or --get" in printed("convert", "nsq_to_http", "--topic=a", code=2)


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["200"], ["confirmed: OK"]),
        (["503", "--header", "Retry-After: 7"], ["retry: HTTP 503 Service", "not before 7s are over"]),
        (["401"], ["blocked: HTTP 401 Unauthorized", "a person has to act"]),
        (["413"], ["too_large: HTTP 413", "the batch is halved"]),
        (["400", "--type=loggly"], ["rejected: HTTP 400 Bad Request"]),
    ],
)  # fmt: skip
def test_an_answer_is_explained(arguments: list[str], lines: list[str], printed: Printed) -> None:
    told = printed("explain", *arguments)
    for line in lines:
        assert line in told


def test_the_items_of_an_answer_are_explained(printed: Printed) -> None:
    items = [{"create": {"status": 201}}, {"create": {"status": 429, "error": {"type": "busy"}}}]
    body = json.dumps({"errors": True, "items": items})
    told = printed("explain", "--type=elasticsearch", "--events=2", "200", body).splitlines()
    assert told[-2] == "event 1: confirmed"
    assert told[-1].startswith("event 2: retry")


def test_explain_for_the_sink_of_a_file(printed: Printed, tmp_path: Path) -> None:
    file = tmp_path / "ship.toml"
    file.write_text(printed("config", "example", "http") + "retry_status = [418]\n")
    assert printed("explain", f"--config={file}", "--sink=main", "418").startswith("retry: HTTP 418")
    assert "uses main" in printed("explain", f"--config={file}", "--sink=other", "418", code=2)
    file.write_text(printed("config", "example", "stdout"))
    assert "gets no HTTP answers" in printed("explain", f"--config={file}", "--sink=main", "200", code=2)
