"""Which file, key or topic an event goes to, by a template; an event without a value for it is refused."""

from __future__ import annotations

from collections.abc import Sequence

from gateways.pipeline.sink import Fate
from gateways.ship.sinks.outcomes import Failure
from gateways.ship.sinks.parts import addressed, by_place
from gateways.ship.template import MissingField, Template
from nsqgw.message import Message


class _Nowhere(bytes):
    """An encoded event that no place was found for."""

    reason: str


class Targets:
    """The places of one template. Filled in when an event is encoded, they travel with its bytes."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def mark(self, event: bytes, message: Message) -> bytes:
        """`event`, made of `message`, with its place."""
        if self._template.constant is not None:
            return event
        try:
            return addressed(event, self._template.render(message))
        except MissingField as error:
            nowhere = _Nowhere(event)
            nowhere.reason = str(error)
            return nowhere

    def sort(self, events: Sequence[bytes]) -> tuple[dict[str, list[int]], dict[int, Failure]]:
        """The indexes of marked events by their places, and those that have none."""
        constant = self._template.constant
        if constant is not None:
            return {constant: list(range(len(events)))}, {}
        refused = {
            index: (Fate.REJECTED, event.reason)
            for index, event in enumerate(events)
            if isinstance(event, _Nowhere)
        }
        return by_place(events, [index for index in range(len(events)) if index not in refused]), refused
