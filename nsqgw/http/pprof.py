"""Go's profiler, which both daemons carry."""

from __future__ import annotations

from urllib.parse import quote

from nsqgw.http.answer import Answer
from nsqgw.http.call import Call


def pprof(profile: str, *, seconds: int | None = None) -> Call[bytes]:
    """A profile for `go tool pprof`: heap, goroutine, block, threadcreate, mutex; cpu time as `profile`.

    `seconds` is how long to watch (30 for `profile` when not given); the time-out must be longer. A daemon
    that is not written in Go answers with text of its own, or HttpError 404.
    """
    parameters = {} if seconds is None else {"seconds": str(int(seconds))}
    return Call("GET", f"/debug/pprof/{quote(profile, safe='')}", _bytes, parameters)


def _bytes(answer: Answer) -> bytes:
    return answer.body
