"""Whether what an nginx answers to a GET is the answer of the module that publications are meant for."""

from __future__ import annotations

from gateways.ship.sinks.http_answers import Answer


def fault_of(answer: Answer, style: str, *, of_statistics: bool) -> str | None:
    """What is wrong with the page of the statistics, or with that of a channel; None when nothing is.

    A publisher says 404 of a channel nobody has used: that is as good as an answer with figures.
    """
    if answer.status == 404 and not of_statistics:
        return None
    if answer.status != 200:
        return f"{answer.summary}, where {style} is expected"
    if not of_statistics:
        return None
    if style == "push-stream":
        known = {"channels", "subscribers", "published_messages"} <= answer.document().keys()
        return None if known else "no statistics: give a location with push_stream_channels_statistics"
    known = b"total published messages" in answer.body
    return None if known else "no stub status: give a location with nchan_stub_status"
