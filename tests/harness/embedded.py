"""Our own nsqd and nsqlookupd with the same handles as the originals, see `real.py`."""

EmbeddedNsqd = None
EmbeddedNsqlookupd = None
