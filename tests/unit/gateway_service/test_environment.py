"""References to environment variables in values."""

from __future__ import annotations

import pytest

from gateways.service.environment import interpolated
from nsqgw.errors import ConfigError

ENVIRON = {"A": "one", "EMPTY": "", "DOLLAR": "${A}"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${A}", "xoneyone"),
        ("${EMPTY}", ""),
        ("${EMPTY:-two}", "two"),
        ("${NONE:-two}", "two"),
        ("${NONE:-}", ""),
        ("${A:?why}", "one"),
        ("$${A}", "${A}"),
        ("cost $5, $A, end$", "cost $5, $A, end$"),
        ("${DOLLAR}", "${A}"),  # what comes in is not looked at again
    ],
)
def test_references(text: str, value: str) -> None:
    assert interpolated(text, ENVIRON) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${NONE}", "NONE is not set"),
        ("${NONE:?ask Ann}", "NONE: ask Ann"),
        ("${EMPTY:?}", "EMPTY: it must be set"),
        ("${1A}", "names no environment variable"),
        ("${", "names no environment variable"),
    ],
)
def test_references_to_nothing(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        interpolated(text, ENVIRON)
