"""`nsqgw ship tap`: events as they pass through a running gateway, from its admin port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import requests

from gateways.cli.admin_answer import no_answer
from gateways.cli.options import TOPIC
from gateways.cli.ship_top import ADMIN_ADDRESS
from gateways.pipeline.watch import STAGES
from nsqgw.errors import NotConnected

_TIMEOUT = 30.0  # more than between two signs of life of the gateway


@click.command("tap", context_settings={"help_option_names": ["-h", "--help"]})
@ADMIN_ADDRESS
@click.option("--pipeline", help="Only events of this pipeline.")
@click.option("--topic", type=TOPIC, help="Only events of this topic.")
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default=STAGES[0],
    show_default=True,
    help="As nsqd sent them, as transforms left them, or as a sink has confirmed them.",
)
@click.option(
    "--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="A part of them, by chance."
)
@click.option("--limit", type=click.IntRange(1), help="End after so many events.")
@click.option("--body", is_flag=True, help="Print the bodies alone, in place of JSON.")
def command(
    admin_address: str,
    pipeline: str | None,
    topic: str | None,
    stage: str,
    sample: float,
    limit: int | None,
    body: bool,
) -> int:
    """Print events as they pass, a JSON object a line, until Ctrl-C.

    The gateway never waits for a reader: events that come too fast are left out, and `missed` in the next one
    says how many.
    """
    chosen = {"pipeline": pipeline, "topic": topic, "stage": stage, "sample": sample}
    parameters = {name: value for name, value in chosen.items() if value is not None}
    for shown, line in enumerate(_lines(f"http://{admin_address}/tap", parameters), 1):
        click.echo(_body(json.loads(line)) if body else line)
        if shown == limit:
            break
    return 0


def _lines(url: str, parameters: dict[str, Any]) -> Iterator[str]:
    """The lines with an event."""
    try:
        with requests.get(url, params=parameters, stream=True, timeout=_TIMEOUT) as answer:
            if not answer.ok:
                raise NotConnected(f"{url}: {answer.text.strip()}")
            yield from (line.decode("utf-8") for line in answer.iter_lines(chunk_size=1) if line)
    except requests.RequestException as error:
        raise no_answer(url, error) from error
    raise NotConnected(f"{url} has ended: the gateway stopped")


def _body(event: dict[str, Any]) -> str:
    return str(event.get("body", event.get("body_base64")))
