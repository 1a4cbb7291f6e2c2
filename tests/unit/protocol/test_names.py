"""Topic and channel names (nsqd-tcp section 4)."""

from __future__ import annotations

import pytest

from nsqgw.errors import ConfigError, InvalidName
from nsqgw.protocol.names import check_channel, check_topic, is_ephemeral, is_valid_name

GOOD = ["a", "A.b_c-9", ".", "-", "_", "a" * 64, "t#ephemeral", "a" * 54 + "#ephemeral", "0"]
BAD = [
    "",
    "a" * 65,
    "a" * 55 + "#ephemeral",
    "#ephemeral",
    "t#ephemera",
    "t#ephemeral#ephemeral",
    "t#ephemeralx",
    "t#",
    "a b",
    "a\n",
    "\n",
    "a\x00",
    "é",
    "٣",
    "\uff41",
    "a/b",
    "a:b",
    "bad topic!",
]


@pytest.mark.parametrize("name", GOOD)
def test_good_names_pass_as_they_are(name: str) -> None:
    assert is_valid_name(name)
    assert check_topic(name) is name
    assert check_channel(name) is name


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_named_with_the_rule(name: str) -> None:
    assert not is_valid_name(name)
    with pytest.raises(InvalidName) as caught:
        check_topic(name)
    assert f"topic name {name!r} is not valid" in str(caught.value)
    assert "1 to 64 letters" in str(caught.value)
    assert isinstance(caught.value, ConfigError)
    with pytest.raises(InvalidName, match="channel name"):
        check_channel(name)


@pytest.mark.parametrize("name", [None, 5, b"topic", ["t"]])
def test_names_are_str(name: object) -> None:
    with pytest.raises(InvalidName, match=f"must be a str, not {type(name).__name__}"):
        check_topic(name)  # type: ignore[arg-type]


def test_ephemeral_names() -> None:
    assert is_ephemeral("t#ephemeral")
    assert not is_ephemeral("ephemeral")
