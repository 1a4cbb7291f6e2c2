"""nsqadmin, the original one, before our daemons and the originals (admin-and-tools section 1)."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.daemons import Daemon
from harness.http import Answer, call, get, post, stats
from harness.polling import eventually
from harness.real import require
from harness.wire import Wire

LISTENING = re.compile(r"HTTP: listening on (\S+)")


class Scene(NamedTuple):
    """A cluster of one, and nsqadmin's address."""

    admin: str
    nsqd: Daemon
    lookupd: Daemon

    def ask(self, method: str, path: str, **body: str) -> Any:
        answer = self.answer(method, path, **body)
        assert answer.status == 200, answer
        return answer.json

    def answer(self, method: str, path: str, **body: str) -> Answer:
        return call(self.admin, method, path, json.dumps(body).encode() if body else None)

    def topics(self) -> list[str]:
        return [entry["topic_name"] for entry in stats(self.nsqd.http_address)["topics"]]


@pytest.fixture
def scene(
    start_nsqlookupd: Callable[..., Daemon], start_nsqd: Callable[..., Daemon], tmp_path: Path
) -> Iterator[Scene]:
    lookupd = start_nsqlookupd()
    nsqd = start_nsqd(lookupd_tcp_addresses=(lookupd.tcp_address,))
    eventually(lambda: get(lookupd.http_address, "/nodes").json["producers"], what="nsqd is registered")
    log = tmp_path / "nsqadmin"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [
                require("nsqadmin"),
                "-http-address=127.0.0.1:0",
                f"-lookupd-http-address={lookupd.http_address}",
            ],
            stderr=stderr,
        )
    try:
        admin = eventually(lambda: LISTENING.findall(log.read_text()), what="nsqadmin listens")[0]
        yield Scene(admin, nsqd, lookupd)
    finally:
        process.kill()
        process.wait(10)


def test_nsqadmin_shows_the_cluster(scene: Scene) -> None:
    scene.ask("POST", "/api/topics", topic="t", channel="c")
    with Wire(scene.nsqd.tcp_address) as wire:
        wire.identify(client_id="me", hostname="here", user_agent="scene/1")
        wire.subscribe("t", "c", rdy=1)
        post(scene.nsqd.http_address, "/mpub?topic=t", b"a\nb\nc")
        wire.message()
        eventually(lambda: scene.ask("GET", "/api/topics/t/c")["in_flight_count"] == 1)
        assert scene.ask("GET", "/api/topics") == {"topics": ["t"], "message": ""}
        topic = scene.ask("GET", "/api/topics/t")
        assert (topic["message_count"], topic["message"], len(topic["nodes"])) == (3, "", 1)
        assert [each["channel_name"] for each in topic["channels"]] == ["c"]
        channel = scene.ask("GET", "/api/topics/t/c")
        (client,) = channel["clients"]
        assert (channel["depth"], client["client_id"], client["user_agent"]) == (2, "me", "scene/1")
        (node,) = scene.ask("GET", "/api/nodes")["nodes"]
        assert (node["version"], node["out_of_date"], node["topics"]) == (
            "1.3.0",
            False,
            [{"topic": "t", "tombstoned": False}],
        )
        found = scene.ask("GET", f"/api/nodes/127.0.0.1:{node['http_port']}")
        assert (found["total_messages"], found["total_clients"]) == (3, 1)
        (counter,) = scene.ask("GET", "/api/counter")["stats"].values()
        assert (counter["topic_name"], counter["message_count"]) == ("t", 3)


def test_nsqadmin_changes_the_cluster(scene: Scene) -> None:
    scene.ask("POST", "/api/topics", topic="t", channel="c")
    post(scene.nsqd.http_address, "/mpub?topic=t", b"a\nb")
    eventually(lambda: scene.ask("GET", "/api/topics/t/c")["depth"] == 2)
    for path in "/api/topics/t", "/api/topics/t/c":
        for action, paused in ("pause", True), ("unpause", False):
            assert scene.ask("POST", path, action=action) == {"message": ""}
            assert scene.ask("GET", path)["paused"] is paused
    assert scene.ask("POST", "/api/topics/t/c", action="empty") == {"message": ""}
    assert scene.ask("GET", "/api/topics/t/c")["depth"] == 0
    assert scene.ask("POST", "/api/topics/t", action="empty") == {"message": ""}
    refused = scene.answer("POST", "/api/topics/t", action="x")
    assert (refused.status, refused.message) == (400, "INVALID_ACTION")
    assert scene.ask("DELETE", "/api/topics/t/c") == {"message": ""}
    assert scene.ask("GET", "/api/topics/t")["channels"] in ([], None)
    assert scene.ask("DELETE", "/api/topics/t") == {"message": ""}
    assert scene.topics() == []
    assert get(scene.lookupd.http_address, "/topics").json == {"topics": []}


def test_nsqadmin_tombstones_a_node(scene: Scene) -> None:
    for topic in "t", "u":
        post(scene.nsqd.http_address, f"/topic/create?topic={topic}")
        eventually(lambda name=topic: get(scene.lookupd.http_address, f"/lookup?topic={name}").status == 200)
    node = f"127.0.0.1:{scene.nsqd.http_address.rpartition(':')[2]}"
    assert scene.ask("DELETE", f"/api/nodes/{node}", topic="t") == {"message": ""}
    assert scene.topics() == ["u"]
    assert get(scene.lookupd.http_address, "/lookup?topic=t").json["producers"] == []
    assert scene.ask("GET", "/api/topics?inactive=true") == {"topics": {"t": None}, "message": ""}
    assert len(get(scene.lookupd.http_address, "/lookup?topic=u").json["producers"]) == 1
