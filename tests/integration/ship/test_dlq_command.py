"""`nsqgw ship dlq` on real files and nsqds of both kinds: listed, shown, replayed, interrupted."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from gateways.cli.main import main
from gateways.pipeline.dead_letters import DeadLetter
from gateways.ship.dead_letters.envelope import write_letter
from gateways.ship.dead_letters.letter_topic import LetterTopic
from harness.command import Nsqgw
from harness.daemons import Daemon
from harness.http import post, stats
from harness.polling import eventually
from harness.transforming import one_message
from nsqgw.message import Message

COUNT = 300


def letters(count: int = COUNT, topic: str = "events") -> list[bytes]:
    """Letters of one topic; every tenth was refused for another reason."""
    return [
        write_letter(
            DeadLetter(
                one_message(b"body %d" % n, n, topic), b"", "mapping" if n % 10 else "too large", "search"
            ),
            "app",
            0.0,
        )
        for n in range(count)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dead.ndjson"
    path.write_bytes(b"".join(letter + b"\n" for letter in letters()))
    return path


def depth(daemon: Daemon, topic: str, channel: str | None = None) -> int:
    """Messages of a topic that no channel has, or of one of its channels."""
    for each in stats(daemon.http_address)["topics"]:
        if each["topic_name"] == topic:
            if channel is None:
                return int(each["depth"])
            for one in each["channels"]:
                if one["channel_name"] == channel:
                    return int(one["depth"] + one["in_flight_count"] + one["deferred_count"])
    return 0


class Done(NamedTuple):
    code: int
    out: str
    err: str


Dlq = Callable[..., Done]


@pytest.fixture
def dlq(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Dlq:
    """Runs the command in this process, with its logs left as the tests have them."""
    monkeypatch.setattr("gateways.cli.ship_dlq.logs.configure", lambda *_: None)

    def run(*arguments: str, code: int = 0) -> Done:
        capfdbinary.readouterr()
        ended = main(["ship", "dlq", *arguments])
        out, err = capfdbinary.readouterr()
        assert ended == code, err
        return Done(ended, out.decode(), err.decode())

    return run


def test_list_and_show(dlq: Dlq, file: Path) -> None:
    where = f"--file={file}", '--where=matches(reason, "large") and nsq_topic == "events"'
    lines = dlq("list", *where).out.splitlines()
    assert len(lines) == COUNT / 10
    assert lines[1].split("  ") == [
        "11", "1970-01-01T00:00:00.000+00:00", "events", "search", "1", "too large",
    ]  # fmt: skip
    shown = dlq("show", f"--file={file}", "11").out
    assert "reason: too large\n" in shown
    assert shown.endswith("body: 7 bytes\nbody 10\n")
    (one,) = dlq("list", f"--file={file}", "--limit=1", "--json").out.splitlines()
    assert orjson.loads(one)["body"] == "body 0"


def test_a_file_to_its_topic_and_no_letter_twice(dlq: Dlq, file: Path, broker: Daemon) -> None:
    nsqd = f"--nsqd-tcp-address={broker.tcp_address}"
    arguments = ("replay", f"--file={file}", nsqd, '--where=reason == "too large"')
    assert dlq(*arguments, "--dry-run").out.startswith("30 would be replayed, 270 left")
    assert depth(broker, "events") == 0
    assert dlq(*arguments).out.startswith("30 replayed, 270 left by --where, 0 failed")
    assert dlq("replay", f"--file={file}", nsqd).out.startswith("270 replayed, 0 left")
    assert depth(broker, "events") == COUNT
    assert "--all takes them again" in dlq("replay", f"--file={file}", nsqd).err


def test_into_another_file(dlq: Dlq, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.log"
    assert dlq("replay", f"--file={file}", f"--to=file:{out}").out.startswith("300 replayed")
    assert out.read_bytes().split(b"\n")[:-1] == [b"body %d" % n for n in range(COUNT)]


def test_a_topic_is_listed_and_keeps_its_letters(dlq: Dlq, start_nsqd: Callable[..., Daemon]) -> None:
    nsqd = start_nsqd()
    post(nsqd.http_address, "/mpub?topic=dead", b"\n".join([*letters(20), b"no letter"]))
    where = "--topic=dead", f"--nsqd-tcp-address={nsqd.tcp_address}", "--wait=500ms"
    for _ in range(2):
        assert len(dlq("list", *where).out.splitlines()) == 20
    assert depth(nsqd, "dead", "dlq") == 21
    done = dlq("replay", *where, '--where=reason == "mapping"', code=1)
    assert done.out == "18 replayed, 2 left by --where, 0 failed, 1 are no letters\n"
    assert depth(nsqd, "events") == 18
    assert depth(nsqd, "dead", "dlq") == 3


def test_an_interruption_in_the_middle_loses_none(dlq: Dlq, broker: Daemon, tmp_path: Path) -> None:
    post(broker.http_address, "/mpub?topic=interrupted", b"\n".join(letters(topic="moved")))
    where = "--topic=interrupted", f"--nsqd-tcp-address={broker.tcp_address}", "--wait=500ms"
    with Nsqgw(tmp_path, "ship", "dlq", "replay", *where, "--rate=50") as slow:
        eventually(lambda: depth(broker, "moved") > 20)
        slow.send(signal.SIGINT)
        assert slow.wait() == 130
    moved = depth(broker, "moved")
    assert 20 < moved < COUNT
    assert depth(broker, "interrupted", "dlq") >= COUNT - moved
    dlq("replay", *where)
    assert depth(broker, "interrupted", "dlq") == 0
    bodies = asyncio.run(_bodies(broker, "moved"))
    assert set(bodies) == {b"body %d" % n for n in range(COUNT)}
    assert bodies.total() - len(bodies) <= 20  # confirmed, and cut off before it was finished


async def _bodies(daemon: Daemon, topic: str) -> Counter[bytes]:
    from nsqgw import Consumer

    found: Counter[bytes] = Counter()
    async with Consumer(
        topic, "check", nsqd_tcp_addresses=[daemon.tcp_address], max_in_flight=500
    ) as consumer:
        async for batch in consumer.batches(max_wait=0.2):
            found.update(message.body for message in batch)
            batch.finish()
            if len(found) == COUNT:
                break
    return found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list"], "where are the letters? give --file or --topic"),
        (["list", "--topic=dead"], "--topic needs --nsqd-tcp-address"),
        (["list", "--file=x", "--topic=y"], "one of them"),
        (["list", "--topic=dead", "--channel=a#ephemeral", "--nsqd-tcp-address=127.0.0.1:1"], "is ephemeral"),
        (["list", "--file=/nowhere/x"], "No such file or directory"),
        (["list", "--file=x", "--where=reason ="], "cannot be read"),
        (["show", "--file=x", "--wrong"], "--wrong"),
        (["replay", "--file=x"], "needs --nsqd-tcp-address"),
        (["replay", "--file=x", "--sink=y"], "--config and --sink go together"),
        (["replay", "--file=x", "--to=nowhere"], "destination 'nowhere' is not known"),
        (
            ["replay", "--topic=dead", "--nsqd-tcp-address=127.0.0.1:1", "--connect-timeout=100ms"],
            "127.0.0.1:1",
        ),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateways.cli.ship_dlq.logs.configure", lambda *_: None)
    assert main(["ship", "dlq", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1


def test_letters_cannot_talk_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dead.ndjson"
    letter = DeadLetter(one_message(b"body", 0, "events"), b"", "cut \x1b[2J off", "search")
    path.write_bytes(write_letter(letter, "app", 0.0) + b"\n")
    for arguments in (("list",), ("show", "1")):
        assert main(("ship", "dlq", *arguments, "--file", str(path))) == 0
        out = capsys.readouterr().out
        assert "cut \ufffd[2J off" in out
        assert "\x1b" not in out


def test_an_export_is_a_file_of_letters_again(dlq: Dlq, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.ndjson"
    done = dlq("export", f"--file={file}", f"--output={copy}", '--where=reason == "too large"')
    assert (done.out, done.err) == ("", "30 exported, 0 are no letters\n")
    assert [orjson.loads(line)["body"] for line in copy.read_bytes().splitlines()] == [
        f"body {number}" for number in range(0, COUNT, 10)
    ]
    assert dlq("replay", f"--file={copy}", f"--to=file:{tmp_path}/out").out.startswith("30 replayed")
    assert (
        f"{copy} is there already: give another"
        in dlq("export", f"--file={file}", f"--output={copy}", code=1).err
    )
    assert dlq("export", f"--file={file}", "--body", "--limit=2").out == "body 0\nbody 1\n"


def test_large_letters_of_a_topic_are_exported_a_few_at_a_time(
    dlq: Dlq, broker: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateways.ship.dead_letters.letter_topic._MAX_BYTES", 4000)
    watched: list[int] = []
    take = LetterTopic._take

    def watch(source: LetterTopic, messages: Sequence[Message]) -> None:
        take(source, messages)
        watched.append(source._held_bytes)

    monkeypatch.setattr(LetterTopic, "_take", watch)
    post(broker.http_address, "/mpub?topic=large", b"\n".join(letters(100)))
    where = "--topic=large", f"--nsqd-tcp-address={broker.tcp_address}", "--wait=500ms"
    done = dlq("export", *where, f"--output={tmp_path}/out")
    assert done.err == "100 exported, 0 are no letters\n"
    assert max(watched) < 4000 + 16 * len(letters(1)[0]), (
        "beyond the bound only what was sent before it was known"
    )
    assert depth(broker, "large", "dlq") == 100


def test_the_commands_are_helped_with_in_the_order_of_their_use(dlq: Dlq) -> None:
    told = dlq("--help").out.partition("Commands:\n")[2]
    assert [line.split()[0] for line in told.splitlines()] == ["list", "show", "replay", "export"]
