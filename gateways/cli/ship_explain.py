"""`nsqgw ship explain`: what a sink would make of an answer of its service."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from http.client import responses
from pathlib import Path

import click

from gateways.cli.config_errors import reported
from gateways.pipeline.batch import Batch, Batcher, BatchLimits
from gateways.pipeline.gone import Gone
from gateways.pipeline.sink import Fate, Outcome
from gateways.ship.config_example import kinds, samples
from gateways.ship.config_file import load_config
from gateways.ship.sinks.http_answers import Answer
from gateways.ship.sinks.http_base import HttpSinkBase
from nsqgw.message import Message

MEANINGS = {
    Fate.CONFIRMED: "the sink has them: the messages are finished",
    Fate.RETRY: "tried again with growing pauses; after retry.budget nsqd gets them back",
    Fate.REJECTED: "refused for good: the batch is halved down to the bad events, which are dead letters",
    Fate.TOO_LARGE: "the batch is halved; one event that is too large is a dead letter",
    Fate.BLOCKED: "a person has to act: everything is held, and nothing more is taken in",
}
_KINDS = sorted(kind for kind, model in kinds().items() if "ok_status" in model.model_fields)


@click.command("explain", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--type", "kind", type=click.Choice(_KINDS), default="http", help="A sink with default settings."
)
@click.option("--config", type=click.Path(exists=True, path_type=Path), help="Or a config file, for --sink.")
@click.option("--sink", help="The sink of this name in --config.")
@click.option("--events", type=click.IntRange(1, 1000), default=1, show_default=True, help="In the batch.")
@click.option("--header", "headers", multiple=True, help="`Name: value` of the answer; repeatable.")
@click.argument("status", type=click.IntRange(100, 999))
@click.argument("body", default="")
def command(
    kind: str,
    config: Path | None,
    sink: str | None,
    events: int,
    headers: Sequence[str],
    status: int,
    body: str,
) -> None:
    """Tell what becomes of a batch that is answered with STATUS and BODY; - reads the body from stdin."""
    target = _sink(kind, config, sink)
    if not isinstance(target, HttpSinkBase):
        raise click.UsageError(f"--sink {sink} gets no HTTP answers")
    pairs = (text.partition(":")[::2] for text in headers)
    given = {name.strip().title(): value.strip() for name, value in pairs}
    data = sys.stdin.buffer.read(1 << 20) if body == "-" else body.encode()
    outcome = target.judge(_batch(target, events), Answer(status, given, data))
    for line in _told(outcome, status):
        click.echo(line)


def _sink(kind: str, config: Path | None, name: str | None) -> object:
    if (config is None) != (name is None):
        raise click.UsageError("--config and --sink go together: a file, and the name of a sink in it")
    if config is None:
        return kinds()[kind].model_validate(samples(kind)).make(1)  # type: ignore[attr-defined]  # all sinks have it
    with reported():
        pipelines = load_config(config).pipelines
    sinks = {sink.name: sink.to for pipeline in pipelines for sink in pipeline.sinks}
    if name not in sinks:
        raise click.UsageError(f"--sink {name}: a pipeline of {config} uses {', '.join(sinks)}")
    return sinks[name].make(1)


def _batch(sink: HttpSinkBase, events: int) -> Batch:
    origin = Gone("events", "ship", "127.0.0.1:4150")
    messages = [
        Message(number, 1, b"%016x" % number, b'{"n":%d}' % number, origin) for number in range(events)
    ]
    batcher = Batcher(BatchLimits(max_messages=events + 1), sink.encode, sink.event_overhead)
    batcher.add(messages, 0.0)
    batch = batcher.cut()
    assert batch is not None, "there is one event at least"
    return batch


def _told(outcome: Outcome, status: int) -> list[str]:
    lines = [f"{outcome.fate.value}: {outcome.reason or responses.get(status, 'no reason given')}"]
    lines.append(MEANINGS[outcome.fate])
    if outcome.retry_after is not None:
        lines.append(f"not before {outcome.retry_after:g}s are over")
    reasons = outcome.reasons or {}
    for number, fate in enumerate(outcome.per_event or ()):
        lines.append(f"event {number + 1}: {fate.value}{': ' + reasons[number] if number in reasons else ''}")
    return lines
