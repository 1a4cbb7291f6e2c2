"""The demo's page in a real browser: it connects, its numbers move, its log scrolls, on a phone too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from harness.command import Nsqgw
from harness.polling import eventually

pytestmark = pytest.mark.browser

START = ("demo", "--admin-address", "", "--listen")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Nsqgw]:
    """A running demo on a free port."""
    with Nsqgw(tmp_path, *START, "127.0.0.1:0", "--data-dir", str(tmp_path)) as demo:
        yield demo


def address_of(demo: Nsqgw) -> str:
    assert demo.process.stdout is not None
    return demo.process.stdout.readline().decode().split("http://")[1].strip().rstrip("/")


def published(page: Page) -> int:
    """The number on the page; 0 while there is none."""
    text = page.locator("#published").inner_text().replace(",", "")
    return int(text) if text.isdigit() else 0


def test_the_page_connects_and_its_numbers_move(page: Page, demo: Nsqgw, tmp_path: Path) -> None:
    page.goto(f"http://{address_of(demo)}/")
    expect(page.locator("#state")).to_have_text("live")
    before = eventually(lambda: published(page))
    eventually(lambda: published(page) > before + 5)
    expect(page.locator("#memory")).to_contain_text("%")
    expect(page.locator("#load")).to_contain_text(".")
    expect(page.locator("#file")).to_have_text(str(tmp_path / "shipped.ndjson"))
    assert drawn(page, "#cpu-plot") > 50
    assert demo.terminate() == 0


def test_a_cut_network_loses_nothing(page: Page, demo: Nsqgw) -> None:
    page.goto(f"http://{address_of(demo)}/")
    expect(page.locator("#latency")).to_contain_text("ms")
    before = int(page.locator("#received").inner_text())
    page.get_by_role("button", name="Cut the network for 5 s").click()
    expect(page.locator("#state")).not_to_have_text("live")
    expect(page.locator("#resume")).to_contain_text("none was lost", timeout=30_000)
    expect(page.locator("#state")).to_have_text("live")
    recovered = int(page.locator("#recovered").inner_text())
    assert recovered > 5  # several a second
    eventually(lambda: int(page.locator("#received").inner_text()) > before + recovered)
    expect(page.locator("#lost")).to_have_text("0")
    assert drawn(page, "#latency-plot") > 50


def drawn(page: Page, canvas: str) -> int:
    """How many pixels of a plot are not empty."""
    count: int = page.locator(canvas).evaluate(
        """canvas => {
            const pen = canvas.getContext("2d");
            const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.filter((value, index) => index % 4 === 3 && value > 0).length;
        }"""
    )
    return count


def test_the_log_scrolls_unless_somebody_reads_further_up(page: Page, demo: Nsqgw) -> None:
    page.set_viewport_size({"width": 1200, "height": 400})
    page.goto(f"http://{address_of(demo)}/")
    log = page.locator("#log")
    eventually(lambda: log.evaluate("log => log.scrollTop > 100"), timeout=40)
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight < 40")
    log.evaluate("log => { log.scrollTop = 0; }")
    lines = log.locator("li").count()
    eventually(lambda: log.locator("li").count() > lines)
    assert log.evaluate("log => log.scrollTop") == 0


def test_on_a_phone_nothing_sticks_out(browser: Browser, demo: Nsqgw) -> None:
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark"
    )
    page = phone.new_page()
    page.goto(f"http://{address_of(demo)}/")
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("#log li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    button = page.locator("#cut").bounding_box()
    assert button is not None
    assert button["height"] >= 44  # for a thumb
    phone.close()


def test_everything_has_a_name_for_those_who_do_not_see_it(page: Page, demo: Nsqgw) -> None:
    page.goto(f"http://{address_of(demo)}/")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("canvas, button, section.connection, section.flow, ol")]
            .filter((part) => !(part.ariaLabel || part.textContent.trim())).map((part) => part.outerHTML)"""
    )
    assert unnamed == []
    expect(page.get_by_role("img", name="milliseconds from publish to screen, last minute")).to_be_visible()
    expect(page.get_by_role("status").first).to_be_visible()


def test_the_page_comes_back_after_a_restart(page: Page, demo: Nsqgw, tmp_path: Path) -> None:
    address = address_of(demo)
    page.goto(f"http://{address}/")
    expect(page.locator("#state")).to_have_text("live")
    assert demo.terminate() == 0
    expect(page.locator("#state")).not_to_have_text("live")
    with Nsqgw(tmp_path, *START, address, "--data-dir", str(tmp_path)) as again:
        assert address_of(again) == address
        expect(page.locator("#state")).to_have_text("live", timeout=30_000)
        before = eventually(lambda: published(page))
        eventually(lambda: published(page) > before)
