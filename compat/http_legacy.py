"""The HTTP calls of before NSQ 1.0: other names, and answers that are wrapped (nsqd-http section 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from compat.http_api import Route


@dataclass(frozen=True)
class Legacy:
    """`answered`: paths of today that served old clients too; `renamed`: an old path to that of today."""

    answered: tuple[str, ...]
    renamed: Mapping[str, str]


def with_legacy(routes: Iterable[Route], legacy: Legacy) -> list[Route]:
    """The routes and those of before 1.0; what was renamed took GET as well as POST, but for bodies."""
    of_today = {route.path: route for route in routes}
    table = [replace(route, legacy=route.path in legacy.answered) for route in routes]
    for old, new in legacy.renamed.items():
        route = replace(of_today[new], path=old, legacy=True)
        methods = ("POST",) if route.max_body is not None else ("GET", "POST")
        table += [replace(route, method=method) for method in methods]
    return table
