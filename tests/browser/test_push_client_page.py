"""The examples of docs/push-client.md, run as they stand in a real browser before a real gateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page, expect

from compat.threaded import ThreadedNsqd
from harness.command import Nsqgw
from harness.polling import eventually
from nsqgw import BlockingProducer

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "gateways" / "push" / "client"
PAGE = ROOT / "docs" / "push-client.md"
EXAMPLES = re.findall(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)

ORDER = b'{"customer": 7, "state": "paid", "item": {"name": "bookcase"}}'


@pytest.fixture
def start(nsqd: ThreadedNsqd, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a gateway with these flags, and tells where it is."""
    with ExitStack() as running:

        def start(*flags: str) -> str:
            source = ("--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address)
            command = ("push", *source, *flags, "--listen", "127.0.0.1:0", "--admin-address", "")
            return running.enter_context(Nsqgw(tmp_path, *command)).wait_for(
                r"streaming .* on http://([^\s\"]+)"
            )

        yield start


@pytest.fixture
def push(start: Callable[..., str]) -> str:
    """Where a gateway is that has all the examples need."""
    orders = ("--topic", "sales", "--route", "sales=orders.{customer}")
    return start(*orders, "--allow-publish", "events", "--show-presence", "events")


@pytest.fixture
def run(page: Page, push: str, nsqd: ThreadedNsqd) -> Iterator[Callable[..., None]]:
    """Runs the example that has `text` in it until all of `lines` are shown, while events and orders come."""
    with BlockingProducer([nsqd.tcp_address]) as producer:

        def shows(*lines: str) -> bool:
            producer.publish("events", b"an event")
            producer.publish("sales", ORDER)
            shown = page.evaluate("shown")
            return all(line in shown for line in lines)

        def run(text: str, *lines: str) -> None:
            (example,) = (example for example in EXAMPLES if text in example)
            page.goto(f"http://{push}/topics")
            page.evaluate("() => { window.shown = []; window.show = (text) => shown.push(text); }")
            module = example.replace("https://push.example.org", f"http://{push}")
            page.add_script_tag(content=module, type="module")
            eventually(lambda: shows(*lines), what=f"{lines} shown")

        yield run


def test_the_first_one(run: Callable[..., None]) -> None:
    run("load the state anew", "an event")


def test_states(run: Callable[..., None]) -> None:
    run("by ${client.transport}", "connecting", "connected", "by websocket", "disconnected")


def test_a_subscription(run: Callable[..., None]) -> None:
    run("lost ${lost", "subscribed", "events: an event")


def test_a_pattern_with_a_filter(run: Callable[..., None]) -> None:
    run("orders.*", "orders.7: bookcase")


def test_a_storage(run: Callable[..., None]) -> None:
    run("sessionStorage", "an event")


def test_publish_and_presence(run: Callable[..., None]) -> None:
    run("hello from a page", "nsqd has it", "1 here")


def test_tokens(page: Page, run: Callable[..., None]) -> None:
    page.route("https://app.example.org/**", lambda route: route.fulfill(body="a token"))
    run("getToken", "a token to connect", "an event")


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == 7


def test_the_options_are_all() -> None:
    """The table names the options of the declarations, and the declarations those of the module."""
    declared = re.search(r"interface Options \{(.*?)\n\}", (CLIENT / "nsqgw.d.ts").read_text(), re.DOTALL)
    assert declared is not None
    table = PAGE.read_text().partition("## Options")[2].partition("##")[0]
    named = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    assert sorted(named) == sorted(re.findall(r"^  (\w+)\?:", declared[1], re.MULTILINE))


@pytest.fixture
def website(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server for a folder, as `python3 -m http.server` is; its origin, and the folder."""
    folder = tmp_path / "website"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def test_the_page_among_the_examples(
    page: Page, start: Callable[..., str], nsqd: ThreadedNsqd, website: tuple[str, Path]
) -> None:
    origin, folder = website
    address = start("--allow-origin", origin)
    example = (ROOT / "examples" / "push_page.html").read_text()
    (folder / "index.html").write_text(example.replace("127.0.0.1:8080", address))
    with BlockingProducer([nsqd.tcp_address]) as producer:
        page.goto(f"{origin}/")
        expect(page.get_by_role("status")).to_have_text("connected")
        producer.publish_many("events", [b"<b>one</b>", b"\xff\x00"])
        expect(page.locator("#events li")).to_have_text(["2 bytes", "<b>one</b>"])
