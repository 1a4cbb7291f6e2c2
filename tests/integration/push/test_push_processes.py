"""Two processes on one port: browsers are spread, and those of a killed one go on at the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from harness.command import Nsqgw, run_nsqgw
from harness.polling import eventually
from nsqgw import Producer


def publish(nsqd: str, *bodies: str) -> None:
    async def all_of_them() -> None:
        async with Producer([nsqd]) as producer:
            for body in bodies:
                await producer.publish("events", body.encode())

    asyncio.run(all_of_them())


class Pair:
    """A gateway of two processes."""

    def __init__(self, push: Nsqgw, clients: contextlib.ExitStack) -> None:
        self.push = push
        self._clients = clients
        self.admin = push.wait_for(r'admin port on (http://127[^\s"]+)')
        self.address = push.wait_for(r'2 processes on http://([^\s"]+)')

    def stats(self) -> dict[str, Any]:
        return dict(json.loads(urlopen(f"{self.admin}/stats").read()))

    def metrics(self) -> str:
        return str(urlopen(f"{self.admin}/metrics").read().decode())

    def workers(self) -> list[int]:
        """Their process ids."""
        children = Path(f"/proc/{self.push.process.pid}/task/{self.push.process.pid}/children").read_text()
        return list(map(int, children.split()))

    def follow(self, since: str | None = None) -> tuple[ClientConnection, int]:
        """A client of `events`, and the process that has it."""
        agreed = [Subprotocol("nsqgw.v1.json")]

        def reached() -> ClientConnection | None:
            with contextlib.suppress(OSError, InvalidHandshake):  # what a dying process had not accepted
                return self._clients.enter_context(
                    connect(f"ws://{self.address}/connect", proxy=None, close_timeout=1, subprotocols=agreed)
                )
            return None

        client = eventually(reached)
        client.recv(timeout=10)
        place = {} if since is None else {"since": since}
        client.send(json.dumps({"id": 1, "op": "subscribe", "channel": "events", **place}))
        client.recv(timeout=10)
        (pid,) = (pid for pid in self.workers() if _socket_of(client) in _open_by(pid))
        return client, pid


def _socket_of(client: ClientConnection) -> str:
    """The socket at the gateway's end, as the kernel names it."""
    ends = f":{client.remote_address[1]:04X}", f":{client.local_address[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(ends[0]) and fields[2].endswith(ends[1]):
            return f"socket:[{fields[9]}]"
    raise AssertionError(f"no socket for {ends}")


def _open_by(pid: int) -> set[str]:
    with contextlib.suppress(FileNotFoundError):  # it may be gone
        return {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    return set()


@pytest.fixture
def pair(nsqd, tmp_path: Path) -> Iterator[Pair]:
    ports = ("--listen", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
    flags = ("--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address, "--processes", "2", *ports)
    with Nsqgw(tmp_path, "push", *flags) as push:
        with contextlib.ExitStack() as clients:
            pair = Pair(push, clients)
            yield pair
        pids = pair.workers() if push.process.poll() is None else []
        if push.process.poll() is None:
            assert push.terminate() == 0
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        assert "Traceback" not in push.log


def documents(client: ClientConnection) -> Iterator[dict[str, Any]]:
    while True:
        yield json.loads(client.recv(timeout=10))


def message(client: ClientConnection) -> dict[str, Any]:
    return next(each for each in documents(client) if each.get("push") in ("message", "gap"))


def test_a_killed_process_is_replaced_and_its_browsers_go_on_at_the_other(pair: Pair, nsqd) -> None:
    clients: dict[int, ClientConnection] = {}
    spare = 0
    while len(clients) < 2:  # the kernel chooses by the client's port
        client, pid = pair.follow()
        if pid in clients:
            spare += 1
        else:
            clients[pid] = client
        assert spare < 40
    publish(nsqd.tcp_address, "one")
    seen = {pid: message(client) for pid, client in clients.items()}
    assert {each["data"] for each in seen.values()} == {"one"}

    victim = next(iter(clients))
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(ConnectionClosed):
        clients[victim].recv(timeout=10)
    publish(nsqd.tcp_address, "two")
    back, _ = pair.follow(since=seen[victim]["position"])
    told = message(back)
    assert told["push"] == "gap" or told["data"] == "two"  # never nothing

    eventually(lambda: len(pair.workers()) == 2 and pair.stats()["processes"] == 2)
    assert urlopen(f"{pair.admin}/ready").status == 200
    restarts = "nsqgw_push_process_restarts_total 1.0"
    eventually(lambda: restarts in pair.metrics())


def test_the_admin_port_answers_for_both_and_a_signal_drains_both(pair: Pair, nsqd) -> None:
    clients = [pair.follow()[0] for _ in range(6)]
    publish(nsqd.tcp_address, "one")
    for client in clients:
        assert message(client)["data"] == "one"
    told = eventually(lambda: pair.stats() if pair.stats()["channels"][0]["deliveries"] == 6 else None)
    assert (told["processes"], told["channels"][0]["subscribers"]) == (2, 6)
    assert 'nsqgw_push_deliveries_total{topic="events"} 6.0' in pair.metrics()
    assert "nsqgw_push_processes 2.0" in pair.metrics()
    pair.push.send(signal.SIGTERM)
    for client in clients:
        with pytest.raises(ConnectionClosed) as closed:
            for _ in documents(client):
                pass
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert pair.push.wait() == 0


def test_a_port_in_use_is_one_line(nsqd) -> None:
    flags = ("--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address, "--admin-address", "")
    done = run_nsqgw("push", *flags, "--listen", nsqd.tcp_address, "--processes", "2")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"cannot listen on {nsqd.tcp_address}: Address already in use" in done.stderr


def test_clients_of_every_process_are_sent_off(pair: Pair) -> None:
    clients = [pair.follow(), pair.follow()]
    while len({pid for _, pid in clients}) < 2:  # the kernel chooses
        clients.append(pair.follow())
        assert len(clients) < 40
    request = Request(f"{pair.admin}/disconnect?channel=events", method="POST")
    assert json.load(urlopen(request)) == {"disconnected": len(clients)}
    for client, _ in clients:
        assert json.loads(client.recv(timeout=10))["push"] == "unsubscribed"
