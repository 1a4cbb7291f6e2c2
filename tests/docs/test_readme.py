"""Every command and every piece of Python in README.md is run as it stands, on free ports."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websockets.sync.client

from harness.polling import eventually
from nsqgw import Producer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NSQGW = str(Path(sys.executable).with_name("nsqgw"))

RUN_BY_CI = {
    "make demo": "tests/browser",
    "make test": "this very run",
    "pip install .": "tests/docs/test_packaging.py",
    "pip install '.[gateways]'": "tests/docs/test_packaging.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def python_block(words: str) -> str:
    (block,) = [block for block in blocks("python") if words in block]
    return block


def command(start: str) -> str:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    (line,) = [line for line in lines if line.startswith(start)]
    return line


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Any]:
    """Start a program in an empty folder; its output goes to a file, and it ends with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        output = tmp_path / f"output{len(running)}"
        with output.open("wb") as sink:
            process = subprocess.Popen(
                arguments, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )
        running.append(process)
        return process, output

    yield start
    for process in running:
        process.kill()
        process.wait()


def publish(nsqd: Any, *bodies: bytes) -> None:
    async def scene() -> None:
        async with Producer([nsqd.tcp_address]) as producer:
            await producer.publish_many("events", bodies)

    asyncio.run(scene())


def test_every_command_is_run_by_some_test() -> None:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    source = Path(__file__).read_text()
    unknown = [line for line in lines if line not in RUN_BY_CI and f'command("{_start(line)}' not in source]
    assert lines
    assert unknown == []


def _start(line: str) -> str:
    return " ".join(line.split()[:2])


def test_every_python_block_is_run_by_some_test() -> None:
    tested = [
        "async def handle",
        "await message.finish()",
        "consumer.batches",
        "publish_many",
        "import BlockingProducer",
        "import LookupdHttp",
        "def test_round_trip",
        "expose_stats",
        "from compat.perl",
    ]
    assert [len([words for words in tested if words in block]) for block in blocks("python")] == [1] * len(
        tested
    )


def test_consuming_with_a_handler(nsqd: Any, spawn: Any) -> None:
    publish(nsqd, b"hello")
    code = python_block("async def handle").replace("127.0.0.1:4150", nsqd.tcp_address)
    _, output = spawn(sys.executable, "-u", "-c", code)
    eventually(lambda: "events 1 b'hello'" in output.read_text(), what="the handler's line")


def test_metrics_of_a_consumer(nsqd: Any, spawn: Any) -> None:
    publish(nsqd, b"hello")
    port = str(free_port())
    code = python_block("expose_stats").replace("127.0.0.1:4150", nsqd.tcp_address).replace("9100", port)
    _, output = spawn(sys.executable, "-u", "-c", code)
    eventually(lambda: "b'hello'" in output.read_text(), what="the handler's line")
    finished = 'nsqgw_consumer_messages_finished_total{channel="archive",topic="events"} 1.0'
    url = f"http://127.0.0.1:{port}/metrics"
    eventually(lambda: finished in requests.get(url, timeout=5).text, what="the message counted")
    assert 'nsqgw_facts_total{channel="archive",kind="connected"' in requests.get(url, timeout=5).text


def test_the_reader_that_comes_from_perl(nsqd: Any, spawn: Any) -> None:
    publish(nsqd, b"hello")
    code = python_block("from compat.perl").replace("127.0.0.1:4150", nsqd.tcp_address)
    process, output = spawn(sys.executable, "-X", "dev", "-W", "error", "-c", code)
    assert process.wait(30) == 0, output.read_text()
    assert output.read_text() == "1 b'hello'\n"


@pytest.mark.parametrize("words", ["await message.finish()", "consumer.batches"])
def test_iterating(nsqd: Any, spawn: Any, words: str) -> None:
    publish(nsqd, b"one", b"two")
    block = python_block(words).replace("127.0.0.1:4150", nsqd.tcp_address)
    head = "import asyncio\nfrom nsqgw import Consumer\nstore = print\nasync def main():\n"
    program = head + textwrap.indent(block, "    ") + "\nasyncio.run(main())\n"
    spawn(sys.executable, "-u", "-c", program)

    def finished() -> int:
        stats = requests.get(f"http://{nsqd.http_address}/stats?format=json", timeout=5).json()
        channels = [channel for topic in stats["topics"] for channel in topic["channels"]]
        return sum(client["finish_count"] for channel in channels for client in channel["clients"])

    eventually(lambda: finished() == 2, what="both messages finished")


def test_publishing(nsqd: Any, spawn: Any) -> None:
    code = python_block("publish_many").replace("127.0.0.1:4150", nsqd.tcp_address)
    process, output = spawn(sys.executable, "-c", code)
    assert process.wait(30) == 0, output.read_text()
    stats = requests.get(f"http://{nsqd.http_address}/stats?format=json", timeout=5).json()
    assert [topic["message_count"] for topic in stats["topics"]] == [5]


def test_publishing_from_the_shell(nsqd: Any, spawn: Any) -> None:
    process, output = spawn(*shlex.split(command("curl -d").replace("127.0.0.1:4151", nsqd.http_address)))
    assert process.wait(30) == 0
    assert output.read_text().endswith("OK")


def test_asking_by_http(nsq_cluster: Any, spawn: Any) -> None:
    cluster = nsq_cluster(1)
    publish(cluster.nsqds[0], b"one", b"two")
    code = python_block("import LookupdHttp").replace("127.0.0.1:4161", cluster.lookupd.http_address)
    process, output = spawn(sys.executable, "-c", code)
    assert process.wait(30) == 0, output.read_text()
    assert output.read_text() == "events 2\n"


def test_publishing_and_logging_without_a_loop(nsqd: Any, spawn: Any) -> None:
    code = python_block("import BlockingProducer").replace("127.0.0.1:4150", nsqd.tcp_address)
    environment = f"import os\nos.environ['NSQD_TCP_ADDRESS'] = {nsqd.tcp_address!r}\n"
    process, output = spawn(sys.executable, "-c", environment + code)
    assert process.wait(30) == 0, output.read_text()
    stats = requests.get(f"http://{nsqd.http_address}/stats?format=json", timeout=5).json()
    counts = {topic["topic_name"]: topic["message_count"] for topic in stats["topics"]}
    assert counts == {"events": 3, "logs": 1}


def test_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(python_block("def test_round_trip"))
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    run = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout


def test_ship(nsqd: Any, spawn: Any, tmp_path: Path) -> None:
    publish(nsqd, b'{"n":1}', b'{"n":2}')
    line = command("nsqgw ship").replace("127.0.0.1:4150", nsqd.tcp_address)
    process, output = spawn(NSQGW, *shlex.split(line)[1:], "--admin-address", "")
    shipped = tmp_path / "out.ndjson"
    eventually(lambda: shipped.exists() and shipped.read_bytes() == b'{"n":1}\n{"n":2}\n', what="both lines")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, output.read_text()


def test_push_to_a_websocket_and_to_curl(nsqd: Any, spawn: Any) -> None:
    address = f"127.0.0.1:{free_port()}"
    line = (
        command("nsqgw push").replace("127.0.0.1:4150", nsqd.tcp_address).replace("127.0.0.1:8080", address)
    )
    _, output = spawn(NSQGW, *shlex.split(line)[1:], "--admin-address", "")
    eventually(lambda: "started" in output.read_text(), what="push to start")
    assert "<!doctype html>" in requests.get(f"http://{address}/", timeout=5).text

    _, events = spawn(*shlex.split(command("curl -N").replace("127.0.0.1:8080", address)))
    with websockets.sync.client.connect(f"ws://{address}/stream/events") as browser:
        # curl has no sign of its subscription but what it prints; publish until it does.
        def arrived() -> bool:
            publish(nsqd, b"hello")
            return "data: hello" in events.read_text()

        eventually(arrived, what="an event printed by curl")
        assert browser.recv(timeout=15) == "hello"


def test_the_daemons_find_each_other(spawn: Any) -> None:
    lookupd_tcp, lookupd_http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    line = command("nsqgw nsqlookupd").replace("127.0.0.1:4160", lookupd_tcp)
    _, lookupd_log = spawn(NSQGW, *shlex.split(line.replace("127.0.0.1:4161", lookupd_http))[1:])
    eventually(lambda: "HTTP: listening on" in lookupd_log.read_text(), what="nsqlookupd to listen")

    line = command("nsqgw nsqd ").replace("127.0.0.1:4160", lookupd_tcp)
    ports = ["--tcp-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"]
    spawn(NSQGW, *shlex.split(line)[1:], *ports)
    nodes = f"http://{lookupd_http}/nodes"
    eventually(lambda: len(requests.get(nodes, timeout=5).json()["producers"]) == 1, what="nsqd to register")
