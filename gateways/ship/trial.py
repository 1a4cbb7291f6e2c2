"""The tests that a config file has for its transforms: an input, and what is to become of it."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateways.pipeline.event import Event
from gateways.pipeline.gone import Gone
from gateways.pipeline.transforms import Dropped, Rejected
from gateways.ship.settings import ShipSettings
from gateways.ship.transforms.chain import build_chain
from nsqgw.message import Message

_TIMESTAMP = 1_700_000_000_000_000_000
_NSQD = "127.0.0.1:4150"


class TrialSettings(BaseModel):
    """One `[[test]]`: what a message becomes by the transforms of a pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="how the result calls it")
    pipeline: str = Field(description="whose transforms")
    topic: str = Field(default="", description="by default the first topic of the pipeline")
    input: str = Field(description="the body of the message")
    outcome: Literal["passes", "dropped", "rejected"] = Field(default="passes", description="what happens")
    output: str | None = Field(
        default=None, description="the body after the transforms; JSON is compared by its values"
    )
    sinks: tuple[str, ...] | None = Field(default=None, description="the sinks it is routed to")


def difference(trial: TrialSettings, pipeline: ShipSettings) -> str | None:
    """What is otherwise than the trial says, in one line; None when it is as it should be."""
    origin = Gone(trial.topic or pipeline.topics[0], pipeline.channel, _NSQD)
    message = Message(_TIMESTAMP, 1, b"0" * 16, trial.input.encode(), origin)
    chain = build_chain(pipeline.transforms)
    result = message if chain is None else chain.apply(message)
    if isinstance(result, Dropped):
        return _unless(trial, "dropped", f"is dropped by {result.by}")
    if isinstance(result, Rejected):
        return _unless(trial, "rejected", f"is rejected by {result.by}: {result.reason}")
    return _unless(trial, "passes", f"passes as {_text(result.body)}") or _other_event(
        trial, pipeline, result
    )


def _unless(trial: TrialSettings, outcome: str, told: str) -> str | None:
    return None if trial.outcome == outcome else f"expected: {trial.outcome}; it {told}"


def _other_event(trial: TrialSettings, pipeline: ShipSettings, event: Message) -> str | None:
    if trial.output is not None and _value(event.body) != _value(trial.output.encode()):
        return f"it must become {trial.output}; it is {_text(event.body)}"
    if trial.sinks is not None:
        chosen = event.sinks if isinstance(event, Event) else None
        sinks = [sink.name for sink in pipeline.sinks] if chosen is None else list(chosen)
        if sorted(sinks) != sorted(trial.sinks):
            wanted, found = ", ".join(trial.sinks) or "no sink", ", ".join(sinks) or "none"
            return f"it must go to {wanted}; it goes to {found}"
    return None


def _value(body: bytes) -> Any:
    """What is compared: the values of JSON, else the bytes."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")
