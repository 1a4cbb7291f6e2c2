"""One socket to one nsqd: a thin pump between the protocol and its owner, without any policy.

It never reconnects and never picks an RDY; consumers and producers do.
"""

from nsqgw.connection.connection import Connection, connect, establish

__all__ = ["Connection", "connect", "establish"]
