"""NSQ for programs that come from Perl: the names, arguments and callbacks of AnyEvent::NSQ, on nsqgw.

`docs/coming-from-perl.md` shows a program in both languages. New programs are better served by
`nsqgw.Consumer` and `nsqgw.Producer`, which also give messages back with backoff, touch them and drain.
"""

from compat.perl.client import Client
from compat.perl.condvar import Condvar, condvar
from compat.perl.connection import Connection
from compat.perl.message import Message
from compat.perl.reader import Reader
from compat.perl.watchers import Watcher, signal, timer
from compat.perl.writer import Writer

__all__ = [
    "Client",
    "Condvar",
    "Connection",
    "Message",
    "Reader",
    "Watcher",
    "Writer",
    "condvar",
    "signal",
    "timer",
]
