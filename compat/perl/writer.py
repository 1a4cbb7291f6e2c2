"""AnyEvent::NSQ::Writer: a client that only publishes."""

from __future__ import annotations

from compat.perl.client import Client


class Writer(Client):
    """Publishes; everything it can do is in Client."""
