"""The pages of the gateway: what their headers forbid, and that they need nothing of it."""

from __future__ import annotations

import re

import pytest

from gateways.push.routes import static_pages

PAGES = static_pages("gateways.push")


@pytest.mark.parametrize("path", PAGES)
def test_headers_that_keep_others_out(path: str) -> None:
    head = PAGES[path].serialize().partition(b"\r\n\r\n")[0].decode()
    policy = re.search(r"^Content-Security-Policy: (.*)\r?$", head, re.MULTILINE)
    assert policy is not None
    directives = dict(part.strip().partition(" ")[::2] for part in policy[1].split(";"))
    assert (directives["default-src"], directives["frame-ancestors"]) == ("'none'", "'none'")
    assert (directives["base-uri"], directives["form-action"]) == ("'none'", "'none'")
    assert "unsafe" not in policy[1]
    assert "*" not in policy[1]
    assert "X-Content-Type-Options: nosniff" in head
    assert "Referrer-Policy: no-referrer" in head


@pytest.mark.parametrize("path", [path for path in PAGES if PAGES[path].content_type.startswith("text/html")])
def test_nothing_in_a_page_is_inline(path: str) -> None:
    text = PAGES[path].body.decode()
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
