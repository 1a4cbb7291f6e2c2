"""Config files: what they mean, and each mistake in one line with file, line, key, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.service.problems import BadConfigFile
from gateways.ship.config import ShipConfig
from gateways.ship.config_file import load_config
from gateways.ship.sinks.file import FileSettings

GOOD = """\
[nsq]
nsqd_tcp_addresses = ["${HOST}:4150"]
auth_secret = "file:{secret}"

[service]
drain_timeout = "10s"

[[pipeline]]
name = "app"
topics = ["app", "web"]
channel = "archive"
sinks = ["disk", "out"]
batch.max_age = "2s"

[pipeline.retry]
budget = "1m"

[[pipeline]]
name = "audit"
topics = ["audit"]
channel = "archive"
sinks = ["disk"]

[sink.disk]
type = "file"
path = "out.ndjson"

[sink.out]
type = "stdout"
required = false
"""

ENVIRON = {"HOST": "broker"}


def load(folder: Path, text: str) -> ShipConfig:
    file = folder / "ship.toml"
    file.write_text(text)
    return load_config(file, environ=ENVIRON)


def problems(folder: Path, text: str) -> list[str]:
    """The lines about `text`, without the folder."""
    with pytest.raises(BadConfigFile) as caught:
        load(folder, text)
    return [line.replace(f"{folder}/", "") for line in caught.value.lines]


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text("hush\n")
    return GOOD.replace("{secret}", str(tmp_path / "secret"))


def test_a_sink_may_be_treated_otherwise_than_the_others(tmp_path: Path, good: str) -> None:
    own = good + 'batch = { max_age = "30s" }\nretry.budget = "2m"\nrate.bytes = "1MB"\nconcurrency = 1\n'
    out = load(tmp_path, own).pipelines[0].sinks[1]
    assert (out.batch.max_age, out.retry.budget, out.rate.bytes, out.concurrency) == (
        30.0,
        120.0,
        1_000_000,
        1,
    )
    (line,) = problems(tmp_path, good + "rate.evnts = 5\n")
    assert line == "ship.toml:31: sink.out.rate.evnts = 5: is no setting here; take it out"


def test_a_file_is_pipelines_with_all_they_share(tmp_path: Path, good: str) -> None:
    config = load(tmp_path, good)
    app, audit = config.pipelines
    assert (app.name, app.topics, app.batch_max_age, app.retry_budget) == ("app", ("app", "web"), 2.0, 60.0)
    assert [(sink.name, sink.required) for sink in app.sinks] == [("disk", True), ("out", False)]
    assert isinstance(app.sinks[0].to, FileSettings)
    for pipeline in (app, audit):
        assert pipeline.nsqd_tcp_addresses == ("broker:4150",)
        assert pipeline.access.auth_secret == "hush"
        assert pipeline.drain_timeout == 10.0
    assert "hush" not in str(config.shown())
    assert "hush" not in str(config)


def test_the_same_file_is_the_same_configuration_until_a_secret_changes(tmp_path: Path, good: str) -> None:
    before = load(tmp_path, good)
    assert load(tmp_path, good).pipelines == before.pipelines
    (tmp_path / "secret").write_text("other")
    assert load(tmp_path, good).pipelines != before.pipelines


MISTAKES = {
    "misspelt key": (
        'channel = "archive"\nsinks = ["disk", "out"]',
        'chanel = "archive"\nsinks = ["disk", "out"]',
        [
            "ship.toml:8: pipeline[0].channel: is missing: it must be set",
            'ship.toml:11: pipeline[0].chanel = "archive": is no setting here; did you mean channel?',
        ],
    ),
    "settings of a sink that do not go together": (
        'path = "out.ndjson"\n',
        'path = "out.ndjson"\ncompression = "gzip"\n',
        ["ship.toml:24: sink.disk: path = 'out.ndjson' has no <REV>"],
    ),
    "misspelt table": (
        "[service]",
        "[servise]",
        ["ship.toml:5: servise: is no setting here; did you mean service?"],
    ),
    "unit": (
        'batch.max_age = "2s"',
        'batch.max_age = "2 parsecs"',
        [
            "ship.toml:13: pipeline[0].batch.max_age = \"2 parsecs\": duration '2 parsecs' is not valid: "
            "write a number with a unit, such as 500ms, 2s or 5m"
        ],
    ),
    "out of range": (
        'budget = "1m"',
        'budget = "20m"',
        ['ship.toml:16: pipeline[0].retry.budget = "20m": must be less than or equal to 600'],
    ),
    "misspelt key in a group": (
        'budget = "1m"',
        "budge = 3",
        ["ship.toml:16: pipeline[0].retry.budge = 3: is no setting here; did you mean budget?"],
    ),
    "no such sink": (
        'sinks = ["disk"]',
        'sinks = ["disc"]',
        ['ship.toml:22: pipeline[1].sinks = ["disc"]: there is no [sink.disc]; there are disk, out'],
    ),
    "unknown type": (
        'type = "stdout"',
        'type = "stdot"',
        ["ship.toml:29: sink.out.type = \"stdot\": must be one of 'file', 'stdout', 'http'"],
    ),
    "no type": (
        'type = "stdout"\n',
        "",
        ["ship.toml:28: sink.out.type: is missing: it must be set"],
    ),
    "one text in place of a list": (
        'type = "stdout"',
        'type = "http"\nurl = "localhost:80"',
        [
            "ship.toml:30: sink.out.url = \"localhost:80\": 'localhost:80' is no complete URL: "
            "write one such as "
        ],
    ),
    "tables by the wrong name": (
        '[[pipeline]]\nname = "audit"',
        '[[pipelines]]\nname = "audit"',
        ["ship.toml:18: pipelines: is no setting here; did you mean pipeline?"],
    ),
    "key of a sink": (
        'path = "out.ndjson"',
        'pth = "out.ndjson"',
        [
            "ship.toml:24: sink.disk.path: is missing: it must be set",
            'ship.toml:26: sink.disk.pth = "out.ndjson": is no setting here; did you mean path?',
        ],
    ),
    "no boolean": (
        "required = false",
        'required = "no way"',
        ['ship.toml:30: sink.out.required = "no way": must be true or false'],
    ),
    "same name": (
        'name = "audit"',
        'name = "app"',
        ['ship.toml:19: pipeline[1].name = "app": another pipeline is called app, too'],
    ),
    "unset variable": (
        "${HOST}",
        "${HOTS}",
        [
            'ship.toml:2: nsq.nsqd_tcp_addresses[0] = "${HOTS}:4150": environment variable HOTS is not set: '
            "set it, or write ${HOTS:-default}"
        ],
    ),
    "no source": (
        'nsqd_tcp_addresses = ["${HOST}:4150"]\n',
        "",
        ["ship.toml:1: nsq: names no source: set nsqd_tcp_addresses or lookupd_http_addresses"],
    ),
    "pattern without nsqlookupd": (
        'topics = ["audit"]',
        'topics = ["audit.*"]',
        ["ship.toml:18: pipeline[1]: topic 'audit.*' is a pattern: an nsqlookupd is needed to"],
    ),
    "no TOML": ("[service]", "[service", ["ship.toml:5: is no TOML in column 9: "]),
}


@pytest.mark.parametrize(("old", "new", "lines"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_where_it_is(
    tmp_path: Path, good: str, old: str, new: str, lines: list[str]
) -> None:
    assert old in good
    found = problems(tmp_path, good.replace(old, new))
    assert len(found) == len(lines)
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(start)


def test_a_misspelt_type_is_told_the_nearest_one(tmp_path: Path, good: str) -> None:
    (line,) = problems(tmp_path, good.replace('type = "stdout"', 'type = "stdot"'))
    assert line.endswith("; did you mean stdout?")


def test_all_mistakes_are_told_at_once_in_their_order(tmp_path: Path, good: str) -> None:
    text = good.replace('"2s"', '"2"').replace('type = "stdout"', 'type = "x"').replace("${HOST}", "a b")
    assert [line.split(":")[1] for line in problems(tmp_path, text)] == ["2", "13", "29"]


def test_a_secret_is_never_in_a_message(tmp_path: Path, good: str) -> None:
    text = good.replace(
        'auth_secret = "file:', 'auth_secret = ["hush"]\nlookupd_auth_secret = "file:/nowhere'
    )
    lines = problems(tmp_path, text)
    assert "hush" not in str(lines)
    assert "secret file /nowhere" in str(lines)
    (line,) = problems(tmp_path, good.replace('path = "out.ndjson"', 'path = "out.ndjson"\npasswrd = "hush"'))
    assert "sink.disk.passwrd = ***: is no setting here" in line


def test_what_stands_in_the_environment_cannot_add_a_key(tmp_path: Path, good: str) -> None:
    file = tmp_path / "ship.toml"
    file.write_text(good.replace("out.ndjson", "${PATH_OUT}"))
    path = 'x"\nrequired = false\n#'
    config = load_config(file, environ={**ENVIRON, "PATH_OUT": path})
    to = config.pipelines[0].sinks[0].to
    assert isinstance(to, FileSettings)
    assert to.path == path


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    lines = problems(tmp_path, text)
    assert any(
        ": the file has no pipeline: add a [[pipeline]] with topics and sinks" in line for line in lines
    )


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "ship.toml"
    with pytest.raises(BadConfigFile, match="cannot be read: No such file"):
        load_config(file)
    file.write_bytes(b"x = '\xff'")
    with pytest.raises(BadConfigFile, match="is not UTF-8 at byte 5"):
        load_config(file)
