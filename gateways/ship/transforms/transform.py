"""What a transform is: it takes a record and returns it, None to drop it on purpose, or why it is rejected.

A record is made for one message and belongs to the transforms alone: they change it in place.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from gateways.ship.fields import FieldPath
from gateways.ship.template import Template
from nsqgw.message import Message


class Record:
    """A message on its way through the transforms.

    fields   its body, decoded; empty before that
    decoded  whether a transform has decoded the body
    changed  whether the fields say something else than the body, so that it has to be written again
    sinks    where it is routed to; None for all sinks
    """

    __slots__ = ("changed", "decoded", "fields", "message", "sinks")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.fields: dict[str, Any] = {}
        self.decoded = False
        self.changed = False
        self.sinks: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """The event goes to the dead letters; `reason` is one line for people."""

    reason: str


Transform = Callable[[Record], "Record | Reject | None"]


class StepSettings(BaseModel, abc.ABC):
    """What the settings of all transforms have in common; each has its own `type`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def needs_fields(self) -> bool:
        """Whether the body must be decoded before."""
        return True

    @abc.abstractmethod
    def build(self) -> Transform:
        """The transform itself. Raises ConfigError when the settings make no sense."""


def check_path(text: str) -> str:
    """For pydantic: the text itself, once it was read as a path. Raises ConfigError, a ValueError."""
    FieldPath(text)
    return text


def check_template(value: Any) -> Any:
    """The same for a value that is a template when it is text."""
    if isinstance(value, str):
        Template(value)
    return value
