"""The Paillier core against Python's integers and against python-paillier, on every backend that this machine runs."""

import hashlib
import random

import numpy as np
import phe
import pytest
from phe.paillier import EncryptedNumber, PaillierPrivateKey, PaillierPublicKey

from protocols import _native
from protocols._native import CipherVec, InvalidBytes, Overflow, PlainVec, PrivateKey, PublicKey

SEED = bytes(range(32))
OTHER = bytes(range(1, 33))


def backends() -> list[str]:
    found = []
    for name in ("serial", "avx2", "ifma"):
        try:
            PrivateKey.generate(64, SEED, backend=name)
        except ValueError:
            continue
        found.append(name)
    return found


BACKENDS = backends()


@pytest.fixture(scope="module", params=BACKENDS)
def key(request: pytest.FixtureRequest) -> PrivateKey:
    return PrivateKey.generate(512, SEED, backend=request.param)


def ints(ciphers: CipherVec) -> list[int]:
    data, size = ciphers.to_bytes(), ciphers.public_key.bits // 4
    assert len(data) == size * len(ciphers)
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def primes(key: PrivateKey) -> tuple[int, int]:
    data = key.to_bytes()
    half = len(data) // 2
    return int.from_bytes(data[:half], "little"), int.from_bytes(data[half:], "little")


def open_by_hand(key: PrivateKey, ciphers: CipherVec) -> list[int]:
    """Textbook decryption with Python's pow."""
    p, q = primes(key)
    n = p * q
    phi = (p - 1) * (q - 1)
    out = [(pow(c, phi, n * n) - 1) // n * pow(phi, -1, n) % n for c in ints(ciphers)]
    return [m - n if m > n // 2 else m for m in out]


def values(count: int, bits: int = 100) -> list[int]:
    rng = random.Random(count)
    edges = [0, 1, -1, 2**bits - 1, -(2**bits) + 1]
    return [*edges, *(rng.randrange(-(2**bits), 2**bits) for _ in range(count))]


def encrypt(key: PrivateKey, plain: list[int]) -> CipherVec:
    return key.public_key.encrypt(PlainVec.from_ints(plain), SEED, key.public_key.bits // 2)


def test_the_default_backend_is_one_of_them() -> None:
    assert _native.backend() in BACKENDS


@pytest.mark.parametrize("bits", [64, 128, 192, 256, 320, 512, 768, 1024])
@pytest.mark.parametrize("backend", BACKENDS)
def test_keys_of_every_size(bits: int, backend: str) -> None:
    key = PrivateKey.generate(bits, SEED, backend=backend)
    p, q = primes(key)
    public = key.public_key
    assert public.n == p * q
    assert public.bits == public.n.bit_length() == bits
    assert p % 4 == q % 4 == 3
    assert p != q
    assert public.verify(key.prove())
    assert PrivateKey.generate(bits, SEED, backend="serial").to_bytes() == key.to_bytes()
    assert PrivateKey.generate(bits, OTHER, backend=backend).to_bytes() != key.to_bytes()
    assert PrivateKey.from_bytes(key.to_bytes(), backend=backend).public_key.n == public.n
    room = bits - 42
    plain = [0, 1, -1, 2**room, -(2**room)]
    assert key.decrypt(encrypt(key, plain)).to_ints() == plain
    assert open_by_hand(key, encrypt(key, plain)) == plain


def test_backends_agree_to_the_byte() -> None:
    plain = PlainVec.from_ints(values(30))
    keys = [PrivateKey.generate(1024, SEED, backend=b) for b in BACKENDS]
    results = []
    for key in keys:
        c = key.public_key.encrypt(plain, SEED, 512)
        matrix = np.arange(-70, 70, dtype=np.int64).reshape(4, 35)
        results.append([x.to_bytes() for x in (c, c + c, -c, c.mul_plain(plain), c.sum(), c.matmul(matrix), c.pack(200, 4))])
    assert all(r == results[0] for r in results)


def test_encryption_is_what_the_paper_says(key: PrivateKey) -> None:
    """c = (1 + m n) h_s^alpha modulo n^2: the factor is the same for every plaintext and never repeats."""
    n = key.public_key.n
    square = n * n
    zero, five = ints(encrypt(key, [0] * 9)), ints(encrypt(key, [5] * 9))
    assert all(b == a * (1 + 5 * n) % square for a, b in zip(zero, five, strict=True))
    assert len(set(zero)) == 9
    assert ints(key.public_key.lift(PlainVec.from_ints([0, 1, -1, 77]))) == [1, 1 + n, square + 1 - n, 1 + 77 * n]
    # h_s is an n-th residue: of order dividing phi(n)
    p, q = primes(key)
    assert all(pow(c, (p - 1) * (q - 1), square) == 1 for c in zero)


@pytest.mark.parametrize("exponent_bits", [1, 2, 63, 64, 65, 256, 640])
def test_the_key_holder_encrypts_to_the_same_bytes(key: PrivateKey, exponent_bits: int) -> None:
    plain = PlainVec.from_ints(values(20))
    public = key.public_key.encrypt(plain, SEED, exponent_bits)
    assert key.encrypt(plain, SEED, exponent_bits).to_bytes() == public.to_bytes()
    assert key.public_key.encrypt(plain, OTHER, exponent_bits).to_bytes() != public.to_bytes()


def test_parts_of_a_draw_are_the_bytes_of_the_whole(key: PrivateKey) -> None:
    """Each with the number of its first element; with another number nothing is equal."""
    plain, size = PlainVec.from_ints(list(range(-20, 21))), 128
    whole = key.public_key.encrypt(plain, SEED, 256).to_bytes()
    fresh = key.public_key.lift(plain).rerandomise(SEED, 256).to_bytes()
    for first, last in ((0, 7), (7, 8), (8, 41), (41, 41)):
        part, due = plain.slice(first, last), slice(first * size, last * size)
        for maker in (key, key.public_key):
            assert maker.encrypt(part, SEED, 256, first).to_bytes() == whole[due]
            assert first == last or maker.encrypt(part, SEED, 256, first + 1).to_bytes() != whole[due]
        assert key.public_key.lift(part).rerandomise(SEED, 256, first).to_bytes() == fresh[due]
    for first in (1 << 48, (1 << 64) - 1):
        with pytest.raises(ValueError):
            key.encrypt(plain, SEED, 256, first)
        with pytest.raises(ValueError):
            key.public_key.lift(plain).rerandomise(SEED, 256, first)


def test_hashes_are_of_the_bytes(key: PrivateKey) -> None:
    vector = key.encrypt(PlainVec.from_ints(list(range(300))), SEED, 256)
    data = vector.to_bytes()
    for each in (1, 7, 299, 300, 1000):
        step = each * 128
        due = [hashlib.sha256(data[i : i + step]).digest() for i in range(0, len(data), step)]
        assert vector.hashes(each) == b"".join(due)
    assert vector.take(np.arange(0)).hashes(4) == b""
    with pytest.raises(ValueError):
        vector.hashes(0)


def test_a_table_that_grows_changes_nothing(key: PrivateKey) -> None:
    fresh = PublicKey(key.public_key.n, backend=key.public_key.backend)
    plain = PlainVec.from_ints([3] * 400)
    few = fresh.encrypt(plain.take(np.arange(2)), SEED, 256).to_bytes()
    many = fresh.encrypt(plain, SEED, 256).to_bytes()
    assert many[: len(few)] == few
    assert fresh.encrypt(plain.take(np.arange(2)), SEED, 256).to_bytes() == few


def test_arithmetic_on_ciphertexts(key: PrivateKey) -> None:
    a, b = values(20), values(20)[::-1]
    x, y = encrypt(key, a), encrypt(key, b)

    def check(ciphers: CipherVec, expected: list[int]) -> None:
        assert key.decrypt(ciphers).to_ints() == expected
        assert open_by_hand(key, ciphers) == expected

    check(x + y, [i + j for i, j in zip(a, b, strict=True)])
    check(x - y, [i - j for i, j in zip(a, b, strict=True)])
    check(-x, [-i for i in a])
    check(x.add_plain(PlainVec.from_ints(b)), [i + j for i, j in zip(a, b, strict=True)])
    check(x.mul_plain(PlainVec.from_ints(b)), [i * j for i, j in zip(a, b, strict=True)])
    check(x.mul_plain(PlainVec.from_ints([-3])), [-3 * i for i in a])
    check(x.sum(), [sum(a)])
    check(x.take(np.array([3, 3, 0])), [a[3], a[3], a[0]])
    check(x.concat(y), a + b)
    check(x.rerandomise(OTHER, 256), a)
    assert not set(ints(x.rerandomise(OTHER, 256))) & set(ints(x))
    assert x.residues() == [c % key.public_key.n for c in ints(x)]
    assert len(x) == len(a)


@pytest.mark.parametrize("bound", [2, 2**7, 2**31, 2**40])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 40), (40, 1), (3, 200), (200, 3), (17, 9)])
def test_matrix_products(key: PrivateKey, rows: int, columns: int, bound: int) -> None:
    rng = np.random.default_rng(rows)
    matrix = rng.integers(-bound, bound, (rows, columns), dtype=np.int64)
    matrix[rng.random((rows, columns)) < 0.2] = 0
    matrix[0, 0] = -bound
    plain = PlainVec.from_ints([int(v) for v in rng.integers(-(2**40), 2**40, columns)])
    ciphers = key.public_key.encrypt(plain, SEED, 64)
    expected = [sum(int(x) * v for x, v in zip(row, plain.to_ints(), strict=True)) for row in matrix]
    assert plain.matmul(matrix).to_ints() == expected
    assert plain.t_matmul(np.ascontiguousarray(matrix.T)).to_ints() == expected
    assert key.decrypt(ciphers.matmul(matrix)).to_ints() == expected
    assert key.decrypt(ciphers.t_matmul(np.ascontiguousarray(matrix.T))).to_ints() == expected


def test_the_widest_matrix_entries(key: PrivateKey) -> None:
    matrix = np.array([[-(2**63), 2**63 - 1], [0, -1], [0, 0]], dtype=np.int64)
    expected = [-(2**63) * 5 - 7 * (2**63 - 1), 7, 0]
    assert key.decrypt(encrypt(key, [5, -7]).matmul(matrix)).to_ints() == expected
    assert PlainVec.from_ints([5, -7]).matmul(matrix).to_ints() == expected


@pytest.mark.parametrize(("rows", "features", "bins"), [(1, 1, 1), (50, 3, 4), (400, 5, 2), (30, 2, 100), (300, 9, 3)])
def test_histogram(key: PrivateKey, rows: int, features: int, bins: int) -> None:
    rng = np.random.default_rng(rows)
    table = rng.integers(-1, bins, (rows, features), dtype=np.int64)
    plain = [int(v) for v in rng.integers(-(2**30), 2**30, rows)]
    ciphers = key.public_key.encrypt(PlainVec.from_ints(plain), SEED, 64)
    expected = [sum(v for v, b in zip(plain, table[:, f], strict=True) if b == k) for f in range(features) for k in range(bins)]
    assert key.decrypt(ciphers.histogram(table, bins)).to_ints() == expected


@pytest.mark.parametrize(("width", "slots"), [(8, 1), (8, 57), (101, 4), (64, 7)])
def test_packing(key: PrivateKey, width: int, slots: int) -> None:
    plain = PlainVec.random(SEED, 3 * slots + 1, width - 1)
    packed = encrypt(key, plain.to_ints()).pack(width, slots)
    assert len(packed) == 4
    opened = key.decrypt(packed)
    assert opened == plain.pack(width, slots)
    assert opened.unpack(width, slots, len(plain)) == plain


def test_empty_vectors(key: PrivateKey) -> None:
    none = encrypt(key, [])
    assert len(none) == 0
    assert none.to_bytes() == b""
    assert len(key.decrypt(none)) == 0
    assert len(-none) == len(none + none) == len(none.take(np.array([], dtype=np.int64))) == 0
    assert key.decrypt(none.sum()).to_ints() == [0]
    assert key.decrypt(none.matmul(np.zeros((2, 0), dtype=np.int64))).to_ints() == [0, 0]
    assert len(key.public_key.ciphers_from_bytes(b"")) == 0


def test_phe_opens_ours_and_ours_opens_its(key: PrivateKey) -> None:
    p, q = primes(key)
    public = PaillierPublicKey(p * q)
    private = PaillierPrivateKey(public, p, q)
    plain = values(10)
    ours = encrypt(key, plain)
    combined = ours.mul_plain(PlainVec.from_ints([-3])) + ours
    for ciphers, expected in ((ours, plain), (combined, [-2 * v for v in plain])):
        opened = [private.raw_decrypt(c) for c in ints(ciphers)]
        assert [m - public.n if m > public.n // 2 else m for m in opened] == expected
    number = EncryptedNumber(public, ints(encrypt(key, [1234]))[0])
    assert private.decrypt(number) == 1234
    theirs = b"".join(public.raw_encrypt(v % public.n).to_bytes(len(ours.to_bytes()) // len(ours), "little") for v in plain)
    taken = key.public_key.ciphers_from_bytes(theirs)
    assert taken.to_bytes() == theirs
    assert key.decrypt(taken).to_ints() == plain
    assert phe.__version__


def test_invalid_ciphertexts_are_refused(key: PrivateKey) -> None:
    public = key.public_key
    n, (p, q) = public.n, primes(key)
    size = public.bits // 4
    good = ints(encrypt(key, [1, 2, 3]))
    public.ciphers_from_bytes(b"".join(c.to_bytes(size, "little") for c in good))
    for bad in (0, n, n * n, p, 7 * p, q, n * n - p, n * n + 1, 2 ** (8 * size) - 1, n * (n - 1)):
        for at in range(3):
            vector = [*good[:at], bad, *good[at:]]
            with pytest.raises(InvalidBytes):
                public.ciphers_from_bytes(b"".join(c.to_bytes(size, "little") for c in vector))
    with pytest.raises(InvalidBytes):
        public.ciphers_from_bytes(b"\x01" * (size - 1))


def test_invalid_keys_are_refused() -> None:
    p = (1 << 127) - 1
    q = 2**89 - 1
    good = PrivateKey.generate(256, SEED).public_key.n
    assert PublicKey(good).n == good
    bad = [0, 1, -5, 2, good + 1, 3 * good, 2**255 - 19, p * p, p**3, q * q * q, 65521 * good, good * 2**8, good >> 1, good << 100_000]
    for n in bad:
        with pytest.raises(InvalidBytes):
            PublicKey(n)
    # 3 mod 4, though a product of two primes
    three = p * (2**61 - 1) * 2**0
    if three % 4 == 3:
        with pytest.raises(InvalidBytes):
            PublicKey(three)
    for data in (b"", b"\x01" * 8, bytes(32), b"\xff" * 31, b"\xff" * 64):
        with pytest.raises(InvalidBytes):
            PrivateKey.from_bytes(data)
    key = PrivateKey.generate(256, SEED).to_bytes()
    with pytest.raises(InvalidBytes):
        PrivateKey.from_bytes(key[:16] * 2)
    with pytest.raises(InvalidBytes):
        PrivateKey.from_bytes(bytes([key[0] ^ 4]) + key[1:])


def test_proofs_of_a_well_formed_modulus(key: PrivateKey) -> None:
    proof = key.prove()
    assert key.public_key.verify(proof)
    assert not key.public_key.verify(proof[:-1])
    assert not key.public_key.verify(bytes(len(proof)))
    assert not key.public_key.verify(b"\xff" * len(proof))
    for at in (0, len(proof) // 2, len(proof) - 1):
        assert not key.public_key.verify(proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :])
    assert not PrivateKey.generate(512, OTHER).public_key.verify(proof)


def test_head_room_and_ranges(key: PrivateKey) -> None:
    bits = key.public_key.bits
    edge = 2 ** (bits - 42)
    assert key.decrypt(encrypt(key, [edge, -edge])).to_ints() == [edge, -edge]
    with pytest.raises(Overflow):
        key.decrypt(encrypt(key, [1, 2 * edge]))
    with pytest.raises(Overflow):
        encrypt(key, [2**bits])
    one = encrypt(key, [1])
    with pytest.raises(Overflow):
        one.add_plain(PlainVec.from_ints([2**bits]))
    n = key.public_key.n
    assert key.decrypt(one.add_plain(PlainVec.from_ints([n // 2])).add_plain(PlainVec.from_ints([-(n // 2)]))).to_ints() == [1]


def test_misuse_is_a_value_error(key: PrivateKey) -> None:
    x = encrypt(key, [1, 2, 3])
    other = encrypt(PrivateKey.generate(512, OTHER), [1, 2, 3])
    table = np.zeros((3, 2), dtype=np.int64)
    calls = [
        lambda: x + other,
        lambda: x - other,
        lambda: x.concat(other),
        lambda: key.decrypt(other),
        lambda: x + x.sum(),
        lambda: x.take(np.array([3])),
        lambda: x.take(np.array([-1])),
        lambda: x.mul_plain(PlainVec.zeros(2)),
        lambda: x.add_plain(PlainVec.zeros(2)),
        lambda: x.matmul(table),
        lambda: x.t_matmul(np.zeros((2, 3), dtype=np.int64)),
        lambda: x.histogram(table, 0),
        lambda: x.histogram(table + 5, 5),
        lambda: x.histogram(table - 2, 5),
        lambda: x.histogram(table[:2], 5),
        lambda: x.pack(600, 1),
        lambda: x.pack(1, 2),
        lambda: x.pack(8, 0),
        lambda: x.rerandomise(b"short", 256),
        lambda: x.rerandomise(SEED, 0),
        lambda: PrivateKey.generate(62, SEED),
        lambda: PrivateKey.generate(100, SEED),
        lambda: PrivateKey.generate(128, SEED, backend="gpu"),
        lambda: PrivateKey.generate(128, SEED, threads=0),
    ]
    for call in calls:
        with pytest.raises(ValueError):
            call()


def test_a_private_key_does_not_talk(key: PrivateKey) -> None:
    import pickle

    p, _ = primes(key)
    assert str(p) not in repr(key) + str(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_products_are_counted_exactly() -> None:
    counts = set()
    for threads in (1, 2, 3):
        key = PrivateKey.generate(256, SEED, threads=threads)
        public = key.public_key
        c = encrypt(key, list(range(100)))
        before = public.products
        table = np.arange(100, dtype=np.int64).reshape(100, 1) % 5
        assert (c + c).public_key.products == before + 100
        c.sum()
        assert public.products == before + 100 + 99
        c.histogram(table, 5)
        assert public.products == before + 100 + 99 + 95
        counts.add(public.products - before)
    assert len(counts) == 1


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2048, 3072])
@pytest.mark.parametrize("backend", BACKENDS)
def test_full_size_keys(bits: int, backend: str) -> None:
    key = PrivateKey.generate(bits, SEED, backend=backend)
    plain = values(20, bits - 50)
    c = encrypt(key, plain)
    assert key.encrypt(PlainVec.from_ints(plain), SEED, bits // 2).to_bytes() == c.to_bytes()
    assert key.decrypt(c).to_ints() == plain
    assert open_by_hand(key, c.take(np.arange(3))) == plain[:3]
    assert PublicKey(key.public_key.n, backend=backend).verify(key.prove())
