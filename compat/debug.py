"""/debug: a look into a running daemon, under the original's paths (nsqd-http section 7).

What Go's profiler shows as protocol buffers is text here, of what Python has to show:

    /debug/pprof/            what there is
    /debug/pprof/cmdline     the command line, NUL between the words
    /debug/pprof/goroutine   where every thread and every task of the event loop stands
    /debug/pprof/heap        memory in RAM, blocks, collections; with PYTHONTRACEMALLOC=1 who allocated what
    /debug/pprof/profile     the functions the event loop spent its time in, ?seconds=30
    /debug/pprof/threadcreate  the threads
"""

from __future__ import annotations

import asyncio
import gc
import io
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

from compat.http_api import ApiError, Call, Route
from compat.memory import memory_figures

PROFILE_SECONDS = 30
MAX_PROFILE_SECONDS = 300
_LONGEST_TABLE = 40


def debug_routes() -> list[Route]:
    """The routes both daemons have."""
    return [
        Route("GET", "/debug/pprof/", _index, plain=True),
        Route("GET", "/debug/pprof/*", _profile, plain=True),
    ]


def free_memory(call: Call) -> str:
    """Collect what is garbage; the original then fails in its answer, which nobody needs."""
    return f"collected {gc.collect()} objects\n"


def set_block_rate(call: Call) -> str:
    """Accept the rate of Go's profile of what blocks, which has no counterpart here, and say so."""
    rate = call.query.get("rate", "")
    try:
        int(rate)
    except ValueError:
        raise ApiError(400, f"invalid block rate : {rate!r} is no number") from None
    return "no effect: there is no profile of what blocks\n"


def _index(call: Call) -> str:
    return "".join(f"/debug/pprof/{name}\n" for name in sorted([*_PROFILES, "profile"]))


async def _profile(call: Call) -> str:
    if call.segment == "profile":
        return await _cpu(call.query.get("seconds", str(PROFILE_SECONDS)))
    if call.segment not in _PROFILES:
        raise ApiError(404, "Unknown profile")
    return "".join(_PROFILES[call.segment]())


def _cmdline() -> Iterator[str]:
    yield "\0".join(sys.orig_argv)


def _stacks() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        yield f"thread {names.get(ident, ident)}:\n"
        yield from traceback.format_stack(frame)
        yield "\n"
    for task in asyncio.all_tasks():
        text = io.StringIO()
        task.print_stack(file=text)
        yield f"{text.getvalue()}\n"


def _heap() -> Iterator[str]:
    for name, value in memory_figures().items():
        yield f"{name}\t{value}\n" if value else ""
    import tracemalloc

    if not tracemalloc.is_tracing():
        yield "\nwith PYTHONTRACEMALLOC=1 in its environment a daemon tells here who allocated what\n"
        return
    yield "\n"
    for statistic in tracemalloc.take_snapshot().statistics("lineno")[:_LONGEST_TABLE]:
        yield f"{statistic}\n"


def _threads() -> Iterator[str]:
    for thread in threading.enumerate():
        yield f"{thread.name}\n"


_PROFILES: dict[str, Callable[[], Iterator[str]]] = {
    "cmdline": _cmdline,
    "goroutine": _stacks,
    "heap": _heap,
    "threadcreate": _threads,
}


async def _cpu(seconds: str) -> str:
    """Watch this thread, and with it the event loop, for so long."""
    import cProfile
    import pstats

    if not re.fullmatch("[0-9]{1,9}", seconds) or not 0 < int(seconds) <= MAX_PROFILE_SECONDS:
        raise ApiError(400, f"seconds must be 1 to {MAX_PROFILE_SECONDS}, not {seconds!r}")
    if sys.getprofile() is not None:
        raise ApiError(500, "Could not enable CPU profiling: cpu profiling already in use")
    profile = cProfile.Profile()
    profile.enable()
    try:
        await asyncio.sleep(int(seconds))
    finally:
        profile.disable()
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(_LONGEST_TABLE)
    return text.getvalue()
