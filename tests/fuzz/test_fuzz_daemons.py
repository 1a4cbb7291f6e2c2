"""Wrong bytes for the ports of our daemons: they live, serve others, meet no mistake of ours, do not grow.

Each daemon is a process of its own, so that what it holds can be measured: memory and open files. A failure
names its seed: FUZZ_SEED=... repeats that case. FUZZ_SECONDS is the time for all ports.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fuzz.golden import CONVERSATIONS, LOOKUP_COMMANDS, LOOKUPD_REQUESTS, NSQD_REQUESTS
from fuzz.mutation import ENOUGH, mutators
from harness.command import Nsqgw
from harness.http import get, post, stats
from harness.polling import eventually
from harness.wire import LookupWire, Wire

CASES = 20
"""Cases a seed stands for."""

WARM_UP = 10 * CASES
"""Cases before memory is looked at: caches and pools have filled by then."""

MEMORY = 16 * 1024 * 1024
"""What the rest of the cases may add. If all bytes were kept it would be more in a soak."""

Check = Callable[[str, str], None]


def nsqd_serves(tcp_address: str, http_address: str) -> None:
    """A message goes through; then everything is deleted."""
    with Wire(tcp_address) as wire:
        wire.subscribe("healthy", "ch", rdy=1)
        wire.send(b"PUB healthy\n\0\0\0\1x")
        frames = sorted((wire.frame(), wire.frame()))
        assert frames[0].data == b"OK"
        assert frames[1].data[26:] == b"x"
        wire.finish(frames[1].data[10:26])
    for topic in stats(http_address, "&include_clients=false")["topics"]:
        name = topic["topic_name"].replace("#", "%23")
        assert post(http_address, f"/topic/delete?topic={name}").status == 200


def nsqlookupd_serves(tcp_address: str, http_address: str) -> None:
    """An nsqd registers and is found; then everything is deleted."""
    with LookupWire(tcp_address) as wire:
        wire.identify()
        assert wire.ask("REGISTER healthy ch") == b"OK"
        assert len(get(http_address, "/lookup?topic=healthy").json["producers"]) == 1
    for topic in get(http_address, "/topics").json["topics"]:
        assert post(http_address, "/topic/delete?topic=" + topic.replace("#", "%23")).status == 200


class Target:
    """A daemon as a process, and which of its ports gets the wrong bytes."""

    def __init__(self, daemon: Nsqgw, port: str, serves: Check) -> None:
        self._daemon = daemon
        self._addresses = [daemon.wait_for(rf"{kind}: listening on (\S+)") for kind in ("TCP", "HTTP")]
        host, _, number = self._addresses[port == "HTTP"].rpartition(":")
        self._where = host, int(number)
        self._serves = serves

    def feed(self, pieces: Sequence[bytes]) -> None:
        """One connection; what comes back is read to its end."""
        with socket.create_connection(self._where, 15) as connection, contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
            with contextlib.suppress(OSError):  # ended by the other side already
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def check(self) -> None:
        """It runs, serves others, and met nothing it did not expect."""
        assert self._daemon.process.poll() is None
        self._serves(*self._addresses)
        log = self._daemon.log
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :]

    @property
    def memory(self) -> int:
        """Bytes it holds."""
        status = Path(f"/proc/{self._daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self._daemon.process.pid}/fd"))


PORTS = {
    "nsqd-tcp": ("nsqd", "TCP", nsqd_serves, CONVERSATIONS),
    "nsqd-http": ("nsqd", "HTTP", nsqd_serves, NSQD_REQUESTS),
    "nsqlookupd-tcp": ("nsqlookupd", "TCP", nsqlookupd_serves, [LOOKUP_COMMANDS]),
    "nsqlookupd-http": ("nsqlookupd", "HTTP", nsqlookupd_serves, LOOKUPD_REQUESTS),
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Nsqgw]]:
    with contextlib.ExitStack() as running:

        def begin(name: str) -> Nsqgw:
            flags = ["-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0", "-broadcast-address=127.0.0.1"]
            if name == "nsqd":
                flags.append(f"-data-path={tmp_path}")
            return running.enter_context(Nsqgw(tmp_path, name, *flags))

        yield begin


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PORTS)
def test_wrong_bytes_at_a_port_do_nothing_to_the_daemon(name: str, start: Callable[[str], Nsqgw]) -> None:
    program, port, serves, golden = PORTS[name]
    target = Target(start(program), port, serves)
    target.check()
    cases, memory, files = 0, 0, target.open_files
    for mutator in mutators(golden, 1 / len(PORTS), ENOUGH):
        for _ in range(CASES):
            target.feed(mutator.case())
        try:
            target.check()
        except (OSError, AssertionError) as error:
            raise AssertionError(f"{name}, FUZZ_SEED={mutator.seed}: {error}") from error
        cases += CASES
        if cases == WARM_UP:
            memory = target.memory
    eventually(lambda: target.open_files <= files, what="connections are closed")
    assert cases < WARM_UP or target.memory < memory + MEMORY
