"""Frames: whole, byte by byte, with a tail; too long, cut off, or no frame at all."""

from __future__ import annotations

import json
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergepoint.wire.frames import Frame, FrameInvalid, FrameReader, cut, encode, encode_json

HEADS = st.dictionaries(
    st.text(max_size=8), st.none() | st.integers() | st.text(max_size=20) | st.lists(st.integers())
)
FRAMES = st.lists(st.tuples(HEADS, st.binary(max_size=200)), max_size=6)


@given(FRAMES)
def test_frames_are_read_as_they_were_written(frames: list[tuple[dict[str, Any], bytes]]) -> None:
    data = b"".join(encode_json(head, [rest]) for head, rest in frames)

    assert FrameReader().feed(data) == [Frame(head, rest) for head, rest in frames]


@given(FRAMES)
def test_frames_that_come_byte_by_byte_are_the_same(
    frames: list[tuple[dict[str, Any], bytes]],
) -> None:
    reader = FrameReader()
    read = []
    for byte in b"".join(encode_json(head, [rest]) for head, rest in frames):
        read += reader.feed(bytes([byte]))

    assert read == [Frame(head, rest) for head, rest in frames]
    assert reader.kept_bytes == 0


@given(FRAMES, st.data())
def test_frames_that_come_in_any_pieces_are_the_same(
    frames: list[tuple[dict[str, Any], bytes]], data: st.DataObject
) -> None:
    reader, read = FrameReader(), []
    left = b"".join(encode_json(head, [rest]) for head, rest in frames)
    while left:
        size = data.draw(st.integers(1, len(left)))
        read += reader.feed(left[:size])
        left = left[size:]

    assert read == [Frame(head, rest) for head, rest in frames]


def test_the_beginning_of_the_next_frame_is_kept() -> None:
    reader = FrameReader()
    whole, tail = encode_json({"i": 1}), encode_json({"i": 2}, [b"x" * 100])

    assert reader.feed(whole + tail[:50]) == [Frame({"i": 1}, b"")]
    assert reader.feed(tail[50:]) == [Frame({"i": 2}, b"x" * 100)]


@given(st.binary(max_size=500))
def test_garbage_is_frames_or_refused_and_nothing_else(garbage: bytes) -> None:
    reader = FrameReader(frame_bytes_max=100)
    try:
        reader.feed(garbage)
    except FrameInvalid:
        assert reader.kept_bytes == 0
    assert reader.kept_bytes <= 104


@pytest.mark.parametrize(
    "data",
    [
        pack(">II", 101, 2) + b"{}",
        pack(">II", 2**32 - 1, 2),
        pack(">II", 60, 51) + b"{}",
        pack(">II", 3, 0) + b"",
        pack(">II", 4, 1) + b"{",
        encode(b"[]"),
        encode(b"{"),
        encode(b""),
        encode(b"\xff\xfe"),
        encode(b"[" * 50),
    ],
    ids=["frame", "huge", "head", "short", "outside", "list", "open", "none", "bytes", "deep"],
)
def test_what_is_no_frame_is_refused_for_good(data: bytes) -> None:
    reader = FrameReader(frame_bytes_max=100, head_bytes_max=50)

    with pytest.raises(FrameInvalid):
        reader.feed(data)
    with pytest.raises(FrameInvalid):
        reader.feed(encode_json({}))


def test_a_length_over_the_limit_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(FrameInvalid, match="at most 100"):
        FrameReader(frame_bytes_max=100).feed(pack(">II", 101, 2))


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_parts_are_cut_as_they_were_joined(parts: list[bytes]) -> None:
    frame = FrameReader().feed(encode_json({"n": [len(part) for part in parts]}, parts))[0]

    assert cut(frame.rest, frame.head["n"]) == parts


@pytest.mark.parametrize("lengths", [[1], [3], [-1, 3], [1, "1"], [True, 1], [None], [0.5, 1.5]])
def test_lengths_that_do_not_fit_are_refused(lengths: list[Any]) -> None:
    with pytest.raises(FrameInvalid):
        cut(b"ab", lengths)


def test_a_head_is_compact_json() -> None:
    encoded = encode_json({"i": 1, "ok": [1, 2]})

    assert json.loads(encoded[8:]) == {"i": 1, "ok": [1, 2]}
    assert b" " not in encoded[8:]


def test_a_text_that_is_no_unicode_arrives_with_a_mark() -> None:
    encoded = encode_json({"error": "no such file: \udcff", "of": "ä"})

    assert FrameReader().feed(encoded)[0].head == {"error": "no such file: ?", "of": "ä"}
