"""Documents and protobuf fields, for anything that a body can be."""

from __future__ import annotations

import contextlib
import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateways.ship.sinks import protobuf
from gateways.ship.sinks.documents import document
from harness.sending import messages_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=10,
)
ADDED = {"added": "x"}


@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1, "\t"]))
def test_an_object_stays_what_it_is_on_one_line(fields: dict[str, object], indent: int | str | None) -> None:
    body = json.dumps(fields, indent=indent).encode()
    made = document(messages_of([body])[0], ADDED)
    assert b"\n" not in made
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:  # halves of surrogate pairs: text, then
        assert json.loads(made) == {**ADDED, "message": body.decode()}
    else:
        assert json.loads(made) == {**ADDED, **fields}


@given(st.binary())
def test_anything_becomes_an_object_on_one_line(body: bytes) -> None:
    made = document(messages_of([body])[0], ADDED)
    assert b"\n" not in made
    assert isinstance(json.loads(made), dict)


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=300))))
def test_fields_are_read_as_they_were_written(written: list[tuple[int, int | bytes]]) -> None:
    data = b"".join(
        protobuf.nested(number, value) if isinstance(value, bytes) else protobuf.varint(number, value)
        for number, value in written
    )
    assert [*protobuf.fields(data)] == written


@given(st.binary())
def test_any_bytes_are_fields_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert all(isinstance(number, int) for number, _ in protobuf.fields(data))
