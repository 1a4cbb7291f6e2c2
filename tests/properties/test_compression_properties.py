"""Compression: whatever the writes and however the bytes are cut, the peer reads what was written."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.streams import cut
from nsqgw.errors import ProtocolError
from nsqgw.protocol.compression import PIECE_SIZE, Codec, Deflate, Snappy

codecs = pytest.mark.parametrize("codec", [Deflate, Snappy])
writes = st.lists(
    st.one_of(st.binary(min_size=1, max_size=300), st.integers(1, 200_000).map(bytes)), max_size=6
)
LONGEST_READ = 128 * 1024


@codecs
@given(writes, st.lists(st.integers(0, 100_000), max_size=8))
def test_any_writes_and_splits_round_trip(
    codec: Callable[[], Codec], chunks: list[bytes], cuts: list[int]
) -> None:
    ours, theirs = codec(), codec()
    stream = b"".join(ours.compress(chunk) for chunk in chunks)
    pieces = [piece for part in cut(stream, cuts) for piece in theirs.decompress(part)]
    assert b"".join(pieces) == b"".join(chunks)
    assert all(0 < len(piece) <= PIECE_SIZE for piece in pieces)


@codecs
@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=6))
def test_each_write_can_be_read_at_once(codec: Callable[[], Codec], chunks: list[bytes]) -> None:
    ours, theirs = codec(), codec()
    for chunk in chunks:
        assert b"".join(theirs.decompress(ours.compress(chunk))) == chunk


@codecs
@given(st.lists(st.binary(max_size=400), max_size=6))
def test_random_bytes_end_in_data_or_a_protocol_error(codec: Callable[[], Codec], reads: list[bytes]) -> None:
    theirs = codec()
    try:
        for read in reads:
            for piece in theirs.decompress(read):
                assert len(piece) <= PIECE_SIZE
    except ProtocolError:
        pass


@codecs
@given(st.binary(min_size=1, max_size=2000), st.integers(0, 5000), st.integers(0, 255))
def test_a_flipped_byte_ends_in_data_or_a_protocol_error(
    codec: Callable[[], Codec], plain: bytes, position: int, value: int
) -> None:
    stream = bytearray(codec().compress(plain * 3))
    stream[position % len(stream)] = value
    try:
        for _ in codec().decompress(bytes(stream)):
            pass
    except ProtocolError:
        pass


@codecs
def test_a_bomb_comes_in_bounded_pieces(codec: Callable[[], Codec]) -> None:
    stream = codec().compress(bytes(64 * 1024 * 1024))
    theirs, total = codec(), 0
    for start in range(0, len(stream), LONGEST_READ):
        for piece in theirs.decompress(stream[start : start + LONGEST_READ]):
            assert len(piece) <= PIECE_SIZE
            total += len(piece)
    assert total == 64 * 1024 * 1024


def test_deflate_that_ends_is_refused() -> None:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    stream = deflater.compress(b"x") + deflater.flush(zlib.Z_FINISH)
    with pytest.raises(ProtocolError, match="ended"):
        list(Deflate().decompress(stream))


def test_empty_deflate_flushes_are_no_end() -> None:
    theirs = Deflate()
    assert list(theirs.decompress(b"\x00\x00\x00\xff\xff" * 3)) == []
    assert b"".join(theirs.decompress(Deflate().compress(b"x"))) == b"x"


def test_snappy_stream_identifiers_may_return() -> None:
    """Some peers start a new stream with every write."""
    theirs = Snappy()
    assert [b"".join(theirs.decompress(Snappy().compress(data))) for data in (b"a", b"b", b"c")] == [
        b"a",
        b"b",
        b"c",
    ]


def test_a_snappy_chunk_of_16_mib_is_refused_before_it_is_there() -> None:
    with pytest.raises(ProtocolError, match="chunk of 16777215 bytes"):
        list(Snappy().decompress(b"\x00" + (2**24 - 1).to_bytes(3, "little")))


def test_a_snappy_chunk_that_claims_gigabytes_is_refused() -> None:
    """The length inside the block is a promise by the peer; 65536 is the most the format allows."""
    claimed = b"\xff\xff\xff\xff\x07"  # a varint: 2 GiB less one byte
    chunk = struct.pack("<I", 0) + claimed + b"\x00x"
    stream = Snappy().compress(b"x")[:10] + b"\x00" + len(chunk).to_bytes(3, "little") + chunk
    with pytest.raises(ProtocolError):
        list(Snappy().decompress(stream))
