"""nsqd, the message broker: `Nsqd` in this process, `NsqdOptions` for its flags."""

from compat.nsqd.broker import Nsqd
from compat.nsqd.options import NsqdOptions

__all__ = ["Nsqd", "NsqdOptions"]
