"""`nsqgw demo`: everything on this machine, with a page to look at."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from pathlib import Path

import click

from gateways.cli.go_flags import GoCommand
from gateways.cli.options import ADDRESS, OPTIONAL_ADDRESS, allow_host_option
from gateways.demo.brokers import ANY_PORT, NSQDS
from gateways.demo.demo import Demo, DemoSettings
from nsqgw.errors import ListenFailed
from nsqgw.service import logs
from nsqgw.service.lifecycle import run
from nsqgw.service.listen import bound_address, listen
from nsqgw.service.settings import parse_address

DRAIN_TIMEOUT = 20.0
PAGE_ADDRESS = "127.0.0.1:8080"
ADMIN_ADDRESS = "127.0.0.1:9119"


@click.command("demo", cls=GoCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--listen",
    "page_address",
    type=ADDRESS,
    show_default=f"{PAGE_ADDRESS}, or any free port",
    help="Where the page is.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the shipped file; by default a new one for temporary files.",
)
@click.option(
    "--nsqd-tcp-address",
    "nsqds",
    type=ADDRESS,
    multiple=True,
    help=f"Port of an nsqd to start, up to {NSQDS} times; by default free ones.",
)
@click.option(
    "--lookupd-http-address",
    "lookupd",
    type=ADDRESS,
    default=ANY_PORT,
    help="Port of the nsqlookupd to start.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), help="Stop after so long; by default run until Ctrl-C."
)
@click.option(
    "--admin-address",
    type=OPTIONAL_ADDRESS,
    show_default=f"{ADMIN_ADDRESS}, or any free port",
    help="For /ping, /ready, /metrics and /config; empty for none.",
)
@allow_host_option("the demo")
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="warning", show_default=True)
@click.option("--log-format", type=click.Choice(logs.FORMATS), default="logfmt", show_default=True)
def command(
    page_address: str | None,
    data_dir: Path | None,
    nsqds: tuple[str, ...],
    lookupd: str,
    seconds: float | None,
    admin_address: str | None,
    allow_hosts: tuple[str, ...],
    log_level: str,
    log_format: str,
) -> int:
    """Run nsqlookupd, two nsqds, a producer, ship and push here, with real input.

    The input is this machine's own load, memory and network, and the log records of the services themselves.
    The page plots the one and scrolls the other, while both are shipped to a file. The log level is that of
    the terminal; the page always shows info and above.
    """
    if len(nsqds) > NSQDS:
        raise click.UsageError(f"--nsqd-tcp-address was given {len(nsqds)} times: there are {NSQDS} nsqds")
    folder = data_dir or Path(tempfile.mkdtemp(prefix="nsqgw-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    logs.configure(log_level, log_format)
    _let_info_pass()
    settings = DemoSettings(
        folder,
        _free_unless_given(page_address, PAGE_ADDRESS),
        nsqds,
        lookupd,
        seconds,
        allow_hosts,
        _free_unless_given(admin_address, ADMIN_ADDRESS),
    )
    demo = Demo(settings)
    try:
        return run(
            demo,
            admin_address=settings.admin_address,
            drain_timeout=DRAIN_TIMEOUT,
            allow_hosts=allow_hosts,
        )
    finally:
        if data_dir is None:
            _tidy(demo.file)


def _free_unless_given(address: str | None, preferred: str) -> str:
    """`address`; without one `preferred`, or a free port while a program has that. Port 0 is resolved."""
    if address == "" or (address and parse_address(address).port):
        return address
    for candidate in (preferred, ANY_PORT) if address is None else (address,):
        with contextlib.suppress(ListenFailed):
            return _probed(candidate)
    return address or preferred  # the demo's start says what is wrong with it


def _probed(address: str) -> str:
    """`address` as it can be listened on, with the port that stands for 0."""
    sockets = listen(address)
    try:
        return bound_address(sockets)
    finally:
        for sock in sockets:
            sock.close()


def _tidy(file: Path) -> None:
    """Leave no temporary folder behind in which nothing is; say where the file is that stays."""
    if file.exists() and file.stat().st_size:
        print(f"{file} stays, with its folder: remove them when they are of no more use", flush=True)
        return
    file.unlink(missing_ok=True)
    file.parent.rmdir()


def _let_info_pass() -> None:
    """Give info records to the page's handler too, and the terminal no more than it was told to show."""
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setLevel(root.level)
    root.setLevel(min(root.level, logging.INFO))
