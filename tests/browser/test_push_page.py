"""The gateway's own page and its streams in a real browser, while the gateway goes and comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from compat.threaded import ThreadedNsqd
from harness.command import Nsqgw
from nsqgw import Producer

pytestmark = pytest.mark.browser

Publish = Callable[..., None]


@pytest.fixture
def start_push(nsqd: ThreadedNsqd, tmp_path: Path) -> Callable[..., Nsqgw]:
    """Starts a gateway for topic `events`; its address is in its log."""

    def start(listen: str = "127.0.0.1:0", *flags: str) -> Nsqgw:
        source = ("--topic", "events", "--nsqd-tcp-address", nsqd.tcp_address)
        return Nsqgw(tmp_path, "push", *source, "--listen", listen, "--admin-address", "", *flags)

    return start


@pytest.fixture
def publish(nsqd: ThreadedNsqd) -> Publish:
    """Publishes bodies to topic `events`; in a thread of its own, since Playwright's loop has this one."""

    async def publish_all(bodies: tuple[bytes, ...]) -> None:
        async with Producer([nsqd.tcp_address]) as producer:
            await producer.publish_many("events", bodies)

    def publish(*bodies: bytes) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, publish_all(bodies)).result(30)

    return publish


def address_of(push: Nsqgw) -> str:
    return push.wait_for(r"streaming events on http://([^\s\"]+)")


def test_messages_show_up_as_text_never_as_markup(page: Page, start_push, publish: Publish) -> None:
    with start_push() as push:
        page.goto(f"http://{address_of(push)}/")
        expect(page.locator(".topic .state")).to_have_text("live")
        publish(b"hello", b"<img src=x onerror='throw 1'>", b"\xff\x01")
        texts = page.locator("#messages .text")
        expect(texts).to_have_text(["2 bytes: ff 01", "<img src=x onerror='throw 1'>", "hello"])
        expect(page.locator(".topic .count")).to_have_text("3 received")
        assert push.terminate() == 0


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_page_rejoins_a_restarted_gateway_by_itself(
    page: Page, start_push, publish: Publish, end: str
) -> None:
    with start_push() as push:
        address = address_of(push)
        page.goto(f"http://{address}/")
        state = page.locator(".topic .state")
        expect(state).to_have_text("live")
        if end == "terminate":
            assert push.terminate() == 0
        else:
            push.process.kill()
            push.wait()
    expect(state).not_to_have_text("live")
    with start_push(address) as push:
        address_of(push)
        expect(state).to_have_text("live", timeout=30_000)
        publish(b"back again")
        expect(page.locator("#messages .text").first).to_have_text("back again")


def test_a_page_says_that_the_gateway_waits_for_nsqd(
    page: Page, start_push, publish: Publish, nsqd: ThreadedNsqd
) -> None:
    with start_push() as push:
        page.goto(f"http://{address_of(push)}/")
        state = page.locator(".topic .state")
        expect(state).to_have_text("live")
        nsqd.stop()
        expect(state).to_have_text("waiting for nsqd")
        nsqd.start()
        expect(state).to_have_text("live", timeout=30_000)
        publish(b"back again")
        expect(page.locator("#messages .text").first).to_have_text("back again")


def test_an_event_source_reads_lines_and_binary(page: Page, start_push, publish: Publish) -> None:
    with start_push() as push:
        page.goto(f"http://{address_of(push)}/")
        page.evaluate(
            """() => new Promise((resolve, reject) => {
                window.seen = [];
                const source = new EventSource("stream/events");
                source.onopen = resolve;
                source.onerror = reject;
                source.onmessage = (event) => window.seen.push(["text", event.data]);
                source.addEventListener("binary", (event) => window.seen.push(["binary", atob(event.data)]));
            })"""
        )
        publish("zwei\r\nZeilen \u2713".encode(), b"\xff\x00")
        page.wait_for_function("window.seen.length === 2")
        assert page.evaluate("window.seen") == [["text", "zwei\nZeilen \u2713"], ["binary", "\xff\x00"]]


def test_a_page_of_another_host_is_refused_unless_it_is_allowed(page: Page, start_push) -> None:
    with start_push() as elsewhere, start_push() as push:
        origin, target = f"http://{address_of(elsewhere)}", address_of(push)
        page.goto(origin + "/topics")  # not the page, whose own policy lets it connect to its host only
        assert not opens(page, target)
        with start_push("127.0.0.1:0", "--allow-origin", origin) as open_push:
            assert opens(page, address_of(open_push))


def opens(page: Page, address: str) -> bool:
    """Whether the page can open a stream there."""
    opened: bool = page.evaluate(
        """address => new Promise((resolve) => {
            const socket = new WebSocket(`ws://${address}/stream/events`);
            socket.onopen = () => resolve(true);
            socket.onerror = () => resolve(false);
        })""",
        address,
    )
    return opened
