"""The spool: order, bound, restarts, torn writes, slots of several users."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nsqgw.log_handler.spool import Spool
from nsqgw.log_handler.spool_slot import record_size


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"record %03d" % number for number in range(start, stop)]


def drained(spool: Spool, at_once: int = 7) -> list[bytes]:
    """All that is in it, taken away in small steps."""
    got: list[bytes] = []
    while bodies := spool.peek(at_once, 1 << 20):
        got += bodies
        assert spool.done(bodies) == len(bodies)
    return got


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.spool"))


def test_order_over_many_segments(tmp_path: Path, spool_of: Callable[[int], Spool]) -> None:
    spool = spool_of(16 * 100)
    assert spool.append(numbers(0, 5)) == 5
    assert spool.append(numbers(5, 40)) == 35
    assert spool.append(numbers(40, 50)) == 10
    assert len(files(tmp_path)) > 1
    assert spool.peek(3, 1 << 20) == spool.peek(3, 1 << 20) == numbers(0, 3)
    assert drained(spool) == numbers(0, 50)
    assert (spool.pending, spool.size, files(tmp_path)) == (0, 0, [])
    assert spool.append(numbers(50, 52)) == 2
    assert drained(spool) == numbers(50, 52)


def test_batches_are_bounded_in_bytes_but_never_empty(
    tmp_path: Path, spool_of: Callable[[int], Spool]
) -> None:
    spool = spool_of(10_000)
    spool.append([b"x" * 1000, b"y" * 10, b"z" * 10])
    assert spool.peek(10, 100) == [b"x" * 1000]
    spool.done([b"x" * 1000])
    assert spool.peek(10, 28) == [b"y" * 10, b"z" * 10]
    assert spool.peek(10, 27) == [b"y" * 10]


def test_the_bound_holds_and_space_comes_back(tmp_path: Path, spool_of: Callable[[int], Spool]) -> None:
    size = record_size(b"record 000")
    spool = spool_of(100 * size)
    accepted = 0
    while taken := spool.append(numbers(accepted, accepted + 30)):
        accepted += taken
    assert accepted == 100
    assert spool.size == sum(file.stat().st_size for file in files(tmp_path)) == 100 * size
    got = spool.peek(60, 1 << 20)
    spool.done(got)
    assert spool.append(numbers(100, 200)) > 0
    assert spool.size <= 100 * size


def test_what_was_not_confirmed_outlives_the_process(
    tmp_path: Path, spool_of: Callable[[int], Spool]
) -> None:
    spool = spool_of(100_000)
    spool.append(numbers(0, 10))
    spool.done(spool.peek(4, 1 << 20))
    spool.close()
    spool = spool_of(100_000)
    spool.append(numbers(10, 12))
    assert drained(spool) == numbers(4, 12)
    spool.close()
    again = spool_of(100_000)
    assert (again.pending, again.peek(1, 1)) == (0, [])
    again.append(numbers(12, 14))
    again.close()
    assert drained(spool_of(100_000)) == numbers(12, 14)


@pytest.mark.parametrize("cut", [1, 5, 10, 14, 17])
def test_a_torn_last_record_is_left_out_and_said(
    tmp_path: Path, spool_of: Callable[[int], Spool], cut: int, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = spool_of(100_000)
    spool.append(numbers(0, 5))
    spool.close()
    (file,) = files(tmp_path)
    with file.open("r+b") as torn:
        torn.truncate(file.stat().st_size - cut)
    spool = spool_of(100_000)
    spool.append(numbers(5, 7))
    assert drained(spool) == numbers(0, 4) + numbers(5, 7)
    assert f"{file}: the last {18 - cut} bytes are no whole record" in capsys.readouterr().err


def test_a_damaged_record_is_not_delivered(tmp_path: Path, spool_of: Callable[[int], Spool]) -> None:
    spool = spool_of(100_000)
    spool.append(numbers(0, 5))
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert drained(spool) == numbers(0, 4)


@pytest.mark.parametrize("left", [b"", b"00000001 0000", b"nonsense", b"00000009 000000000010\n"])
def test_without_a_usable_position_records_come_again(
    tmp_path: Path, spool_of: Callable[[int], Spool], left: bytes
) -> None:
    spool = spool_of(100_000)
    spool.append(numbers(0, 5))
    spool.done(spool.peek(2, 1 << 20))
    spool.close()
    (tmp_path / "0" / "position").write_bytes(left)
    assert drained(spool_of(100_000)) == numbers(0, 5)


def test_two_users_do_not_meet_and_what_one_leaves_the_next_delivers(
    tmp_path: Path, spool_of: Callable[[int], Spool]
) -> None:
    one, two = spool_of(100_000), spool_of(100_000)
    one.append(numbers(0, 3))
    two.append(numbers(10, 13))
    assert {file.parent.name for file in files(tmp_path)} == {"0", "1"}
    two.close()
    three = spool_of(100_000)  # takes slot 1 as its own
    three.append(numbers(13, 15))
    assert drained(three) == numbers(10, 15)
    three.append(numbers(15, 17))
    three.close()
    one.close()
    four = spool_of(100_000)  # takes slot 0, and slot 1 as nobody's
    four.append(numbers(3, 5))
    assert drained(four) == numbers(15, 17) + numbers(0, 5)


def test_a_failed_write_leaves_nothing_that_could_be_read(
    tmp_path: Path, spool_of: Callable[[int], Spool]
) -> None:
    spool = spool_of(100_000)
    spool.append(numbers(0, 2))
    slot = spool._own
    assert slot._file is not None
    whole = slot._file

    class Full:
        """Takes a part, then the disk is full."""

        def write(self, data: memoryview) -> int:
            if len(data) > 20:
                return whole.write(data[:20])
            raise OSError(28, "No space left on device")

        def truncate(self, size: int) -> int:
            return whole.truncate(size)

        def close(self) -> None:
            whole.close()

    slot._file = Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left"):
        spool.append(numbers(2, 4))
    spool.append(numbers(4, 6))
    assert drained(spool) == numbers(0, 2) + numbers(4, 6)


def test_files_somebody_removed_are_gone_and_no_more(
    tmp_path: Path, spool_of: Callable[[int], Spool]
) -> None:
    spool = spool_of(100_000)
    spool.append(numbers(0, 5))
    files(tmp_path)[0].unlink()
    assert drained(spool) == []
    spool.append(numbers(5, 6))
    assert drained(spool) == numbers(5, 6)
