"""Memory in the words of Go's allocator, for /stats and statsd: what Python can tell cheaply, else 0."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from resource import getpagesize

MEMORY_KEYS = (
    "heap_objects",
    "heap_idle_bytes",
    "heap_in_use_bytes",
    "heap_released_bytes",
    "gc_pause_usec_100",
    "gc_pause_usec_99",
    "gc_pause_usec_95",
    "next_gc_bytes",
    "gc_total_runs",
)
"""The keys of the original, in its order; tools expect all of them."""

_STATM = Path("/proc/self/statm")


def memory_figures() -> dict[str, int]:
    """Blocks allocated, resident memory as `heap_in_use_bytes`, collections as `gc_total_runs`; else 0."""
    return dict.fromkeys(MEMORY_KEYS, 0) | {
        "heap_objects": sys.getallocatedblocks(),
        "heap_in_use_bytes": resident_bytes(),
        "gc_total_runs": sum(generation["collections"] for generation in gc.get_stats()),
    }


def resident_bytes() -> int:
    """This process's memory in RAM; 0 where there is no /proc."""
    try:
        return int(_STATM.read_text().split()[1]) * getpagesize()
    except OSError:
        return 0
