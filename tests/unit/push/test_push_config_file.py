"""Push's config files: what they mean, and each mistake in one line with place, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.push.config_file import PushProgram, load_program
from gateways.push.history import HistoryLimits
from gateways.push.limits import Limits
from gateways.push.policy import Lag
from gateways.service.problems import BadConfigFile

GOOD = """\
[nsq]
nsqd_tcp_addresses = ["${HOST}:4150"]
max_in_flight = 500
window = "5ms"

[service]
drain_timeout = "20s"
processes = 2

[listen]
address = "127.0.0.1:80"
allow_origins = ["https://example.org"]

[limits]
max_queue_bytes = "2MiB"
ping_interval = 20

[history]
max_age = "1m"

[[topic]]
name = "orders"
slow = "conflate:order.id"
publish = true

[[topic]]
name = "news"
presence = true
"""


def load(folder: Path, text: str) -> PushProgram:
    file = folder / "push.toml"
    file.write_text(text)
    return load_program(file, environ={"HOST": "broker"})


def test_a_file_is_a_gateway(tmp_path: Path) -> None:
    program = load(tmp_path, GOOD)
    config = program.config
    assert (config.topics, config.max_in_flight, config.window) == (("orders", "news"), 500, 0.005)
    assert config.nsqd_tcp_addresses == ("broker:4150",)
    assert (config.listen, config.allow_origins) == ("127.0.0.1:80", ("https://example.org",))
    assert config.limits == Limits(max_queue_bytes=2 * 1024 * 1024, ping_interval=20.0)
    assert config.history == HistoryLimits(max_age=60.0)
    assert (config.policies["orders"].lag, config.policies["orders"].field) == (Lag.CONFLATE, "order.id")
    assert config.policies["news"].lag is Lag.DISCONNECT
    assert (config.publish_topics, config.presence_topics) == (("orders",), ("news",))
    assert (config.drain_timeout, program.service.processes) == (20.0, 2)


MISTAKES = [
    ('name = "news"', 'name = "orders"', 'push.toml:27: topic[1].name = "orders": stands above, too'),
    ('name = "news"', 'name = "a b"', "topic name 'a b' is not valid"),
    ("presence = true", "presense = true", "push.toml:28: topic[1].presense = true: is no setting here; "),
    ("conflate:order.id", "newest", "push.toml:23: topic[0].slow = \"newest\": there is no policy 'newest'"),
    ("max_queue_bytes", "max_queue_byte", 'limits.max_queue_byte = "2MiB": is no setting here; did you '),
    ("ping_interval = 20", "ping_interval = 0", "push.toml:16: limits.ping_interval = 0: must be greater"),
    ('max_age = "1m"', "max_age = []", "push.toml:19: history.max_age = []: must be a valid number"),
    ("https://example.org", "example.org", "allowed origin 'example.org' is not valid: write scheme and"),
    ("${HOST}", "${HOTS}", "push.toml:2: nsq.nsqd_tcp_addresses[0] = "),
    ('window = "5ms"', 'window = "1s"', 'push.toml:4: nsq.window = "1s": must be less than or equal to 0.02'),
    ("[history]", "[histroy]", "push.toml:18: histroy: is no setting here; did you mean history?"),
    (
        "127.0.0.1:80",
        "0.0.0.0:80",
        "push.toml:1: the file cannot be used: --listen 0.0.0.0:80 can",
    ),
    ("processes = 2", 'processes = "two"', 'service.processes = "two": must be a whole number'),
]


@pytest.mark.parametrize(("good", "bad", "told"), MISTAKES)
def test_a_mistake_is_one_line(tmp_path: Path, good: str, bad: str, told: str) -> None:
    with pytest.raises(BadConfigFile) as caught:
        load(tmp_path, GOOD.replace(good, bad))
    assert len(caught.value.lines) == 1
    assert told in caught.value.lines[0]


def test_a_file_without_topics_or_sources_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadConfigFile) as caught:
        load(tmp_path, "[listen]\n")
    assert "names no source" in str(caught.value)
    with pytest.raises(BadConfigFile, match=r"has no topic: add a \[\[topic\]\]"):
        load(tmp_path, '[nsq]\nnsqd_tcp_addresses = ["h:1"]\n')
