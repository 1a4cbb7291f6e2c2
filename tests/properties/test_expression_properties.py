"""Expressions: what they mean is told by a second, slow reading of the same tree; no text makes them fail."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.ship.transforms.expression import MAX_DEPTH, MAX_LENGTH, Expression
from gateways.ship.transforms.operators import OPERATORS
from harness.transforming import one_message
from nsqgw.errors import ConfigError

MESSAGE = one_message(b"")
NAMES = ["a", "b", "c"]
SYMBOLS = dict(zip(["==", "!=", "<", "<=", ">", ">=", "in", "not in"], OPERATORS.values(), strict=True))

plain = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -1.0])
    | st.sampled_from(["", "a", "ab"])
)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner)
)
events = st.dictionaries(st.sampled_from(NAMES), values)

# A tree is (text, meaning); meaning takes the fields.
literals = plain.map(lambda value: (orjson.dumps(value).decode(), lambda fields: value))
lists = st.lists(plain, max_size=3).map(lambda value: (orjson.dumps(value).decode(), lambda fields: value))
fields = st.sampled_from(NAMES).map(lambda name: (name, lambda fields: fields.get(name)))


def compared(parts: tuple[Any, str, Any]) -> tuple[str, Any]:
    (left, left_value), symbol, (right, right_value) = parts
    operator = SYMBOLS[symbol]
    return f"{left} {symbol} {right}", lambda fields: operator(left_value(fields), right_value(fields))


def joined(parts: tuple[str, list[Any]]) -> tuple[str, Any]:
    word, operands = parts
    text = f" {word} ".join(f"({text})" for text, _ in operands)
    decide = all if word == "and" else any
    return text, lambda fields: decide(meaning(fields) for _, meaning in operands)


def negated(part: Any) -> tuple[str, Any]:
    text, meaning = part
    return f"not ({text})", lambda fields: not meaning(fields)


operands = fields | literals
comparisons = st.tuples(operands, st.sampled_from(sorted(SYMBOLS)), operands | lists).map(compared)
trees = st.recursive(
    comparisons | fields,
    lambda inner: (
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)).map(joined)
        | inner.map(negated)
    ),
    max_leaves=8,
)


@given(trees, events)
def test_an_expression_means_what_its_parts_mean(tree: Any, event: dict[str, Any]) -> None:
    text, meaning = tree
    assert Expression(text).holds(MESSAGE, event) == bool(meaning(event))


WORDS = (
    "and or not in is ( ) [ ] { } , . : == < - + * lambda if else for await yield 1 1.5 1e999 1j ... None "
    "true matches exists field length number lower nsq_topic __class__ import \\ # ' \"x\" b'x' f'{a}' é"
)
words = st.sampled_from([*NAMES, *WORDS.split(), "\n", "\x00"])


@given(st.lists(words, max_size=12).map(" ".join) | st.text(max_size=40), events)
def test_any_text_is_an_expression_or_refused(text: str, event: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigError):
        assert Expression(text).holds(MESSAGE, event) in (True, False)


CALLS = [
    "contains({0}, {1})",
    "startswith({0}, {1})",
    "endswith({0}, {1})",
    "lower({0}) == {1}",
    "length({0}) > {1}",
    "number({0}) >= {1}",
    'matches({0}, "a+")',
    "exists(a.b[0])",
    "{0} in {1}",
]


@given(st.sampled_from(CALLS), operands, operands, events)
def test_functions_fail_on_nothing(call: str, first: Any, second: Any, event: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigError):  # `1.b` is none
        assert Expression(call.format(first[0], second[0])).holds(MESSAGE, event) in (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1000 + "a" + ")" * 1000,
        "not " * 900 + "a",
        "-" * 3000 + "1",
        "a" + ".b" * 1500,
        "a" + "[0]" * 1000,
        " or ".join(["a == 1"] * 500),
        "a < " * 900 + "a",
        "x" * (MAX_LENGTH + 1),
        "[" * (MAX_DEPTH + 1) + "1" + "]" * (MAX_DEPTH + 1),
    ],
)
def test_what_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Expression(text)
