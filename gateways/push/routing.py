"""Which channels a topic's messages go to: those that templates make of the topic and of fields of the body.

`orders.{customer.id}` is the channel of each customer, `{topic}` that of the topic itself. A message without
the field, or with one that no channel can be named by, goes to the route's fallback channel, or is dropped
where that was chosen; either is counted. Without a route a topic is its own channel. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateways.push.entry import Entry, Missing
from nsqgw.errors import ConfigError

DROP = "drop"
"""The fallback that is none."""
MAX_CHANNEL_NAME = 255

_IN_NAMES = r"[^\s*/{}\x00-\x1f\x7f]+"
_NAME = re.compile(_IN_NAMES)
_FIELD = re.compile(r"\{([^{}]*)\}")


def is_channel_name(name: str) -> bool:
    """Whether a channel may be called so: printable, without blanks, slashes, braces and stars."""
    return len(name) <= MAX_CHANNEL_NAME and name.isprintable() and _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Route:
    """Messages of `topic` go to channels of `template`, those that do not fit it to `fallback` or nowhere."""

    topic: str
    template: str
    fallback: str = ""
    """A channel, DROP, or empty for `<topic>.unrouted`."""

    def __post_init__(self) -> None:
        if not self.fallback:
            object.__setattr__(self, "fallback", f"{self.topic}.unrouted")
        if not is_channel_name(self.fallback):
            raise ConfigError(
                f"fallback {self.fallback!r} of topic {self.topic!r} is no channel name: use printable "
                f"characters without blanks, slashes, braces and stars, or {DROP!r}"
            )
        Template(self)


class Template:
    """A route's channels: literal pieces, and paths of fields between them."""

    def __init__(self, route: Route) -> None:
        self.fallback = None if route.fallback == DROP else route.fallback
        pieces = _FIELD.split(route.template.replace("{topic}", route.topic))
        self._literals, self._paths = pieces[::2], [tuple(path.split(".")) for path in pieces[1::2]]
        good = all(not piece or is_channel_name(piece) for piece in self._literals)
        if not route.template or not good or any("" in path for path in self._paths):
            raise ConfigError(
                f"route {route.template!r} of topic {route.topic!r} names no channel: write names and "
                "{json.field}s, without blanks, slashes and stars"
            )
        self._names = re.compile(_IN_NAMES.join(map(re.escape, self._literals)))

    def channel(self, entry: Entry) -> str:
        """Where `entry` goes; Missing when it lacks a field, or the field cannot be part of a name."""
        parts = [self._literals[0]]
        for path, literal in zip(self._paths, self._literals[1:], strict=True):
            parts += _text(entry.field(path)), literal
        name = "".join(parts)
        if self._paths and not is_channel_name(name):
            raise Missing
        return name

    def makes(self, name: str) -> bool:
        """Whether a message may go to the channel `name` by it."""
        if not is_channel_name(name):
            return False
        return name == self.fallback or self._names.fullmatch(name) is not None

    def may_begin(self, prefix: str) -> bool:
        """Whether a channel it makes may begin with `prefix`."""
        if self.fallback is not None and self.fallback.startswith(prefix):
            return True
        start = self._literals[0]
        return start.startswith(prefix) or (bool(self._paths) and prefix.startswith(start))


class Routing:
    """The routes of all topics; a topic without one is its own channel."""

    def __init__(self, topics: Iterable[str], routes: Sequence[Route] = ()) -> None:
        self.topics = tuple(dict.fromkeys(topics))
        self._templates: dict[str, tuple[Template, ...]] = {}
        for topic in self.topics:
            own = tuple(Template(route) for route in routes if route.topic == topic)
            if own:
                self._templates[topic] = own
        self.fixed = tuple(topic for topic in self.topics if topic not in self._templates)
        """Channels that are there from the start: topics without routes."""
        self.unrouted = Counter(dict.fromkeys(self._templates, 0))
        """Messages whose channel could not be told from their body, by topic."""

    def channels_of(self, topic: str, entries: Iterable[Entry]) -> dict[str, list[Entry]]:
        """Which of `entries` go to which channel, in order; one may go to several."""
        templates = self._templates.get(topic)
        if templates is None:
            own = list(entries)
            return {topic: own} if own else {}
        routed: dict[str, list[Entry]] = {}
        for entry in entries:
            for channel in self._channels(topic, templates, entry):
                routed.setdefault(channel, []).append(entry)
        return routed

    def topic_of(self, channel: str) -> str | None:
        """A topic whose messages may go to `channel`; None when there is none: the channel is unknown."""
        if self.is_fixed(channel):
            return channel
        for topic, templates in self._templates.items():
            if any(template.makes(channel) for template in templates):
                return topic
        return None

    def is_fixed(self, channel: str) -> bool:
        """Whether `channel` is there from the start."""
        return channel in self.topics and channel not in self._templates

    def feeds(self, topic: str, channel: str) -> bool:
        """Whether messages of `topic` may go to `channel`."""
        templates = self._templates.get(topic)
        if templates is None:
            return topic == channel
        return any(template.makes(channel) for template in templates)

    def may_begin(self, prefix: str) -> bool:
        """Whether there may be a channel that begins with `prefix`."""
        return any(True for _ in self.topics_of(prefix))

    def topics_of(self, prefix: str) -> Iterator[str]:
        """The topics whose messages may go to channels that begin with `prefix`."""
        for topic in self.topics:
            templates = self._templates.get(topic)
            if templates is None:
                may = topic.startswith(prefix)
            else:
                may = any(template.may_begin(prefix) for template in templates)
            if may:
                yield topic

    def _channels(self, topic: str, templates: Iterable[Template], entry: Entry) -> dict[str, None]:
        channels: dict[str, None] = {}
        for template in templates:
            try:
                channels[template.channel(entry)] = None
            except Missing:
                self.unrouted[topic] += 1
                if template.fallback is not None:
                    channels[template.fallback] = None
        return channels


def _text(value: object) -> str:
    """`value` as part of a name; Missing when it is empty, or no scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)) or value == "":
        raise Missing
    return str(value)
