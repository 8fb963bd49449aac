"""Ids, numbers and labels in every form in which they could leak, and the search for them in bytes.

A needle is long enough (six bytes, and not of one byte alone) that chance does not find it in a transcript: below one
in 10^6 for ten million bytes and a thousand needles.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")
BITS = 20
LEAST = 6
Needles = dict[bytes, str]


def of_id(text: str) -> Needles:
    """An id: as text, and hashed as text."""
    forms = {"raw": text.encode(), "capitals": text.upper().encode(), "small letters": text.lower().encode()}
    forms |= {"UTF-16": text.encode("utf-16-le"), "UTF-32": text.encode("utf-32-le"), "backwards": text[::-1].encode()}
    for form in (text, text.lower(), text.upper()):
        digests = {name: hashlib.new(name, form.encode()).digest() for name in HASHES}
        forms |= {f"{name} of {form}": digest[:16] for name, digest in digests.items()}
        forms |= {f"hmac of nothing and {form}": hashlib.sha256(b"\0" + form.encode()).digest()[:16]}
    return _in_letters(forms, "id")


def of_number(value: float) -> Needles:
    """A feature: as text, as a float, and as an integer on a grid of 2^-k."""
    forms = {"text": repr(float(value)).encode(), "six digits": f"{value:.6f}".encode()}
    for order in "<>":
        forms |= {f"float64 {order}": struct.pack(f"{order}d", value)}
    for bits in range(1, 64):
        fixed = round(value * 2.0**bits)
        if fixed.bit_length() > 8 * LEAST - 8 and fixed.bit_length() < 120:
            size = (fixed.bit_length() + 8) // 8
            forms |= {
                f"fixed point 2^-{bits}, {order}": fixed.to_bytes(size, order, signed=True)
                for order in ("little", "big")
            }
            forms |= {f"fixed point 2^-{bits} as text": str(fixed).encode()}
    return _in_letters(forms, "number")


def of_neighbours(values: Sequence[float]) -> Needles:
    """Two numbers side by side as 32-bit floats and on coarse grids: one alone is too short a needle, and so are two
    of together less than BITS bits, which two row numbers can be by chance."""
    forms = {f"float32 {order}": np.asarray(values, f"{order}f4").tobytes() for order in "<>"}
    for bits in range(8, 24, 2):
        fixed = np.round(np.asarray(values) * 2.0**bits)
        if np.log2(np.abs(fixed) + 1).sum() < BITS:
            continue
        for kind in ("<i4", "<i8"):
            if np.abs(fixed).max() < 2**31:
                forms |= {f"fixed point 2^-{bits} as {kind}": fixed.astype(kind).tobytes()}
    return _in_letters(forms, "neighbours")


def of_labels(labels: NDArray[np.int64]) -> Needles:
    """The labels of all rows in an order: bits, bytes, words, floats, and with -1 for 0."""
    forms: dict[str, bytes] = {
        "text": "".join(map(str, labels.tolist())).encode(),
        "list": ",".join(map(str, labels.tolist())).encode(),
    }
    for name, values in (("0, 1", labels), ("1, 0", 1 - labels), ("-1, 1", 2 * labels - 1)):
        forms |= {
            f"{name} as {kind}": values.astype(kind).tobytes()
            for kind in ("i1", "<i2", "<i4", "<i8", ">i8", "<f4", "<f8")
        }
    forms |= {
        f"bits, {order}": np.packbits(labels.astype(bool), bitorder=order).tobytes() for order in ("big", "little")
    }  # type: ignore[call-overload]
    return {data[:64]: f"labels: {name}" for name, data in forms.items()}


def _in_letters(forms: dict[str, bytes], what: str) -> Needles:
    """Each form as it is, in hex and in Base64, at each of its three phases."""
    needles: Needles = {}
    for name, data in forms.items():
        if len(data) < LEAST:
            continue
        needles[data] = f"{what}: {name}"
        needles[data.hex().encode()] = f"{what}: {name}, hex"
        needles[data.hex().upper().encode()] = f"{what}: {name}, hex in capitals"
        for phase in range(3):
            inside = base64.b64encode(bytes(phase) + data)[4 * bool(phase) : -4]
            if len(inside) >= LEAST + 2:
                needles[inside] = f"{what}: {name}, Base64"
                needles[inside.translate(bytes.maketrans(b"+/", b"-_"))] = f"{what}: {name}, Base64 for addresses"
    return needles


def found(needles: Needles, haystacks: Iterable[bytes]) -> set[str]:
    """The forms that occur."""
    whole = b"\xfe\xed".join(haystacks)
    return {name for needle, name in needles.items() if len(set(needle)) > 1 and needle in whole}


def merged(parts: Iterable[Needles]) -> Needles:
    """All needles of several values."""
    return {needle: name for part in parts for needle, name in part.items()}
