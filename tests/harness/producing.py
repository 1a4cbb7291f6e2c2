"""A producer under test: quick to try again, and silent."""

from __future__ import annotations

import asyncio
from typing import Any

from harness.scripted import QUICK, ScriptedNsqd
from nsqgw import Producer


def producer_of(*fakes: ScriptedNsqd, **options: Any) -> Producer:
    """A producer for these nsqds."""
    return Producer([fake.address for fake in fakes], **QUICK | {"on_fact": lambda fact: None} | options)


def outcomes(futures: list[asyncio.Future[None]]) -> list[type[BaseException] | None]:
    """What each failed with; None for those that did not."""
    return [type(error) if (error := future.exception()) is not None else None for future in futures]
