"""What the commands of both daemons share: the daemon as a service, and its admin port."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import click

from compat.go_logs import log_to_stderr
from gateways.cli.open_files import allow_all_files
from gateways.cli.options import OPTIONAL_ADDRESS, allow_host_option
from nsqgw.service.lifecycle import run

if TYPE_CHECKING:
    from prometheus_client import Metric

DRAIN_TIMEOUT = 10.0

_admin_address_option = click.option(
    "--admin-address",
    type=OPTIONAL_ADDRESS,
    default="",
    help="host:port for /ping, /ready, /metrics and /config; none by default.",
)


def admin_options(function: Callable[..., int]) -> Any:
    """Where the admin port is, and the names it answers to."""
    return _admin_address_option(allow_host_option("the admin port")(function))


class Daemon(Protocol):
    """An embeddable daemon; `options` is a dataclass."""

    options: Any

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


DaemonT = TypeVar("DaemonT", bound=Daemon)


class DaemonService(Generic[DaemonT]):
    """A daemon as a service of `nsqgw.service`; it is ready as soon as it listens."""

    def __init__(self, name: str, daemon: DaemonT, metrics: Callable[[DaemonT], Iterable[Metric]]) -> None:
        self.name = name
        self._daemon = daemon
        self._metrics = metrics

    async def start(self) -> None:
        await self._daemon.start()

    async def stop(self) -> None:
        await self._daemon.stop()

    def ready(self) -> str | None:
        return None

    def metrics(self) -> Iterable[Metric]:
        return self._metrics(self._daemon)

    def settings(self) -> dict[str, object]:
        return asdict(self._daemon.options)


def run_daemon(
    name: str,
    daemon: DaemonT,
    metrics: Callable[[DaemonT], Iterable[Metric]],
    *,
    log_prefix: str,
    log_level: str,
    admin_address: str,
    allow_hosts: Iterable[str],
) -> int:
    """Log as the original does, run until a signal, and return the exit code."""
    log_to_stderr(log_prefix, log_level)
    allow_all_files()
    service = DaemonService(name, daemon, metrics)
    return run(service, admin_address=admin_address, drain_timeout=DRAIN_TIMEOUT, allow_hosts=allow_hosts)
