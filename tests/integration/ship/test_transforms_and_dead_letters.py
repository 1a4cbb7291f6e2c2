"""`nsqgw ship` with transforms, routes and dead letters, by a config file, on both kinds of nsqd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateways.service.problems import BadConfigFile
from gateways.ship.config_file import load_config
from harness.command import Nsqgw, run_nsqgw
from harness.daemons import Daemon
from harness.http import post, stats
from harness.polling import eventually

COUNT = 500

CONFIG = """
[nsq]
nsqd_tcp_addresses = ["{nsqd}"]

[service]
admin_address = ""

[[pipeline]]
topics = ["events"]
channel = "archive"
sinks = ["all", "errors"]
dead_letter = "dead"

[[pipeline.transforms]]
type = "decode"
format = "json"

[[pipeline.transforms]]
type = "filter"
where = 'level != "debug"'

[[pipeline.transforms]]
type = "add"
fields = {{ env = "prod", from = "{{topic}}" }}

[[pipeline.transforms]]
type = "route"
rules = [{{ where = 'level == "error"', sinks = ["all", "errors"] }}]
default = ["all"]

[sink.all]
type = "file"
path = "{folder}/all.ndjson"

[sink.errors]
type = "file"
path = "{folder}/errors.ndjson"

[sink.dead]
{dead}
"""

FILE = """type = "file"
path = "{folder}/dead.ndjson"
"""
TOPIC = """type = "nsq"
nsqd_tcp_addresses = ["{nsqd}"]
topic = "{{topic}}.dead"
"""


def written(folder: Path, nsqd: str, dead: str) -> Path:
    path = folder / "ship.toml"
    text = CONFIG.format(nsqd=nsqd, folder=folder, dead=dead.format(nsqd=nsqd, folder=folder))
    path.write_text(text)
    return path


def body(n: int) -> bytes:
    """Every tenth is no JSON, every tenth debug, every tenth an error."""
    if n % 10 == 0:
        return b"%d is no JSON" % n
    level = {1: "debug", 2: "error"}.get(n % 10, "info")
    return b'{"n": %d, "level": "%s"}' % (n, level.encode())


def numbers(path: Path) -> list[int]:
    lines = path.read_text().splitlines() if path.exists() else []
    events = [json.loads(line) for line in lines]
    assert all(event["env"] == "prod" and event["from"] == "events" for event in events)
    return sorted(event["n"] for event in events)


def unfinished(nsqd: Daemon) -> int:
    (topic,) = [each for each in stats(nsqd.http_address)["topics"] if each["topic_name"] == "events"]
    return sum(each["depth"] + each["in_flight_count"] + each["deferred_count"] for each in topic["channels"])


@pytest.mark.parametrize("dead", [FILE, TOPIC], ids=["file", "topic"])
def test_each_event_comes_to_its_end(start_nsqd: Callable[..., Daemon], tmp_path: Path, dead: str) -> None:
    nsqd = start_nsqd()
    post(nsqd.http_address, "/mpub?topic=events", b"\n".join(body(n) for n in range(COUNT)))
    with Nsqgw(tmp_path, "ship", "--config", str(written(tmp_path, nsqd.tcp_address, dead))) as ship:
        expected = [n for n in range(COUNT) if n % 10 > 1]
        eventually(lambda: len(numbers(tmp_path / "all.ndjson")) >= len(expected) and unfinished(nsqd) == 0)
        assert ship.terminate() == 0
    assert numbers(tmp_path / "all.ndjson") == expected
    assert numbers(tmp_path / "errors.ndjson") == [n for n in range(COUNT) if n % 10 == 2]
    source = f"--file={tmp_path}/dead.ndjson" if dead == FILE else "--topic=events.dead"
    nsq = f"--nsqd-tcp-address={nsqd.tcp_address}"
    listed = run_nsqgw("ship", "dlq", "list", source, nsq, "--json", "--wait=500ms").stdout.splitlines()
    letters = [json.loads(line) for line in listed]
    assert sorted(letter["body"] for letter in letters) == sorted(
        f"{n} is no JSON" for n in range(0, COUNT, 10)
    )
    assert {(letter["sink"], letter["topic"], letter["reason"][:7]) for letter in letters} == {
        ("decode", "events", "no JSON")
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('format = "json"', 'format = "xml"', "pipeline[0].transforms[0].format"),
        (
            '[[pipeline.transforms]]\ntype = "decode"\nformat = "json"\n',
            "",
            "transform 1 (filter) looks at fields",
        ),
        ('level != "debug"', "level !=", "cannot be read"),
        ('default = ["all"]', 'default = ["archive"]', "route to archive, which is none of its sinks"),
        ('dead_letter = "dead"', 'dead_letter = "grave"', "there is no [sink.grave]; there are all"),
        ('dead_letter = "dead"', 'dead_letter = "all"', "is one of its sinks"),
        ('topic = "{topic}.dead"', "", "which is read here"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = written(tmp_path, "127.0.0.1:4150", TOPIC)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BadConfigFile) as caught:
        load_config(path)
    assert says in str(caught.value)
