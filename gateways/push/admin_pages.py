"""What push adds to the admin port: /stats, and /stats?channel=NAME."""

from __future__ import annotations

import json
from collections.abc import Callable

from tornado.routing import Rule, URLSpec
from tornado.web import RequestHandler

from gateways.push.statistics import Statistics


def stats_page(asked: Callable[[str | None], Statistics]) -> Rule:
    """The route; `asked` gives the statistics of one channel, or of all for None."""
    return URLSpec("/stats", _Stats, {"asked": asked})


class _Stats(RequestHandler):
    def initialize(self, asked: Callable[[str | None], Statistics]) -> None:
        self._asked = asked

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(self._asked(self.get_query_argument("channel", None))) + "\n")
