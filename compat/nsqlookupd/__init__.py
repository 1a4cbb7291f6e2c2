"""nsqlookupd, the directory of topics: `Nsqlookupd` in this process, `NsqlookupdOptions` for its flags."""

from compat.nsqlookupd.daemon import Nsqlookupd
from compat.nsqlookupd.options import NsqlookupdOptions

__all__ = ["Nsqlookupd", "NsqlookupdOptions"]
