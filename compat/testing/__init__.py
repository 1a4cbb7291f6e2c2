"""For tests of programs that use NSQ: the daemons behind the fixtures of the pytest plugin, and their types.

`NsqdUnderTest` is what `nsqd` gives: one in this process (`EmbeddedNsqd`) or the original (`RealNsqd`).
Handlers are tested without any server by `nsqgw.testing`.
"""

from compat.testing.cluster import Cluster, NsqlookupdUnderTest
from compat.testing.daemons import EmbeddedNsqd, EmbeddedNsqlookupd, NsqdUnderTest
from compat.testing.faults import Fault, Faults
from compat.testing.real import MissingProgram, RealNsqd, RealNsqlookupd
from compat.testing.records import Seen
from compat.testing.views import ChannelFigures, ChannelView, OnlyInProcess, TopicView

__all__ = [
    "ChannelFigures",
    "ChannelView",
    "Cluster",
    "EmbeddedNsqd",
    "EmbeddedNsqlookupd",
    "Fault",
    "Faults",
    "MissingProgram",
    "NsqdUnderTest",
    "NsqlookupdUnderTest",
    "OnlyInProcess",
    "RealNsqd",
    "RealNsqlookupd",
    "Seen",
    "TopicView",
]
