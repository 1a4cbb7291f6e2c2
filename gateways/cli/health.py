"""Whether a running gateway is well, by its admin port: for containers and scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import requests

from gateways.cli.admin_answer import no_answer
from gateways.cli.main import EXIT_FAILED
from gateways.cli.options import DURATION


def health_command(admin_address: Callable[..., Any], ready_means: str) -> click.Command:
    """The command `health` of a gateway; `admin_address` is its option, `ready_means` when it is ready."""

    @click.command("health", context_settings={"help_option_names": ["-h", "--help"]})
    @admin_address
    @click.option("--ready", is_flag=True, help=f"Whether it does its work, too: {ready_means}.")
    @click.option("--timeout", type=DURATION, default="3s", show_default=True, help="For the answer.")
    def command(admin_address: str, ready: bool, timeout: float) -> int:
        """Ask a gateway whether its loop turns: exit code 0 when it does, else 1 and the reason."""
        url = f"http://{admin_address}/{'ready' if ready else 'ping'}"
        try:
            answer = requests.get(url, timeout=timeout)
        except requests.RequestException as error:
            raise no_answer(url, error) from error
        click.echo(answer.text.strip())
        return 0 if answer.ok else EXIT_FAILED

    return command
