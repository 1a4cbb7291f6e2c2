"""What could not be sent at once, for lack of room or of a connection, and what is to be sent again.

Nothing here is a task: whatever opens a way, an answer, a new connection or the end of a pause, sends what
can go. Every request has one deadline from its start to its end.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from nsqgw.config import ProducerConfig
from nsqgw.connection.reconnect import ReconnectDelay
from nsqgw.connection.replies import Waiter
from nsqgw.errors import NSQError, PublishError, ServerError
from nsqgw.instrument import OnFact, PublishingAgain
from nsqgw.producer.pool import Pool
from nsqgw.producer.request import Deadline, Request, future_for
from nsqgw.producer.retry import may_retry
from nsqgw.producer.window import Window
from nsqgw.protocol.frames import OK


class Outbox:
    """Sends requests in the order in which they came, those that failed before the others.

    `blocked` says why a request could not be sent until its deadline, whose text it is given.
    """

    def __init__(
        self,
        pool: Pool,
        window: Window,
        config: ProducerConfig,
        on_fact: OnFact,
        blocked: Callable[[str], PublishError],
    ) -> None:
        self.published = 0
        self.failed = 0
        self._pool = pool
        self._window = window
        self._config = config
        self._on_fact = on_fact
        self._blocked = blocked
        self._line: OrderedDict[Request, None] = OrderedDict()
        self._ready: OrderedDict[Request, None] = OrderedDict()  # these have their place in the window
        self._lost: list[Request] = []
        self._known: dict[asyncio.Future[None], Request] = {}
        self._timers: dict[Request, asyncio.TimerHandle] = {}
        self._delays: dict[Request, ReconnectDelay] = {}
        self._pauses: dict[Request, asyncio.TimerHandle] = {}
        self._turn_due = False
        self._closed = False

    def add(self, data: bytes, count: int, key: bytes | None, deadline: Deadline) -> asyncio.Future[None]:
        """Send a command with `count` messages as soon as there is room and a connection."""
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline.at:
            raise PublishError(f"not sent {deadline.text}")
        request = Request(loop.create_future(), data, count, key, deadline)
        self._know(request)
        self._window.join_line(len(data), count)
        self._line[request] = None
        self.send()
        return request.future

    def send(self) -> None:
        """Send what can be sent now."""
        while self._line:
            request = next(iter(self._line))
            if not self._window.admit(len(request.data), request.count):
                break
            del self._line[request]
            request.inside = True
            self._ready[request] = None
        while self._ready:
            request = next(iter(self._ready))
            if request.future.done():  # cancelled in this turn of the loop
                self._drop(request)
                continue
            connection = self._pool.pick() if request.key is None else self._pool.pick_for(request.key)
            if connection is None:
                break
            del self._ready[request]
            request.sent(connection.address)
            connection.ask(request.future, request.data, OK, request.count)

    def close(self) -> None:
        """Fail what was not sent; what is with a connection fails when that ends."""
        self._closed = True
        for request in list(self._known.values()):
            if request.waiting:
                self._fail(request, request.stopped())

    # -- what a connection tells (connection.replies.Requester)

    def confirmed(self, size: int, count: int) -> None:
        """nsqd has taken so many messages."""
        self.published += count
        self._window.leave(size, count)
        if self._line:
            self.send()

    def lost(self, waiter: Waiter, data: bytes, count: int, error: NSQError) -> None:
        """A publish failed: send it again where that is safe, or asked for."""
        future = waiter if isinstance(waiter, asyncio.Future) else future_for(waiter)
        request = self._known.get(future)
        self._take_turn()
        if future.done() or self._closed or not may_retry(error, self._config.retry_unknown):
            self.failed += count
            self._window.leave(len(data), count)
            if not future.done():
                future.set_exception(error if request is None else request.verdict(error))
            return
        if request is None:
            request = self._first_failure(future, data, count)
        request.failed(error)
        self._lost.append(request)

    def _first_failure(self, future: asyncio.Future[None], data: bytes, count: int) -> Request:
        seconds = self._config.publish_timeout
        end = asyncio.get_running_loop().time() + seconds
        deadline = Deadline(end, f"within {seconds:g} s of its first failure")
        request = Request(future, data, count, None, deadline, inside=True, tries=1)
        self._know(request)
        return request

    def _take_turn(self) -> None:
        """All that one connection loses comes in one turn of the loop: look at it together in the next."""
        if not self._turn_due:
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        lost = [request for request in self._lost if request.waiting]
        self._lost.clear()
        if lost:
            error = lost[0].error
            assert error is not None
            self._on_fact(PublishingAgain(sum(request.count for request in lost), error))
        # A refused one goes behind those that only stood behind it, or it would take them with it again.
        refused = [request for request in lost if isinstance(request.error, ServerError)]
        others = [request for request in lost if not isinstance(request.error, ServerError)]
        for request in reversed(others + [request for request in refused if request.tries == 1]):
            self._put_first(request)
        for request in refused:
            if request.tries > 1:
                self._pause(request)
        self.send()

    def _put_first(self, request: Request) -> None:
        self._ready[request] = None
        self._ready.move_to_end(request, last=False)

    def _pause(self, request: Request) -> None:
        """The first try after a failure comes at once, mostly elsewhere; then it is likely that all fail."""
        if request not in self._delays:
            shortest, longest = self._config.reconnect_min_delay, self._config.reconnect_max_delay
            self._delays[request] = ReconnectDelay(shortest, longest)
        pause = self._delays[request].next()
        self._pauses[request] = asyncio.get_running_loop().call_later(pause, self._resume, request)

    def _resume(self, request: Request) -> None:
        del self._pauses[request]
        self._put_first(request)
        self.send()

    # -- the end of a request

    def _know(self, request: Request) -> None:
        self._known[request.future] = request
        self._timers[request] = asyncio.get_running_loop().call_at(request.deadline.at, self._expire, request)
        request.future.add_done_callback(self._done)

    def _expire(self, request: Request) -> None:
        self._fail(request, request.too_late(self._blocked))

    def _fail(self, request: Request, error: NSQError) -> None:
        self._drop(request)
        if not request.future.done():
            request.future.set_exception(error)

    def _done(self, future: asyncio.Future[None]) -> None:
        request = self._known.pop(future)
        self._timers.pop(request).cancel()
        self._delays.pop(request, None)
        self._drop(request)

    def _drop(self, request: Request) -> None:
        """Its deadline is over, or nobody wants to know: it waits no more. What is on its way goes on."""
        if pause := self._pauses.pop(request, None):
            pause.cancel()
        if not request.waiting:
            return
        request.waiting = False
        self.failed += request.count
        self._line.pop(request, None)
        self._ready.pop(request, None)
        make_room = self._window.leave if request.inside else self._window.leave_line
        make_room(len(request.data), request.count)
        self._take_turn()
