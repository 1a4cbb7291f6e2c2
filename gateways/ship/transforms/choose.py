"""`filter`, `sample` and `route`: which events go on, and where to."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateways.pipeline.identity import event_id
from gateways.ship.fields import FieldPath
from gateways.ship.template import as_text
from gateways.ship.transforms.edit import Path
from gateways.ship.transforms.expression import Expression, check_expression
from gateways.ship.transforms.transform import Record, StepSettings, Transform

Where = Annotated[str, AfterValidator(check_expression)]

_HASH_BYTES = 8


class FilterSettings(StepSettings):
    """Only events of which `where` is true go on; the others are dropped on purpose."""

    type: Literal["filter"] = "filter"
    where: Where

    @property
    def needs_fields(self) -> bool:
        """Unless it asks for nothing but metadata."""
        return Expression(self.where).uses_fields

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        holds = Expression(self.where).holds
        return lambda record: record if holds(record.message, record.fields) else None


class SampleSettings(StepSettings):
    """A part of the events goes on, always the same: a redelivery decides as the first delivery did.

    rate   the part, from 0 to 1
    by     a field; events with the same value go on together. Without it, or where it is missing, the event
           key (topic, id, timestamp) decides
    where  only such events are sampled; all others go on
    """

    type: Literal["sample"] = "sample"
    rate: float = Field(ge=0, le=1)
    by: Path | None = None
    where: Where | None = None

    @property
    def needs_fields(self) -> bool:
        """When it asks for any."""
        return self.by is not None or (self.where is not None and Expression(self.where).uses_fields)

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        below = int(self.rate * 256**_HASH_BYTES)
        path = FieldPath(self.by) if self.by is not None else None
        where = Expression(self.where) if self.where is not None else None

        def sample(record: Record) -> Record | None:
            if where is not None and not where.holds(record.message, record.fields):
                return record
            key = as_text(path.get(record.fields)) if path is not None else ""
            text = key or event_id(record.message)
            digest = blake2b(text.encode(), digest_size=_HASH_BYTES).digest()
            return record if int.from_bytes(digest, "big") < below else None

        return sample


class Rule(BaseModel):
    """Events of which `where` is true go to `sinks`; none drops them on purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: Where
    sinks: tuple[str, ...]


class RouteSettings(StepSettings):
    """The first rule that is true of an event says where it goes.

    default  for events of which no rule is true; an empty list drops them on purpose
    """

    type: Literal["route"] = "route"
    rules: tuple[Rule, ...] = Field(min_length=1)
    default: tuple[str, ...]

    @property
    def needs_fields(self) -> bool:
        """Unless all rules ask for nothing but metadata."""
        return any(Expression(rule.where).uses_fields for rule in self.rules)

    @property
    def sinks(self) -> frozenset[str]:
        """All sinks that it names."""
        return frozenset(self.default).union(*(rule.sinks for rule in self.rules))

    def build(self) -> Transform:
        """See `StepSettings.build`."""
        rules = [(Expression(rule.where).holds, rule.sinks) for rule in self.rules]
        default = self.default

        def route(record: Record) -> Record | None:
            for holds, sinks in rules:
                if holds(record.message, record.fields):
                    record.sinks = sinks
                    break
            else:
                record.sinks = default
            return record if record.sinks else None

        return route
