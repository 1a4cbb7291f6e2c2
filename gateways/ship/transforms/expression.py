"""Expressions that tell events apart: `level in ("error", "fatal") and request.status >= 500`.

Python's parser reads them, and only the nodes named here are taken: nothing is evaluated by Python itself.
docs/transforms.md has the grammar. Bounded: MAX_LENGTH characters, MAX_NODES nodes, MAX_DEPTH levels.
An expression never fails on an event: what cannot be compared is false.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from typing import Any

from gateways.ship.fields import MISSING, FieldPath
from gateways.ship.transforms.operators import FUNCTIONS, OPERATORS, matches
from gateways.ship.transforms.patterns import compile_pattern
from nsqgw.errors import ConfigError
from nsqgw.message import Message

MAX_LENGTH = 4000
MAX_NODES = 400
MAX_DEPTH = 40

Node = Callable[[Message, "dict[str, Any]"], Any]

METADATA: dict[str, Callable[[Message], Any]] = {
    "nsq_topic": lambda message: message.topic,
    "nsq_channel": lambda message: message.channel,
    "nsq_id": lambda message: message.id.decode("ascii", "backslashreplace"),
    "nsq_attempts": lambda message: message.attempts,
    "nsq_timestamp": lambda message: message.timestamp,
    "nsq_nsqd_address": lambda message: message.nsqd_address,
}
"""The names that stand for metadata of the message, as Redpanda Connect calls them."""
_IN_SHORT = "compare with ==, !=, <, > or in, join with and, or, not"
_CONSTANTS = {"true": True, "false": False, "null": None}
_PLAIN = (str, bool, int, float, type(None))


class Expression:
    """One expression, parsed once. Raises ConfigError, naming the part that is not taken."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.uses_fields = False
        """Whether it looks at the body's fields."""
        tree = _parse(text)
        try:
            self._holds = self._compile(tree)
        except ConfigError as error:
            raise ConfigError(f"expression {text!r}: {error}") from None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def holds(self, message: Message, fields: dict[str, Any]) -> bool:
        """Whether it is true of an event; null, 0, "", and empty lists and objects are false."""
        return bool(self._holds(message, fields))

    # -- from the tree to closures

    def _compile(self, node: ast.expr) -> Node:
        if isinstance(node, ast.BoolOp):
            return _bool_op(isinstance(node.op, ast.And), [self._compile(each) for each in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._compile(node.operand)
            return lambda message, fields: not inner(message, fields)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Name) and node.id in METADATA:
            metadata = METADATA[node.id]
            return lambda message, fields: metadata(message)
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and _constant_name(node) is None:
            return self._field(_path(node))
        value = _literal(node)
        return lambda message, fields: value

    def _field(self, path: FieldPath) -> Node:
        self.uses_fields = True
        get = path.get

        def field(message: Message, fields: dict[str, Any]) -> Any:
            value = get(fields)
            return None if value is MISSING else value

        return field

    def _compare(self, node: ast.Compare) -> Node:
        left = self._compile(node.left)
        steps = []
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if type(operator) not in OPERATORS:
                raise ConfigError("`is` is not known: compare with == or !=")
            steps.append((OPERATORS[type(operator)], self._compile(right)))
        if len(steps) == 1:
            compare, right_value = steps[0]
            return lambda message, fields: compare(left(message, fields), right_value(message, fields))

        def chain(message: Message, fields: dict[str, Any]) -> bool:
            value = left(message, fields)
            for compare, following in steps:
                other = following(message, fields)
                if not compare(value, other):
                    return False
                value = other
            return True

        return chain

    def _call(self, node: ast.Call) -> Node:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
            raise ConfigError(f"{name}() takes plain arguments only")
        if name in ("exists", "field"):
            return self._about_field(name, node.args)
        if name == "matches":
            return self._matches(node.args)
        if name not in FUNCTIONS:
            known = ", ".join(sorted([*FUNCTIONS, "exists", "field", "matches"]))
            raise ConfigError(f"{name}() is not known; there are {known}")
        count, function = FUNCTIONS[name]
        if len(node.args) != count:
            raise ConfigError(
                f"{name}() takes {count} argument{'s' if count > 1 else ''}, not {len(node.args)}"
            )
        arguments = [self._compile(each) for each in node.args]
        if count == 1:
            (only,) = arguments
            return lambda message, fields: function(only(message, fields))
        first, second = arguments
        return lambda message, fields: function(first(message, fields), second(message, fields))

    def _about_field(self, name: str, arguments: list[ast.expr]) -> Node:
        if len(arguments) != 1:
            raise ConfigError(f"{name}() takes 1 argument, not {len(arguments)}")
        (argument,) = arguments
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            path = FieldPath(argument.value)
        elif name == "field":
            raise ConfigError('field() takes a path as text: field("request.status")')
        else:
            path = _path(argument)
        if name == "field":
            return self._field(path)
        self.uses_fields = True
        return lambda message, fields: path.get(fields) is not MISSING

    def _matches(self, arguments: list[ast.expr]) -> Node:
        pattern = _literal(arguments[1]) if len(arguments) == 2 else None
        if not isinstance(pattern, str):
            raise ConfigError('matches() takes a value and a pattern as text: matches(path, r"^/api/")')
        search = compile_pattern(pattern).search
        value = self._compile(arguments[0])
        return lambda message, fields: matches(search, value(message, fields))


def check_expression(text: str) -> str:
    """For pydantic: the text itself, once it was read. Raises ConfigError, which is a ValueError."""
    Expression(text)
    return text


def _parse(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"expression {text[:40]!r}... is longer than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as "\d", which stay as they are
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, SyntaxError):
            reason = f"{error.msg.partition('.')[0]}; {_IN_SHORT}"
        else:
            reason = str(error) or type(error).__name__
        raise ConfigError(f"expression {text!r} cannot be read: {reason}") from None
    _check_size(text, tree)
    return tree


def _check_size(text: str, tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    nodes = depth = 0
    while level:
        nodes += len(level)
        depth += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise ConfigError(
                f"expression {shown!r} is too large: at most {MAX_NODES} parts, {MAX_DEPTH} in one another"
            )
        level = [child for node in level for child in ast.iter_child_nodes(node)]


def _bool_op(is_and: bool, values: list[Node]) -> Node:
    if is_and:
        return lambda message, fields: all(value(message, fields) for value in values)
    return lambda message, fields: any(value(message, fields) for value in values)


def _constant_name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) and node.id in _CONSTANTS else None


def _literal(node: ast.expr) -> Any:
    """The value of a literal: text, number, true, false, null, or a list of these."""
    if isinstance(node, ast.Constant) and isinstance(node.value, _PLAIN):
        return node.value
    name = _constant_name(node)
    if name is not None:
        return _CONSTANTS[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _literal(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(each) for each in node.elts]
    raise ConfigError(
        f"{ast.unparse(node)} is no value: write text in quotes, a number, true, false, null, or a"
        " list of these"
    )


def _path(node: ast.expr) -> FieldPath:
    """`a`, `a.b`, `a[0]` and `a["b c"]` as a path."""
    names: list[str] = []
    at = node
    while not isinstance(at, ast.Name):
        if isinstance(at, ast.Attribute):
            names.append(at.attr)
        elif isinstance(at, ast.Subscript) and isinstance(at.slice, ast.Constant):
            names.append(_index(at.slice.value))
        else:
            raise ConfigError(f'{ast.unparse(node)} is no field: write it as a.b, a[0] or a["b c"]')
        at = at.value
    if at.id in METADATA or at.id in _CONSTANTS:
        raise ConfigError(f"{at.id} has no fields; a field of that name is field({at.id!r})")
    names.append(at.id)
    escaped = [name.replace("\\", r"\\").replace(".", r"\.") for name in reversed(names)]
    return FieldPath(".".join(escaped))


def _index(value: object) -> str:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise ConfigError(f"[{value!r}] is neither a name nor a number")
