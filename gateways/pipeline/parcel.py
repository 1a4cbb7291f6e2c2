"""One batch on its way, and the pieces it falls into: halves of what is too large or refused; no I/O.

An event that is refused alone is suspect, no more: when everything is refused, it is not the data's fault.
It is convicted once another event of the parcel has passed, or when no other is left.
"""

from __future__ import annotations

from gateways.pipeline.batch import Batch


class Parcel:
    """Pieces in order, the current one first."""

    def __init__(self, batch: Batch) -> None:
        self.born = batch.born
        self.extra_bytes = batch.copied_bytes()
        """Memory it takes beside its events, until its end."""
        self.is_proven = False
        """Whether some event of it has passed."""
        self.again: str | None = None
        """Why the next try is not its first one, by one of RETRY_REASONS."""
        self._pieces = [batch]  # the current one is the last
        self._suspects: list[tuple[Batch, str]] = []
        self._too_large = 0  # bytes of the smallest piece of several events that was
        self._has_giant = False  # a single event that was

    @property
    def current(self) -> Batch | None:
        """What is to be tried next; None when nothing is left."""
        return self._pieces[-1] if self._pieces else None

    @property
    def too_much(self) -> int:
        """Bytes that are too much for a batch; 0 as long as none were, or a single event was to blame."""
        return 0 if self._has_giant else self._too_large

    def replace(self, *pieces: Batch) -> None:
        """These come in the place of the current one."""
        self._pieces.pop()
        self._pieces += reversed(pieces)

    def note_too_large(self, piece: Batch) -> None:
        """The far side takes no batch of this size."""
        if len(piece) > 1:
            self._too_large = piece.size
        else:
            self._has_giant = True

    def suspect(self, reason: str) -> None:
        """The current piece, a single event, was refused."""
        self._suspects.append((self._pieces.pop(), reason))

    def convict(self) -> list[tuple[Batch, str]]:
        """The suspects, with the reasons; they are no part of the parcel any more."""
        suspects, self._suspects = self._suspects, []
        return suspects

    def take_back(self) -> None:
        """Nothing is proven against the suspects: they are tried again, with all the rest, as one batch."""
        if self._suspects or len(self._pieces) > 1:
            suspects = [batch for batch, _ in self.convict()]
            self._pieces = [Batch.joined([*suspects, *reversed(self._pieces)])]

    def rest(self) -> list[Batch]:
        """All that is left, suspects included."""
        return [*(batch for batch, _ in self._suspects), *reversed(self._pieces)]
