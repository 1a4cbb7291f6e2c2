"""Templates of sinks, filled in for one message: what has no value is left out, or has a fallback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateways.ship.template import MissingField, Template
from nsqgw.message import Message


def templates(texts: Mapping[str, str]) -> dict[str, Template]:
    """One template for each text that is not empty."""
    return {name: Template(text) for name, text in texts.items() if text}


def rendered(parsed: Mapping[str, Template], message: Message) -> dict[str, str]:
    """The values that the message has."""
    values = {}
    for name, template in parsed.items():
        try:
            values[name] = template.render(message)
        except MissingField:
            continue
    return values


def rendered_list(parsed: Iterable[Template], message: Message) -> list[str]:
    """The same for a list."""
    return [*rendered({str(number): template for number, template in enumerate(parsed)}, message).values()]


def rendered_or(template: Template, message: Message, fallback: str) -> str:
    """The value, or `fallback` when the message has none."""
    try:
        return template.render(message)
    except MissingField:
        return fallback
