"""Which NSQ the daemons of this package are: what /info, IDENTIFY and -version say."""

from __future__ import annotations

import sys

NSQ_VERSION = "1.3.0"
"""The version whose behaviour is matched; nsqadmin and nsq_stat refuse what is no semantic version."""


def version_line(daemon: str) -> str:
    """The line `-version` prints, in the shape scripts match: `nsqd v1.3.0 (built w/python3.11.4)`."""
    built_with = "python" + ".".join(str(part) for part in sys.version_info[:3])
    return f"{daemon} v{NSQ_VERSION} (built w/{built_with})"
