"""Tables for the terminal: words to the left, figures to the right; numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def in_columns(rows: Sequence[Sequence[str]], words: int) -> str:
    """The rows, the head first among them; the first `words` columns are words."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths, words) for row in rows)


def _line(row: Sequence[str], widths: Iterable[int], words: int) -> str:
    cells = (
        cell.ljust(width) if column < words else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def byte_count(count: float) -> str:
    """`12 B`, `3.4 MB`."""
    for unit in _BYTE_UNITS:
        if count < 1000 or unit == _BYTE_UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
