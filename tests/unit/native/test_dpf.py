"""Point functions in Rust against the same algebra in plain Python: other AES and ChaCha20, one node at a time."""

from __future__ import annotations

import functools
import pathlib
import random

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocols._native import DpfKeys, DpfTables, InvalidBytes, PlainVec

M = 1 << 128
SEED = bytes(range(32))
HEADER = 26


def has_wide() -> bool:
    cpu = pathlib.Path("/proc/cpuinfo")
    flags = cpu.read_text().split() if cpu.exists() else []
    return {"avx512f", "avx512ifma", "avx512_vbmi2", "vaes", "aes"} <= set(flags)


def has_avx2() -> bool:
    cpu = pathlib.Path("/proc/cpuinfo")
    return cpu.exists() and {"avx2", "fma"} <= set(cpu.read_text().split())


@pytest.fixture(
    autouse=True, params=["serial", pytest.param("ifma", marks=pytest.mark.skipif(not has_wide(), reason="this CPU has no AVX-512"))]
)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on both: the core reads the variable at every look-up."""
    monkeypatch.setenv("VFL_NATIVE_BACKEND", request.param)
    return str(request.param)


# The definition.


def stream(seed: bytes, number: int, size: int) -> bytes:
    """`size` bytes of ChaCha20 in its original form: 64 bits of counter, 64 of stream."""
    nonce = bytes(8) + number.to_bytes(8, "little")
    return Cipher(algorithms.ChaCha20(seed, nonce), mode=None).encryptor().update(bytes(size))


def hash_block(salt: bytes, x: int) -> int:
    high, low = x >> 64, x % 2**64
    y = (high ^ low) << 64 | high
    aes = Cipher(algorithms.AES(salt), modes.ECB()).encryptor()
    return int.from_bytes(aes.update(y.to_bytes(16, "little")), "little") ^ y


def children(salt: bytes, node: int) -> tuple[int, int]:
    return hash_block(salt, node & ~1), hash_block(salt, node | 1)


class Key:
    """One row as the paper has it: root, (correction of left, of right) a level, corrections of the two leaves of a last node."""

    def __init__(self, root: int, words: list[tuple[int, int]], leaves: tuple[int, int]) -> None:
        self.root, self.words, self.leaves = root, words, leaves

    @classmethod
    def parse(cls, row: bytes, bits: int) -> Key:
        blocks = [int.from_bytes(row[i : i + 16], "little") for i in range(0, 16 * bits, 16)]
        controls = int.from_bytes(row[16 * bits : -32], "little")
        words = [(cw, cw & ~1 | controls >> level & 1) for level, cw in enumerate(blocks[1:])]
        return cls(blocks[0], words, (int.from_bytes(row[-32:-16], "little"), int.from_bytes(row[-16:], "little")))

    def to_bytes(self) -> bytes:
        controls = sum((right & 1) << level for level, (_, right) in enumerate(self.words))
        blocks = [self.root, *(left for left, _ in self.words)]
        return (
            b"".join(b.to_bytes(16, "little") for b in blocks)
            + controls.to_bytes((len(self.words) + 7) // 8, "little")
            + b"".join(w.to_bytes(16, "little") for w in self.leaves)
        )

    def everywhere(self, salt: bytes, party: int) -> list[int]:
        nodes = [self.root]
        for word in self.words:
            pairs = [[child ^ (cw if node & 1 else 0) for child, cw in zip(children(salt, node), word, strict=True)] for node in nodes]
            nodes = [left for left, _ in pairs] + [right for _, right in pairs]  # level l branches by bit l of the position
        pairs = [[child + (cw if node & 1 else 0) for child, cw in zip(children(salt, node), self.leaves, strict=True)] for node in nodes]
        return [(-1) ** party * leaf % M for side in (0, 1) for leaf in (pair[side] for pair in pairs)]


def deal(salt: bytes, roots: tuple[int, int], point: int, bits: int, *, corrected: bool = True) -> tuple[Key, Key]:
    """`corrected=False` is a planted fault: the correction words keep the path's control bits apart, and correct no seed."""
    nodes, words = list(roots), []
    for level in range(bits - 1):
        bit = point >> level & 1
        pairs = [children(salt, node) for node in nodes]
        seed = (pairs[0][1 - bit] ^ pairs[1][1 - bit]) & ~1 if corrected else 0
        left = (pairs[0][0] ^ pairs[1][0]) & 1 ^ bit ^ 1
        right = (pairs[0][1] ^ pairs[1][1]) & 1 ^ bit
        words.append((seed | left, seed | right))
        nodes = [pair[bit] ^ (words[-1][bit] if node & 1 else 0) for node, pair in zip(nodes, pairs, strict=True)]
    (l0, r0), (l1, r1) = (children(salt, node) for node in nodes)
    bit, sign = point >> (bits - 1), (-1) ** (nodes[1] & 1)
    leaves = (sign * ((1 - bit) - l0 + l1) % M, sign * (bit - r0 + r1) % M)
    if not corrected:
        leaves = (0, 0)
    return Key(roots[0], words, leaves), Key(roots[1], words, leaves)


def signed(v: int) -> int:
    v %= M
    return v - M if v >= M // 2 else v


# Ours.


def parts(keys: DpfKeys) -> tuple[bytes, list[bytes]]:
    """The AES key and the rows."""
    data = keys.to_bytes()
    size = (len(data) - HEADER) // len(keys)
    assert data[:10] == bytes([keys.party, keys.bits]) + len(keys).to_bytes(8, "little")
    return data[10:HEADER], [data[i : i + size] for i in range(HEADER, len(data), size)]


def array(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def random_tables(bits: int, count: int) -> NDArray[np.int64]:
    """Small and large entries, of both signs, with both ends of an int64."""
    rng = np.random.default_rng(bits)
    out = rng.integers(-(2**63), 2**63 - 1, size=(count, 1 << bits), endpoint=True)
    for t in range(count):
        out[t] >>= (0, 13, 40)[t % 3]
    out[-1] = np.abs(out[-1] >> 1)
    out[0, :2] = (-(2**63), 2**63 - 1)
    return out


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 8, 9, 10, 13])
def test_exact_bytes_of_a_deal(bits: int) -> None:
    rng = random.Random(bits)
    points = [0, (1 << bits) - 1, *(rng.randrange(1 << bits) for _ in range(5))]
    pair = DpfKeys.deal(SEED, array(points), bits)
    salt, _ = parts(pair[0])
    assert salt == stream(SEED, 2**64 - 1, 16)
    drawn = stream(SEED, 0, 32 * len(points))
    for i, point in enumerate(points):
        roots = drawn[32 * i :]
        first, second = (int.from_bytes(roots[j : j + 16], "little") & ~1 for j in (0, 16))
        expected = deal(salt, (first, second | 1), point, bits)
        for keys, key in zip(pair, expected, strict=True):
            assert parts(keys)[1][i] == key.to_bytes()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 10])
def test_shares_are_what_the_algebra_says(bits: int) -> None:
    size, rng = 1 << bits, random.Random(bits)
    points, x = ([rng.randrange(size) for _ in range(9 if bits < 8 else 2)] for _ in range(2))
    tables = random_tables(bits, 4)
    total = [0] * len(tables)
    pair = DpfKeys.deal(SEED, array(points), bits)
    got = [[share.to_ints() for share in keys.look_up(array(x), tables)] for keys in pair]
    for party, keys in enumerate(pair):
        assert (len(keys), keys.bits, keys.party) == (len(x), bits, party)
        salt, rows = parts(keys)
        sums = [0] * len(tables)
        for i, row in enumerate(rows):
            leaves = Key.parse(row, bits).everywhere(salt, party)
            for t, table in enumerate(tables.tolist()):
                bias = min(0, *table)  # the first party adds it alone: all leaves add up to 1
                want = sum(leaf * (table[(x[i] - j) % size] - bias) for j, leaf in enumerate(leaves))
                want += bias if party == 0 else 0
                assert got[party][t][i] == signed(want)
                sums[t] += want
        assert keys.look_up_sums(array(x), tables).to_ints() == [signed(v) for v in sums]
        total = [a + b for a, b in zip(total, sums, strict=True)]
    for t, table in enumerate(tables.tolist()):
        values = [table[(a - b) % size] for a, b in zip(x, points, strict=True)]
        assert [a + b for a, b in zip(got[0][t], got[1][t], strict=True)] == values  # as integers, not only modulo 2^128
        assert signed(total[t]) == sum(values)


@pytest.mark.parametrize("bits", [1, 3, 6, 9])
def test_every_position(bits: int) -> None:
    size = 1 << bits
    x = np.arange(size, dtype=np.int64)
    tables = np.zeros((1, size), dtype=np.int64)
    tables[0, 0] = 1
    for point in {0, 1, size // 2, size - 1}:
        first, second = DpfKeys.deal(SEED, np.full(size, point, dtype=np.int64), bits)
        shares = first.look_up(x, tables)[0] + second.look_up(x, tables)[0]
        assert shares.to_i64().tolist() == (x == point).astype(int).tolist()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 33, 300])
def test_lengths_takes_and_round_trips(length: int) -> None:
    bits, size = 7, 128
    rng = np.random.default_rng(length)
    points, x = rng.integers(0, size, length), rng.integers(0, size, length)
    table = rng.integers(-(2**20), 2**20, (2, size))
    pair = [DpfKeys.from_bytes(keys.to_bytes()) for keys in DpfKeys.deal(SEED, points, bits)]
    whole = [keys.look_up(x, table) for keys in pair]
    for t in range(2):
        assert np.array_equal((whole[0][t] + whole[1][t]).to_i64(), table[t][(x - points) % size])
    cut = length // 3
    for keys, shares in zip(pair, whole, strict=True):
        halves = [keys.take(0, cut).look_up(x[:cut], table), keys.take(cut, length).look_up(x[cut:], table)]
        assert [a.concat(b) for a, b in zip(*halves, strict=True)] == shares
        assert keys.take(0, length).to_bytes() == keys.to_bytes()


def test_backends_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    for bits in (5, 12, 16):
        rng = np.random.default_rng(bits)
        points, x = rng.integers(0, 1 << bits, (2, 20))
        key = DpfKeys.deal(SEED, points, bits)[1]
        found: list[list[PlainVec]] = []
        for name in (*(("serial", "ifma") if has_wide() else ("serial",)), *(("avx2",) if has_avx2() else ())):
            monkeypatch.setenv("VFL_NATIVE_BACKEND", name)
            found.append([*key.look_up(x, random_tables(bits, 3)), key.look_up_sums(x, random_tables(bits, 2))])
        assert all(f == found[0] for f in found)


@pytest.mark.parametrize("bits", [1, 6, 9])
def test_tables_that_are_laid_out_once(bits: int) -> None:
    """They serve every key of their size, and no other."""
    size = 1 << bits
    values = np.random.default_rng(bits).integers(-(1 << 62), 1 << 62, (2, size))
    tables, x = DpfTables(values), np.arange(3) % size
    assert len(tables) == 2
    for seed in (SEED, bytes(32)):
        for keys in DpfKeys.deal(seed, x[::-1].copy(), bits):
            assert [v.to_bytes() for v in tables.look_up(keys, x)] == [v.to_bytes() for v in keys.look_up(x, values)]
    other = DpfKeys.deal(SEED, np.zeros(1, np.int64), bits + 1)[0]
    with pytest.raises(ValueError, match="2\\^bits"):
        tables.look_up(other, np.zeros(1, np.int64))
    for wrong in (np.zeros((1, 3), np.int64), np.zeros((0, 8), np.int64), np.zeros((1, 1), np.int64)):
        with pytest.raises(ValueError, match="bits"):
            DpfTables(wrong)
    assert repr(tables) == f"DpfTables(2 tables of {size} entries)"


def test_strided_arrays() -> None:
    x, table = np.arange(16, dtype=np.int64)[::2], np.arange(64, dtype=np.int64).reshape(16, 4).T[::2]
    keys = DpfKeys.deal(SEED, x, 4)
    shares = [k.look_up(x, table) for k in keys]
    assert (shares[0][1] + shares[1][1]).to_i64().tolist() == [2] * 8


def test_deterministic() -> None:
    points = np.arange(50, dtype=np.int64)
    first, again, other = (DpfKeys.deal(s, points, 6) for s in (SEED, SEED, SEED[::-1]))
    assert [k.to_bytes() for k in first] == [k.to_bytes() for k in again]
    assert not {row for k in first for row in parts(k)[1]} & {row for k in other for row in parts(k)[1]}
    assert parts(DpfKeys.deal(SEED, points[:20], 6)[0])[1] == parts(first[0])[1][:20]  # row i depends on (seed, i, point) alone


def test_bad_arguments() -> None:
    key = DpfKeys.deal(SEED, array([1, 2]), 3)[0]
    table, x = np.zeros((1, 8), dtype=np.int64), array([0, 0])
    for bad_x, bad_table in [(array([0]), table), (array([0, 8]), table), (array([-1, 0]), table), (x, table[:, 1:]), (x, table[:0])]:
        with pytest.raises(ValueError):
            key.look_up(bad_x, bad_table)
        with pytest.raises(ValueError):
            key.look_up_sums(bad_x, bad_table)
    for seed, points, bits in [(SEED[1:], [0], 3), (SEED, [8], 3), (SEED, [-1], 3), (SEED, [0], 0), (SEED, [0], 21), (SEED, [0], 64)]:
        with pytest.raises(ValueError):
            DpfKeys.deal(seed, array(points), bits)
    for start, stop in [(0, 3), (2, 1), (3, 3)]:
        with pytest.raises(ValueError):
            key.take(start, stop)
    assert "DpfKeys(2 rows" in repr(key)


def test_bytes_are_refused() -> None:
    for bits in (1, 6, 9, 10):
        data = DpfKeys.deal(SEED, array([0, 1]), bits)[1].to_bytes()
        assert len(data) == HEADER + 2 * (16 * (bits + 2) + (bits + 6) // 8) <= HEADER + 2 * (17 * bits + 33)
        padding = bytearray(data)
        padding[-33] |= 0x80  # the highest bit of the control bits of the right children
        bad = [
            b"",
            data[:-1],
            data + b"\0",
            data[:HEADER],
            b"\2" + data[1:],
            b"\0" + data[1:],  # of the other party
            data[:1] + b"\0" + data[2:],
            data[:1] + b"\x15" + data[2:],
            data[:2] + b"\1" + data[3:],
            data[:9] + b"\x80" + data[10:],
            data[:HEADER] + bytes([data[HEADER] ^ 1]) + data[HEADER + 1 :],
            *([bytes(padding)] if (bits - 1) % 8 else []),
        ]
        for item in bad:
            with pytest.raises(InvalidBytes):
                DpfKeys.from_bytes(item)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1), st.integers(0, 21), st.integers(0, 3), st.binary(max_size=400), st.data())
def test_any_bytes_decode_to_themselves_or_not(party: int, bits: int, rows: int, noise: bytes, data: st.DataObject) -> None:
    header = bytes([party, bits]) + rows.to_bytes(8, "little")
    valid = DpfKeys.deal(SEED, array([0] * rows), max(1, min(bits, 9)))[party].to_bytes()
    at = data.draw(st.integers(0, len(valid) - 1))
    flipped = valid[:at] + bytes([valid[at] ^ data.draw(st.integers(1, 255))]) + valid[at + 1 :]
    for item in (noise, header + noise, flipped):
        try:
            keys = DpfKeys.from_bytes(item)
        except InvalidBytes:
            continue
        assert keys.to_bytes() == item
        if keys.bits <= 10:
            keys.look_up(np.zeros(len(keys), dtype=np.int64), np.ones((1, 1 << keys.bits), dtype=np.int64))


# What one party sees of a point.


def chi_square(data: bytes) -> float:
    counts = np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256)
    expected = len(data) / 256
    return float(((counts - expected) ** 2 / expected).sum())


def worst(rows: list[bytes]) -> float:
    """The least uniform of the bytes of a row, over rows; the first byte, which holds the party, is left out."""
    return max(chi_square(bytes(column)) for column in list(zip(*rows, strict=True))[1:])


FAR_OUT = 420.0  # chi-square with 255 degrees of freedom: 7.3 standard deviations


@functools.cache
def planted_rows(corrected: bool) -> tuple[list[bytes], list[bytes]]:
    rng = random.Random(5)
    salt = rng.randbytes(16)
    roots = ((rng.getrandbits(128) & ~1, rng.getrandbits(128) | 1) for _ in range(1500))
    pairs = [deal(salt, pair, 5, 4, corrected=corrected) for pair in roots]
    return [a.to_bytes() for a, _ in pairs], [b.to_bytes() for _, b in pairs]


@pytest.mark.parametrize("point", [0, 299, 511])
def test_one_key_alone_is_uniform(point: int) -> None:
    for keys in DpfKeys.deal(SEED, np.full(3000, point, dtype=np.int64), 9):
        assert worst(parts(keys)[1]) < FAR_OUT


def test_shares_are_uniform() -> None:
    """Also of the most telling table, the indicator: its lowest bytes would show an uncorrected leaf."""
    x = np.full(3000, 77, dtype=np.int64)
    table = np.zeros((1, 128), dtype=np.int64)
    table[0, 0] = 1
    for keys in DpfKeys.deal(SEED, x, 7):
        shares = [(v % M).to_bytes(16, "little") for v in keys.look_up(x, table)[0].to_ints()]
        assert worst([b"\0" + s for s in shares]) < FAR_OUT


def test_a_planted_fault_is_seen() -> None:
    """Keys whose words correct nothing: the same test refuses them, and passes the reference's good ones."""
    for good, bad in zip(planted_rows(True), planted_rows(False), strict=True):
        # a level's right control bits share a byte with padding: 4 bits leave it far from uniform by construction
        assert worst([row[:64] + row[-32:] for row in good]) < FAR_OUT
        assert worst([row[:64] + row[-32:] for row in bad]) > 10 * FAR_OUT
