"""Callbacks of a program: checked when they are given, guarded when they are called."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from nsqgw.errors import ConfigError

logger = logging.getLogger(__name__)

C = TypeVar("C", bound="Callable[..., object] | None")


def checked(name: str, callback: C) -> C:
    """`callback` itself; ConfigError when it is neither None nor a plain function."""
    if callback is None:
        return callback
    if not callable(callback):
        raise ConfigError(f"{name} = {callback!r} must be a function")
    if inspect.iscoroutinefunction(callback):
        raise ConfigError(f"{name} = {callback!r} is async: give a plain function, which may start a task")
    return callback


def call(callback: Callable[..., object] | None, *arguments: Any) -> None:
    """Call it, if there is one. What it raises is logged: other callbacks and connections go on."""
    if callback is None:
        return
    try:
        callback(*arguments)
    except Exception:  # whatever the program's own code raises
        logger.exception("the callback %s failed", getattr(callback, "__qualname__", callback))


def split_callback(arguments: tuple[Any, ...]) -> tuple[list[Any], Callable[..., object] | None]:
    """Arguments of which the last may be a callback or None, as `publish` takes them: the others, and it."""
    if arguments and (arguments[-1] is None or callable(arguments[-1])):
        return list(arguments[:-1]), checked("the callback", arguments[-1])
    return list(arguments), None


def takes_an_argument(callback: Callable[..., object]) -> bool:
    """Whether it can be called with one argument; Perl's callbacks need not take what they are given."""
    try:
        inspect.signature(callback).bind(None)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not tell
        return True
    return True
