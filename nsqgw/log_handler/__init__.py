"""Log records as messages: handler (never waits) > backlog (memory, then spool) > delivery (batches).

The format of the files is told in spool_slot.py.
"""

from nsqgw.log_handler.formatter import JsonFormatter
from nsqgw.log_handler.handler import NsqHandler, NsqHandlerStats

__all__ = ["JsonFormatter", "NsqHandler", "NsqHandlerStats"]
