"""The transforms of a pipeline one after the other, and their settings as one type."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from gateways.pipeline.event import Event
from gateways.pipeline.transforms import Dropped, Rejected
from gateways.ship.transforms.choose import FilterSettings, RouteSettings, SampleSettings
from gateways.ship.transforms.decode import DecodeSettings
from gateways.ship.transforms.decoders import encode_json
from gateways.ship.transforms.edit import AddSettings, KeepSettings, RemoveSettings, RenameSettings
from gateways.ship.transforms.enrich import EnrichSettings
from gateways.ship.transforms.limits import DedupeSettings, ThrottleSettings
from gateways.ship.transforms.redact import RedactSettings
from gateways.ship.transforms.shape import FlattenSettings, JoinSettings, NestSettings, TruncateSettings
from gateways.ship.transforms.times import TimestampSettings
from gateways.ship.transforms.transform import Record, Reject, Transform
from nsqgw.errors import ConfigError
from nsqgw.message import Message

logger = logging.getLogger(__name__)

AnySettings = (
    AddSettings
    | DecodeSettings
    | DedupeSettings
    | EnrichSettings
    | FilterSettings
    | FlattenSettings
    | JoinSettings
    | KeepSettings
    | NestSettings
    | RedactSettings
    | RemoveSettings
    | RenameSettings
    | RouteSettings
    | SampleSettings
    | ThrottleSettings
    | TimestampSettings
    | TruncateSettings
)
TransformSettings = Annotated[AnySettings, Field(discriminator="type")]
"""One table of `transforms`, told apart by `type`."""


def build(settings: AnySettings) -> Transform:
    """The transform that the settings stand for."""
    return settings.build()


def build_chain(settings: Sequence[AnySettings]) -> Chain | None:
    """All of a pipeline's transforms; None without any: then no body is touched.

    Raises ConfigError for one that looks at fields before a `decode`.
    """
    decoded = False
    for number, each in enumerate(settings, 1):
        if each.needs_fields and not decoded:
            raise ConfigError(
                f"transform {number} ({each.type}) looks at fields, and nothing has decoded the body: put"
                ' { type = "decode", format = "json" } before it'
            )
        if isinstance(each, DecodeSettings):
            if decoded:
                raise ConfigError(f"transform {number} (decode): the body is decoded before; once is enough")
            decoded = True
    return Chain([(each.type, build(each)) for each in settings]) if settings else None


class Chain:
    """See `gateways.pipeline.transforms.Transforms`."""

    def __init__(self, steps: Sequence[tuple[str, Transform]]) -> None:
        self._steps = tuple(steps)

    def apply(self, message: Message) -> Event | Dropped | Rejected:
        """The event, with its body written again only when a transform changed it."""
        record = Record(message)
        for kind, transform in self._steps:
            try:
                result = transform(record)
            except Exception as error:
                # A mistake in a transform must neither cost the message nor stop the others.
                logger.exception("transform %s: unexpected error", kind)
                return Rejected(f"unexpected {type(error).__name__}: {error}", kind)
            if result is None:
                return Dropped(kind)
            if isinstance(result, Reject):
                return Rejected(result.reason, kind)
        fields = record.fields if record.decoded else None
        if fields is None or not record.changed:
            return Event(message, message.body, fields, record.sinks)
        try:
            return Event(message, encode_json(fields), fields, record.sinks)
        except ValueError as error:
            return Rejected(f"cannot be written as JSON: {error}", "encode")
