"""A publish that could not simply be sent: what it carries, and what is true of it when it has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nsqgw.connection.replies import Then, tell
from nsqgw.errors import Closed, DeadlineExceeded, NSQError, PublishError, ServerError
from nsqgw.producer.retry import nothing_stored


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a publish must be done, on the loop's clock; `text` says it as errors do: `within 5 s`."""

    at: float
    text: str


@dataclass(slots=True, eq=False)
class Request:
    """One PUB, DPUB or MPUB of `count` messages.

    waiting  in the outbox: not, or not any more, with a connection
    inside   it has its place in the window
    address  where it was sent last
    error    what the last try failed with
    doubt    why it may be stored already: no later certainty takes that away
    """

    future: asyncio.Future[None]
    data: bytes
    count: int
    key: bytes | None
    deadline: Deadline
    inside: bool = False
    waiting: bool = True
    tries: int = 0
    address: str = ""
    error: NSQError | None = None
    doubt: NSQError | None = None

    def sent(self, address: str) -> None:
        """It is with the connection to `address` now."""
        self.waiting = False
        self.tries += 1
        self.address = address

    def failed(self, error: NSQError) -> None:
        """It came back, and is to be sent again."""
        self.waiting = True
        self.error = error
        if not nothing_stored(error):
            self.doubt = error

    def verdict(self, error: NSQError) -> NSQError:
        """What to raise when `error` is the end: nothing is said to be certain that is not."""
        return self.doubt if self.doubt is not None and nothing_stored(error) else error

    def too_late(self, blocked: Callable[[str], PublishError]) -> NSQError:
        """What to raise at the deadline; `blocked` makes of its text why a request could not be sent."""
        error: NSQError
        if not self.waiting:
            error = DeadlineExceeded(f"nsqd at {self.address} did not confirm {self.deadline.text}")
        elif isinstance(self.error, ServerError):
            text = f"not published {self.deadline.text}, tried {self.tries} times: {self.error}"
            error = PublishError(text)
        else:
            error = blocked(self.deadline.text)
        error.__cause__ = self.error
        return self.verdict(error)

    def stopped(self) -> NSQError:
        """What to raise when it is not sent any more."""
        error = Closed("the producer was stopped")
        error.__cause__ = self.error
        return self.verdict(error)


def future_for(then: Then) -> asyncio.Future[None]:
    """A future whose outcome `then` is told: what has to wait or to be sent again is known by one."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    tell_of(future, then)
    return future


def tell_of(future: asyncio.Future[None], then: Then) -> None:
    """Tell `then` the outcome of `future`, which nobody cancels."""
    future.add_done_callback(lambda done: tell(then, done.exception()))  # type: ignore[arg-type]  # an NSQError
