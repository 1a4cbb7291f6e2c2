"""How many files a command may have open: a connection is one, and many systems begin with 1024."""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger(__name__)


def allow_all_files() -> None:
    """Have as many files and connections open as this process may, as programs in Go do."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError) as error:
        logger.warning("the limit of open files stays as it is: %s", error)
