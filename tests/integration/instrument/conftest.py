"""Every scene on both kinds of nsqd."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.daemons import Daemon


@pytest.fixture
def nsqd(start_nsqd: Callable[..., Daemon]) -> Daemon:
    """An nsqd of its own, so that topics can have short names."""
    return start_nsqd()
