"""Bytes that are nearly right: edits of sound ones."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

INTERESTING = [bytes([b]) * n for b in (0x00, 0x7F, 0x80, 0xFF) for n in (1, 2, 4, 8)] + [
    # msgpack: 2^32 - 1 elements or bytes to follow
    b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b'"', b"'", b"[" * 40, b"{", b"}", b",", b"\n", b"\r\n", b"=", b"null", b"NaN", b"1e999", b"-1", b"true", b"[]", b"{}", b"../../x", b"\xef\xbb\xbf",  # noqa: E501
    b"[bold]", b"[/]", b"\\u0000", "\u202e".encode(),
]  # fmt: skip


@st.composite
def nearly(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` after a few edits, or bytes of no form at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=120))
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 40)))
        match draw(st.integers(0, 5)):
            case 0:  # flip a bit
                data = (
                    data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
                    if at < len(data)
                    else data
                )
            case 1:  # overwrite, insert
                piece = draw(st.sampled_from(INTERESTING))
                data = data[:at] + piece + data[at + (len(piece) if draw(st.booleans()) else 0) :]
            case 2:  # leave out
                data = data[:at] + data[end:]
            case 3:  # repeat
                data = data[:end] + data[at:end] * draw(st.integers(1, 3)) + data[end:]
            case 4:  # cut off
                data = data[:at]
            case 5:  # another number in place of one
                digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
                if digits:
                    at = draw(st.sampled_from(digits))
                    data = (
                        data[:at]
                        + draw(st.sampled_from([b"0", b"-1", b"99999999999999999999", b"1.5", b'"x"', b"null"]))
                        + data[at + 1 :]
                    )
    return data
