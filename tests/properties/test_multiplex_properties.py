"""The parser of the multiplexed protocol: what comes is a command or Malformed, what is said is read back."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from gateways.push.entry import Entry
from gateways.push.frame import Frame
from gateways.push.protocol import (
    DIALECTS,
    JSON,
    MAX_ID,
    MSGPACK,
    Command,
    Dialect,
    Fault,
    Malformed,
    Refused,
)
from gateways.push.session import Ending

PAGE = Path(__file__).parents[2] / "docs" / "push-protocol.md"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["id", "op", "channel", "since", "presence", "data", "base64"]), VALUES
)
EITHER = st.sampled_from([JSON, MSGPACK])


def packed(dialect: Dialect, document: object) -> bytes:
    data = json.dumps(document).encode() if dialect is JSON else msgpack.packb(document)
    assert isinstance(data, bytes)
    return data


def read(dialect: Dialect, data: bytes) -> Command | None:
    """The command, None when there is none; any other error is the test's."""
    try:
        return dialect.read(dialect.opcode, data)
    except Malformed:
        return None


@given(EITHER, st.binary(max_size=200))
def test_any_bytes_are_a_command_or_malformed(dialect: Dialect, data: bytes) -> None:
    read(dialect, data)


@given(EITHER, MEMBERS | VALUES)
def test_any_document_is_a_command_or_malformed_and_its_members_are_good_or_refused(
    dialect: Dialect, document: object
) -> None:
    command = read(dialect, packed(dialect, document))
    good = isinstance(document, dict) and isinstance(document.get("op"), str)
    if command is None:
        return
    assert good
    assert 1 <= command.id <= MAX_ID
    for look in (
        lambda: command.text("channel"),
        lambda: command.flag("presence"),
        lambda: command.data(from_json=dialect is JSON),
    ):
        with contextlib.suppress(Refused):
            look()


@given(EITHER, st.integers(1, MAX_ID), st.text(), st.dictionaries(st.just("channel"), st.text()))
def test_a_command_is_read_as_it_was_written(
    dialect: Dialect, identity: int, op: str, members: dict[str, str]
) -> None:
    command = read(dialect, packed(dialect, {"id": identity, "op": op, **members}))
    assert command == Command(identity, op, members)


@given(st.sampled_from(sorted(DIALECTS)), st.binary(), st.text(), st.integers(0, 2**40))
def test_a_message_is_written_as_one_frame_and_read_back(
    name: str, body: bytes, channel: str, offset: int
) -> None:
    dialect = DIALECTS[name]
    client = Protocol(Side.CLIENT, max_size=None)
    client.receive_data(Frame(Entry(body), channel, "e", offset).encoded(dialect.message))
    (frame,) = client.events_received()
    data = bytes(frame.data)
    document = json.loads(data) if dialect is JSON else msgpack.unpackb(data)
    assert document["channel"] == channel
    assert document["position"] == f"e-{offset}-{document['key']}"
    echo = Command(1, "publish", {key: document[key] for key in ("data", "base64") if key in document})
    assert echo.data(from_json=dialect is JSON) == body


def test_a_dialect_is_spoken_in_its_own_frames() -> None:
    with pytest.raises(Malformed):
        JSON.read(Opcode.BINARY, b'{"id": 1, "op": "ping"}')
    with pytest.raises(Malformed):
        MSGPACK.read(Opcode.TEXT, msgpack.packb({"id": 1, "op": "ping"}))


def test_the_page_has_every_error_and_every_close() -> None:
    page = PAGE.read_text()
    for fault in Fault:
        code, text, temporary = fault.value
        assert f"| {code} | {text} | {'yes' if temporary else 'no'} |" in page
    for ending in Ending:
        assert f"| {ending.code} | {ending.reason} |" in page


def test_the_commands_of_the_page_are_commands() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith('{"id": ') and '"op"' in line]
    assert len(lines) >= 6
    for line in lines:
        assert read(JSON, line.encode()) is not None
