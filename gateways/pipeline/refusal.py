"""Why an event was refused: words for people, and what programs sort dead letters by."""

from __future__ import annotations

from typing import Literal

Kind = Literal["rejected", "too_large", "partial_unknown", "transform"]


class Refusal(str):
    """The words, as any other text.

    kind    rejected: as data; too_large; partial_unknown: perhaps, the service does not say which of a batch;
            transform: before it came to a sink
    status  of HTTP; None where there is none
    code    the service's own, such as an SQLSTATE; empty where there is none
    """

    kind: Kind = "rejected"
    status: int | None = None
    code: str = ""


def refusal(words: str, kind: Kind = "rejected", *, status: int | None = None, code: object = "") -> Refusal:
    """`words`, with what else is known."""
    made = Refusal(words)
    made.kind = kind
    made.status = status
    made.code = str(code)
    return made
