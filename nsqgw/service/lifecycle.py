"""The life of a service: start, work until a signal, drain within a deadline, exit code.

SIGINT and SIGTERM begin the drain, a second one ends it at once; SIGHUP renews the settings of a service that
can do so. systemd is told of all that (see service.systemd). Every gateway and daemon of the command
line runs through `run`; a program with a loop of its own awaits `serve`. Logging is configured elsewhere
(service.logs).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from nsqgw.deadline import within
from nsqgw.errors import DeadlineExceeded, NSQError
from nsqgw.service.hosts import AllowedHosts
from nsqgw.service.systemd import Supervisor

if TYPE_CHECKING:
    from prometheus_client import Metric
    from tornado.routing import Rule

    from nsqgw.service.admin import AdminPort

logger = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_SIGNAL_BASE = 128  # the shell's convention for "ended by signal n"

CANCEL_TIMEOUT = 1.0  # what a cancelled start or drain gets for its cleaning up, seconds
ADMIN_TIMEOUT = 1.0

_ADMIN_FLAG = "--admin-address"  # as all commands call it

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Service(Protocol):
    """What `run` needs to know of a program."""

    name: str
    """How the program calls itself in messages: `nsqgw ship`."""

    async def start(self) -> None:
        """Listen and connect. Raises NSQError, whose text is one line, when that fails."""

    async def stop(self) -> None:
        """Drain and close. Cancelled when the deadline passes; called after a failed `start` too."""

    def ready(self) -> str | None:
        """None when the service does its work, else the reason why it does not; asked during `start`, too."""

    def metrics(self) -> Iterable[Metric]:
        """Metrics read from live state, at the time of the scrape."""

    def settings(self) -> dict[str, object]:
        """The settings in force, with secrets masked."""


@runtime_checkable
class EndingService(Service, Protocol):
    """A service whose work can be over without a signal, as when the reader of its output went away."""

    async def wait_closed(self) -> None:
        """Return when the work is over; raise NSQError when it cannot go on."""


@runtime_checkable
class ReloadingService(Service, Protocol):
    """A service that can renew its settings while it runs."""

    async def reload(self) -> None:
        """Put renewed settings in force; raise NSQError, with the old ones in force, when that cannot be.

        Cancelled when the service is to stop.
        """


@runtime_checkable
class ServiceWithPages(Service, Protocol):
    """A service that adds pages to the admin port."""

    def admin_routes(self) -> Sequence[Rule]:
        """Their routes, for tornado."""


class _Phase(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


def run(
    service: Service,
    *,
    admin_address: str | None,
    drain_timeout: float,
    allow_hosts: Iterable[str] = (),
    runner: Callable[[Coroutine[Any, Any, int]], int] = asyncio.run,
) -> int:
    """Run `service` in an event loop of its own, made by `runner`, until it has stopped; see `serve`."""
    return runner(
        serve(service, admin_address=admin_address, drain_timeout=drain_timeout, allow_hosts=allow_hosts)
    )


async def serve(
    service: Service, *, admin_address: str | None, drain_timeout: float, allow_hosts: Iterable[str] = ()
) -> int:
    """Start `service`, wait for a signal or its own end, drain it, and return the exit code.

    `admin_address` is the "host:port" of the admin port; None or "" opens none. It answers to the names of
    `service.hosts.AllowedHosts` with `allow_hosts`. `drain_timeout` in seconds bounds `service.stop()`.

    Exit codes: 0 stopped in order; 1 it could not start, could not go on or did not drain in time (a line on
    stderr says which); 128 + n when a second signal n cut the drain short.
    """
    return await _Life(service, drain_timeout).live(admin_address, allow_hosts)


class _Life:
    """One run of one service. The first signal sets `_stop`, the second one `_force`."""

    def __init__(self, service: Service, drain_timeout: float) -> None:
        self._service = service
        self._drain_timeout = drain_timeout
        self._phase = _Phase.STARTING
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._forced_by = 0
        self._reload: asyncio.Task[None] | None = None
        self._reload_again = False
        self._supervisor = Supervisor()

    async def live(self, admin_address: str | None, allow_hosts: Iterable[str]) -> int:
        code = EXIT_OK
        admin: AdminPort | None = None
        reloads = isinstance(self._service, ReloadingService)
        with _signals_sent_to(self._signalled, (*_SIGNALS, *([signal.SIGHUP] if reloads else []))):
            try:
                if admin_address:
                    hosts = AllowedHosts(admin_address, allow_hosts)
                    admin = _open_admin_port(admin_address, hosts, self._service, self.ready)
                await self._work()
            except (NSQError, OSError) as error:
                code = self._fail(error)
            finally:
                await self._end_reload()
                code = await self._drain() or code
                await self._supervisor.close()
                if admin is not None:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await within(ADMIN_TIMEOUT, admin.close())
        return code

    def ready(self) -> str | None:
        """What /ready answers: the service's own word, but never ready before it runs or when it stops."""
        phase: str = self._phase.value
        reason = None if self._phase is _Phase.DRAINING else self._service.ready()
        if self._phase is _Phase.RUNNING:
            return reason
        return phase if reason is None else f"{phase}: {reason}"

    async def _work(self) -> None:
        if not await self._until_signal(self._service.start()):
            return
        self._phase = _Phase.RUNNING
        logger.info("%s started", self._service.name)
        self._supervisor.ready(self._service.ready)
        if isinstance(self._service, EndingService):
            await self._until_signal(self._service.wait_closed())
        else:
            await self._stop.wait()

    async def _until_signal(self, work: Coroutine[Any, Any, None]) -> bool:
        """Await `work`; True when it ended, False when a signal came first and it was cancelled."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not task.done():
                await _cancel(task)
        if task.cancelled() or not task.done():
            return False
        task.result()
        return True

    async def _drain(self) -> int:
        """Stop the service: 0 when it stopped in time, else the exit code to end with."""
        was_running = self._phase is _Phase.RUNNING
        self._phase = _Phase.DRAINING
        self._supervisor.stopping()
        task = asyncio.create_task(self._service.stop())
        forced = asyncio.create_task(self._force.wait())
        done, _ = await asyncio.wait(
            {task, forced}, timeout=self._drain_timeout, return_when=asyncio.FIRST_COMPLETED
        )
        forced.cancel()
        if task not in done:
            await _cancel(task)
            if self._forced_by:
                return EXIT_SIGNAL_BASE + self._forced_by
            return self._fail(DeadlineExceeded(f"gave up the drain after {self._drain_timeout:g}s"))
        error = task.exception()
        if error is None:
            if was_running:
                logger.info("%s stopped", self._service.name)
            return EXIT_OK
        if isinstance(error, NSQError | OSError):
            return self._fail(error)
        raise error

    def _signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            self._begin_reload()
            return
        if not self._stop.is_set():
            logger.info(
                "%s: %s, draining for at most %gs", self._service.name, number.name, self._drain_timeout
            )
            self._stop.set()
            return
        logger.warning("%s: %s again, not waiting any longer", self._service.name, number.name)
        self._forced_by = number
        self._force.set()

    def _begin_reload(self) -> None:
        """One reload at a time; a signal that comes during one asks for another after it."""
        if self._phase is not _Phase.RUNNING or self._stop.is_set():
            logger.warning("%s: SIGHUP while %s is without effect", self._service.name, self._phase.value)
        elif self._reload is not None and not self._reload.done():
            self._reload_again = True
        else:
            self._reload = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        assert isinstance(self._service, ReloadingService)
        self._reload_again = True
        while self._reload_again:
            self._reload_again = False
            logger.info("%s: SIGHUP, reading the settings again", self._service.name)  # it may take a while
            self._supervisor.reloading()
            try:
                await self._service.reload()
            except (NSQError, OSError) as error:
                logger.error("%s: the old settings stay in force: %s", self._service.name, error)
            except Exception:  # a mistake of ours: what runs goes on
                logger.exception("%s: the reload failed", self._service.name)
            else:
                logger.info("%s reloaded", self._service.name)
            self._supervisor.reloaded()

    async def _end_reload(self) -> None:
        if self._reload is not None:
            await _cancel(self._reload)

    def _fail(self, error: Exception) -> int:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"{self._service.name}: {text}", file=sys.stderr)
        return EXIT_FAILED


def _open_admin_port(address: str, hosts: AllowedHosts, service: Service, ready: Any) -> AdminPort:
    from nsqgw.service.admin import AdminPort, service_registry  # needs the extra `gateways`

    registry = service_registry(service)
    routes = service.admin_routes() if isinstance(service, ServiceWithPages) else ()
    admin = AdminPort(registry=registry, ready=ready, settings=service.settings, hosts=hosts, routes=routes)
    admin.listen(address, _ADMIN_FLAG)
    logger.info("%s: admin port on http://%s", service.name, admin.address)
    return admin


@contextlib.contextmanager
def _signals_sent_to(handler: Any, numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Send these signals to `handler` inside the loop; put back what was there before."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, handler, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel `task` and give it a moment to clean up; what it raises then is of no more use."""
    task.cancel()
    await asyncio.wait({task}, timeout=CANCEL_TIMEOUT)
    if task.done() and not task.cancelled() and (error := task.exception()) is not None:
        logger.debug("raised while being cancelled: %r", error)
