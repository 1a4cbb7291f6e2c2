"""Topic patterns of the original tools as wildcards: what both match is the same."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from gateways.cli.topic_regex import wildcards_of
from nsqgw.errors import ConfigError

TOPICS = ["logs", "logs.app", "logs-app", "mylogs", "app.logs", "logs.1", "x", "metrics_v2", "a.b.c", "LOGS"]


@pytest.mark.parametrize(
    "regex",
    [
        "logs",
        "^logs",
        "logs$",
        "^logs$",
        r"^logs\..*$",
        "^logs.+",
        ".*",
        r"logs\.\d",
        "^[a-c]",
        "^[^a-c]",
        "x|^a",
        ".",
    ],
)
def test_the_wildcards_match_what_the_expression_finds(regex: str) -> None:
    patterns = wildcards_of(regex)
    for topic in TOPICS:
        assert any(fnmatchcase(topic, pattern) for pattern in patterns) == bool(re.search(regex, topic)), (
            topic
        )


@pytest.mark.parametrize("regex", ["a{2}", "(a|b)c", "a+", "a?", "[a-c]*", "logs "])
def test_what_has_no_equal_is_refused(regex: str) -> None:
    with pytest.raises(ConfigError, match="for which there is no wildcard"):
        wildcards_of(regex)
