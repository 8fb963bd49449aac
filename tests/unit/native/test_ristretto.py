"""ristretto255 in Rust against the RFCs' vectors and a reference in plain Python integers, on both backends."""

from __future__ import annotations

from tests.places import ROOT
import hashlib
import pathlib
import random

import numpy as np
import pytest

from protocols._native import InvalidBytes, PointVec, random_scalar

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
TAG = b"vfl-ristretto255-tag-v1"
OPRF_DOMAIN = b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512"
VECTORS = ROOT / "native/core/src/curve/vectors.txt"


def has_ifma() -> bool:
    cpu = pathlib.Path("/proc/cpuinfo")
    return cpu.exists() and "avx512ifma" in cpu.read_text()


needs_ifma = pytest.mark.skipif(not has_ifma(), reason="this CPU has no AVX-512 IFMA")

Point = tuple[int, int]  # affine Edwards coordinates: slow, and short enough to be read against RFC 9496


@pytest.fixture(autouse=True, params=["serial", pytest.param("ifma", marks=needs_ifma)])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on both: the core reads the variable whenever it makes points."""
    monkeypatch.setenv("VFL_NATIVE_BACKEND", request.param)
    return str(request.param)


def vectors(kind: str) -> list[list[bytes]]:
    lines = (line.split() for line in VECTORS.read_text().splitlines())
    return [[bytes.fromhex(f.strip("-")) for f in fields[1:]] for fields in lines if fields and fields[0] == kind]


def absolute(x: int) -> int:
    return P - x % P if x % P % 2 else x % P


def sqrt_ratio(u: int, v: int) -> tuple[bool, int]:
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    if check in (-u % P, -u * SQRT_M1 % P):
        r = r * SQRT_M1 % P
    return check in (u % P, -u % P), absolute(r)


def add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    return (x1 * y2 + y1 * x2) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def multiply(point: Point, scalar: int) -> Point:
    total = (0, 1)
    for bit in f"{scalar:b}":
        total = add(total, total)
        total = add(total, point) if bit == "1" else total
    return total


def encode(point: Point) -> bytes:
    x, y = point
    u1, u2 = (1 + y) * (1 - y), x * y
    _, root = sqrt_ratio(1, u1 * u2 * u2)
    den1, den2 = root * u1 % P, root * u2 % P
    z_inv, den_inv = den1 * den2 * x * y % P, den2
    if x * y * z_inv % P % 2:
        x, y, den_inv = y * SQRT_M1 % P, x * SQRT_M1 % P, den1 * sqrt_ratio(1, -1 - D)[1] % P
    if x * z_inv % P % 2:
        y = -y
    return absolute(den_inv * (1 - y)).to_bytes(32, "little")


def decode(data: bytes) -> Point:
    s = int.from_bytes(data, "little")
    assert s < P
    assert s % 2 == 0
    u1, u2 = 1 - s * s, 1 + s * s
    v = -D * u1 * u1 - u2 * u2
    square, root = sqrt_ratio(1, v * u2 * u2)
    x, y = absolute(2 * s * root * u2), u1 * root * root * u2 * v % P
    assert square
    assert x * y % P % 2 == 0
    assert y
    return x, y


def elligator(data: bytes) -> Point:
    t = int.from_bytes(data, "little") % 2**255
    r = SQRT_M1 * t * t % P
    v = (-1 - r * D) * (r + D)
    square, s = sqrt_ratio((r + 1) * (1 - D * D), v)
    c = -1 if square else r
    s = s if square else -absolute(s * t)
    n = c * (r - 1) * (D - 1) ** 2 - v
    w1 = -n * sqrt_ratio(-D - 1, 1)[1]  # the RFC's constant is the negative root
    return 2 * s * v * pow(w1, -1, P) % P, (1 - s * s) * pow(1 + s * s, -1, P) % P


def expand(message: bytes, domain: bytes, length: int) -> bytes:
    dst = domain + bytes([len(domain)])
    first = hashlib.sha512(bytes(128) + message + length.to_bytes(2, "big") + b"\0" + dst).digest()
    out, last = b"", bytes(64)
    for i in range(1, -(-length // 64) + 1):
        last = hashlib.sha512(bytes(a ^ b for a, b in zip(first, last, strict=True)) + bytes([i]) + dst).digest()
        out += last
    return out[:length]


def hash_to_group(item: bytes, domain: bytes) -> Point:
    uniform = expand(item, domain, 64)
    return add(elligator(uniform[:32]), elligator(uniform[32:]))


def items(count: int) -> list[bytes]:
    return [b"customer-%d" % i for i in range(count)]


def scalars() -> list[int]:
    rng = random.Random(7)
    fixed = [1, 2, 7, 8, 9, 15, 16, 17, 2**251, 2**252, ORDER - 1, ORDER - 2, (ORDER - 1) // 2, (ORDER + 1) // 2]
    return fixed + [rng.randrange(1, ORDER) for _ in range(4)]


def little(scalar: int) -> bytes:
    return scalar.to_bytes(32, "little")


def split(data: bytes, size: int = 32) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def test_the_reference_itself() -> None:
    generator = decode(vectors("multiple")[0][0])
    for i, (expected,) in enumerate(vectors("multiple")):
        assert encode(multiply(generator, i + 1)) == expected
    for uniform, expected in vectors("derive"):
        assert encode(add(elligator(uniform[:32]), elligator(uniform[32:]))) == expected
    for message, expected in vectors("expand"):
        assert expand(message, b"QUUX-V01-CS02-with-expander-SHA512-256", len(expected)) == expected


class TestVectors:
    def test_multiples_of_the_generator(self) -> None:
        data = b"".join(v for (v,) in vectors("multiple"))
        assert PointVec.from_bytes(data).to_bytes() == data
        generator = PointVec.from_bytes(data[:32])
        for i, expected in enumerate(split(data)):
            assert generator.mul(little(i + 1)).to_bytes() == expected

    def test_rfc_9497(self) -> None:
        for item, scalar, expected in vectors("blind"):
            assert PointVec.hash_to_group([item], OPRF_DOMAIN).mul(scalar).to_bytes() == expected

    @pytest.mark.parametrize("bad", [v for (v,) in vectors("invalid")], ids=bytes.hex)
    @pytest.mark.parametrize("at", [0, 7, 8, 10])
    def test_invalid_encodings(self, bad: bytes, at: int) -> None:
        good = split(PointVec.hash_to_group(items(11), b"test").to_bytes())
        with pytest.raises(InvalidBytes, match=f"position {at}$"):
            PointVec.from_bytes(b"".join([*good[:at], bad, *good[at + 1 :]]))


class TestAgainstReference:
    @pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 17])
    def test_hash_to_group(self, count: int) -> None:
        found = split(PointVec.hash_to_group(items(count), b"test").to_bytes())
        assert found == [encode(hash_to_group(i, b"test")) for i in items(count)]

    @pytest.mark.parametrize("scalar", scalars(), ids=hex)
    def test_scalar_products(self, scalar: int) -> None:
        points = PointVec.hash_to_group(items(9), b"test")
        expected = [encode(multiply(hash_to_group(i, b"test"), scalar)) for i in items(9)]
        assert split(points.mul(little(scalar)).to_bytes()) == expected
        assert split(PointVec.from_bytes(points.to_bytes()).mul(little(scalar)).to_bytes()) == expected

    def test_tags(self) -> None:
        points = PointVec.hash_to_group(items(9), b"test").mul(little(5))
        expected = [hashlib.sha512(TAG + e).digest()[:16] for e in split(points.to_bytes())]
        assert split(points.tags(), 16) == expected


class TestBehaviour:
    def test_two_keys_commute(self) -> None:
        a, b = random_scalar(bytes(32)), random_scalar(b"\1" * 32)
        points = PointVec.hash_to_group(items(1001), b"test")
        assert points.mul(a).mul(b).to_bytes() == points.mul(b).mul(a).to_bytes()
        assert PointVec.from_bytes(points.mul(a).to_bytes()).mul(b).tags() == points.mul(b).mul(a).tags()

    def test_the_inverse_undoes(self) -> None:
        scalar = int.from_bytes(random_scalar(bytes(32)), "little")
        points = PointVec.hash_to_group(items(19), b"test")
        there = points.mul(little(scalar))
        assert there.mul(little(pow(scalar, -1, ORDER))).to_bytes() == points.to_bytes()

    def test_take(self) -> None:
        points = PointVec.hash_to_group(items(20), b"test").mul(little(3))
        rows = np.array([19, 0, 0, 8, 7], dtype=np.int64)
        assert split(points.take(rows).to_bytes()) == [split(points.to_bytes())[r] for r in rows]
        assert points.take(rows[::2]).to_bytes() == points.take(rows[::2].copy()).to_bytes()
        assert len(points.take(np.array([], dtype=np.int64))) == 0
        for bad in (20, -1, 2**62):
            with pytest.raises(ValueError, match="out of range"):
                points.take(np.array([0, bad], dtype=np.int64))

    def test_empty(self) -> None:
        points = PointVec.hash_to_group([], b"test")
        assert len(points.mul(little(2))) == 0
        assert points.to_bytes() == points.tags() == b""
        assert len(PointVec.from_bytes(b"")) == 0

    def test_items_of_any_length(self) -> None:
        odd = [b"", b"\0", b"x" * 127, b"x" * 128, b"x" * 10_000_000]
        points = PointVec.hash_to_group(odd, b"test")
        assert split(points.to_bytes()) == [encode(hash_to_group(i, b"test")) for i in odd]

    def test_domains_separate_and_are_not_empty(self) -> None:
        assert PointVec.hash_to_group([b"x"], b"a").to_bytes() != PointVec.hash_to_group([b"x"], b"b").to_bytes()
        assert PointVec.hash_to_group([b"x"], b"a" * 255).to_bytes() == encode(hash_to_group(b"x", b"a" * 255))
        long = hashlib.sha512(b"H2C-OVERSIZE-DST-" + b"a" * 256).digest()
        assert PointVec.hash_to_group([b"x"], b"a" * 256).to_bytes() == encode(hash_to_group(b"x", long))
        with pytest.raises(ValueError, match="empty"):
            PointVec.hash_to_group([b"x"], b"")

    @pytest.mark.parametrize("bad", [bytes(32), little(ORDER), b"\xff" * 32, b"\1" * 31, b"\1" * 33, b""])
    def test_bad_scalars(self, bad: bytes) -> None:
        with pytest.raises(ValueError, match="scalar"):
            PointVec.hash_to_group([b"x"], b"test").mul(bad)

    def test_bad_lengths_and_types(self) -> None:
        with pytest.raises(InvalidBytes):
            PointVec.from_bytes(bytes(31))
        with pytest.raises(ValueError, match="32 bytes"):
            random_scalar(bytes(31))
        with pytest.raises(TypeError):
            PointVec.hash_to_group(["text"], b"test")  # type: ignore[list-item]

    def test_random_scalars(self) -> None:
        drawn = {random_scalar(bytes([i]) * 32) for i in range(100)}
        assert len(drawn) == 100
        assert all(0 < int.from_bytes(s, "little") < ORDER for s in drawn)
        assert random_scalar(bytes(32)) == random_scalar(bytes(32))

    def test_nothing_is_shown(self) -> None:
        points = PointVec.hash_to_group([b"secret-id"], b"test")
        assert repr(points) == "PointVec(1 points)"


def test_the_arithmetic_for_ciphertexts_alone_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable chooses for all modules: for points, "avx2" is the portable arithmetic."""
    here = PointVec.hash_to_group(items(9), b"test").to_bytes()
    monkeypatch.setenv("VFL_NATIVE_BACKEND", "avx2")
    if {"avx2", "fma"} <= set(pathlib.Path("/proc/cpuinfo").read_text().split()):
        assert PointVec.hash_to_group(items(9), b"test").to_bytes() == here
    else:
        with pytest.raises(ValueError, match="backend"):
            PointVec.hash_to_group(items(9), b"test")


def test_both_backends_agree(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    scalar = random_scalar(b"\2" * 32)
    here = PointVec.hash_to_group(items(999), b"test").mul(scalar)
    monkeypatch.delenv("VFL_NATIVE_BACKEND")
    fastest = PointVec.hash_to_group(items(999), b"test").mul(scalar)
    assert fastest.to_bytes() == here.to_bytes(), backend
    assert fastest.mul(scalar).tags() == here.mul(scalar).tags()


def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFL_NATIVE_BACKEND", "abacus")
    with pytest.raises(ValueError, match="backend"):
        PointVec.hash_to_group([b"x"], b"test")
