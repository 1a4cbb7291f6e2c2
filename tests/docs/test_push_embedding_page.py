"""docs/push-embedding.md: its two pieces of Python are run as they stand, on free ports."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tornado.web

from gateways.push.config import PushConfig
from gateways.push.embed import PushHandler
from gateways.push.gateway import PushGateway
from harness.daemons import Daemon

PAGE = (Path(__file__).parents[2] / "docs" / "push-embedding.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_there_are_two_ways() -> None:
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS)
async def test_the_gateway_serves(start_nsqd: Callable[..., Daemon], block: str) -> None:
    code = block.replace("127.0.0.1:4150", start_nsqd().tcp_address).replace("127.0.0.1:8080", "127.0.0.1:0")
    names: dict[str, Any] = {
        "PushConfig": PushConfig, "PushGateway": PushGateway, "PushHandler": PushHandler, "tornado": tornado
    }  # fmt: skip
    await_here = compile(code, "docs/push-embedding.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(await_here, names)
    if waiting is not None:
        await waiting
    gateway = names["gateway"]
    if not gateway.serving:
        await gateway.start()
    try:
        assert gateway.ready() is None
        assert bool(gateway.address) == ("8080" in block)
    finally:
        await gateway.stop()
