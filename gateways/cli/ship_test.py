"""`nsqgw ship test`: the tests that a config file has for its transforms."""

from __future__ import annotations

from pathlib import Path

import click

from gateways.cli.config_errors import reported
from gateways.cli.main import EXIT_FAILED
from gateways.ship.config_file import load_config
from gateways.ship.trial import difference


@click.command("test", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
def command(files: tuple[Path, ...]) -> int:
    """Run every [[test]] of FILES: its input through the transforms of its pipeline. Nothing is connected.

    Exit code 1: one of them failed; 78: the file cannot be used.
    """
    with reported():
        config = load_config(files)
    pipelines = {pipeline.name: pipeline for pipeline in config.pipelines}
    failed = 0
    for trial in config.trials:
        wrong = difference(trial, pipelines[trial.pipeline])
        failed += wrong is not None
        click.echo(f"ok      {trial.name}" if wrong is None else f"FAILED  {trial.name}: {wrong}")
    click.echo(f"{len(config.trials) - failed} passed, {failed} failed")
    return EXIT_FAILED if failed else 0
