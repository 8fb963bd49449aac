"""The Rust core: Paillier vectors, plain integer vectors, ristretto255 points.  Raw: `protocols.cipher` and `protocols.ristretto` wrap it.

Every operation on a vector runs on all cores of its key's pool with the GIL released.  Secret randomness always comes in as a 32-byte seed
(expanded with ChaCha20, one stream an element), so that the caller decides where randomness is made.
Bad arguments raise ValueError (shape, width, range), bytes that are no valid object raise InvalidBytes, a plaintext beyond the head-room raises Overflow.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

class InvalidBytes(ValueError): ...
class Interrupted(RuntimeError): ...
class Overflow(ArithmeticError): ...

def interrupt(on: bool) -> None:
    """Whether computations end early from now on, in all threads of this process: they raise Interrupted."""

def backend() -> str:
    """The arithmetic in use by default: "ifma" where the CPU has AVX-512 IFMA, "avx2" where it has AVX2 and FMA, else "serial";
    VFL_NATIVE_BACKEND overrides."""

@final
class PlainVec:
    """Signed integers of any size: one row of little-endian two's complement 64-bit limbs each (same number of limbs for all)."""

    @staticmethod
    def from_i64(values: NDArray[np.int64]) -> PlainVec: ...
    @staticmethod
    def from_ints(values: list[int]) -> PlainVec: ...
    @staticmethod
    def zeros(length: int) -> PlainVec: ...
    @staticmethod
    def random(seed: bytes, length: int, bits: int) -> PlainVec:
        """`length` integers uniform in [-2^(bits-1), 2^(bits-1))."""
    @staticmethod
    def from_bytes(data: bytes) -> PlainVec: ...
    def to_bytes(self) -> bytes:
        """Canonical: equal vectors have equal bytes (smallest number of limbs that holds every element)."""
    def to_ints(self) -> list[int]: ...
    def to_i64(self) -> NDArray[np.int64]:
        """Raises Overflow where an element does not fit."""
    def __len__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
    def __add__(self, other: PlainVec) -> PlainVec: ...
    def __sub__(self, other: PlainVec) -> PlainVec: ...
    def __neg__(self) -> PlainVec: ...
    def add_mod_2_128(self, other: PlainVec) -> PlainVec:
        """Elementwise sum modulo 2^128, as signed 128-bit integers."""
    def sub_mod_2_128(self, other: PlainVec) -> PlainVec:
        """Elementwise difference modulo 2^128, as signed 128-bit integers."""
    def mul_mod_2_128(self, other: PlainVec) -> PlainVec:
        """Elementwise product modulo 2^128, as signed 128-bit integers."""
    def matmul_mod_2_128(self, other: PlainVec, shape: tuple[int, int, int], turned: tuple[bool, bool]) -> PlainVec:
        """self @ other modulo 2^128, of matrices row after row; shape (rows, inner, columns): self is (rows, inner), or (inner, rows) where it is turned, other (inner, columns) or (columns, inner)."""
    def mod_2_128(self) -> PlainVec:
        """Each element modulo 2^128, as a signed 128-bit integer."""
    def scale(self, factor: int) -> PlainVec:
        """Times one signed integer of any size."""
    def shift_right(self, bits: int) -> PlainVec:
        """Floor division by 2^bits."""
    def shift_left(self, bits: int) -> PlainVec: ...
    def take(self, rows: NDArray[np.int64]) -> PlainVec: ...
    def slice(self, first: int, last: int) -> PlainVec:
        """Elements first to last, the latter left out."""
    def concat(self, other: PlainVec) -> PlainVec: ...
    @staticmethod
    def join(parts: Sequence[PlainVec]) -> PlainVec:
        """One after the other."""
    def sum(self) -> PlainVec: ...
    def max_bits(self) -> int:
        """Bit length of the largest magnitude."""
    def matmul(self, matrix: NDArray[np.int64]) -> PlainVec:
        """matrix @ self; matrix (rows, len(self)) C-contiguous."""
    def t_matmul(self, matrix: NDArray[np.int64]) -> PlainVec:
        """matrix.T @ self; matrix (len(self), columns)."""
    def residue(self, bits: int) -> PlainVec:
        """Each element modulo 2^bits, in [-2^(bits-1), 2^(bits-1))."""
    def stack(self, width: int, slots: int) -> PlainVec:
        """`slots` vectors one after the other: out[i] = sum over j of vector j's element i * 2^(width*j), modulo 2^(width*slots) and centred."""
    def histogram(self, bins: NDArray[np.int64], n_bins: int) -> PlainVec:
        """bins (rows, features) in [0, n_bins); returns (features * n_bins,) sums, feature-major."""
    def pack(self, width: int, slots: int) -> PlainVec:
        """ceil(len/slots) integers: sum over j of element[i*slots + j] * 2^(width*j).  Signed slots: a carry borrows from the next and `unpack` undoes it.  Overflow if |element| >= 2^(width-1)."""
    def unpack(self, width: int, slots: int, length: int) -> PlainVec: ...

def look_up_products(first: PlainVec, second: PlainVec, theirs: PlainVec, rows: int, curves: int) -> PlainVec:
    """The first party's shares of a look-up's dealt products, from both parties' factors and the second party's shares (protocols/look_up.py)."""

def look_up_cells(share: PlainVec, cell: int, bits: int, drop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each share of a number: its cell of 2^cell units modulo 2^bits, and the rest in units of 2^drop."""

def look_up_masked(t: PlainVec, found: Sequence[PlainVec], factors: PlainVec) -> tuple[PlainVec, PlainVec]:
    """t - b, and each curve's coefficients less their pads; found: four vectors for each curve."""

def look_up_values(
    first: bool,
    rest: PlainVec,
    masked: PlainVec,
    factors: PlainVec,
    products: PlainVec,
    constants: Sequence[PlainVec],
    unit: int,
    cut: int,
) -> list[PlainVec]:
    """One party's shares of each curve's values; rest, masked: both parties' together; constants: of each curve; cut: bits that all lose."""

@final
class PublicKey:
    """n of a Paillier key with g = 1 + n and DJN randomness h_s = (-x^2)^n, x by hashing n (so that every party derives the same)."""

    def __init__(self, n: int, *, backend: str | None = None, threads: int | None = None) -> None:
        """Raises InvalidBytes if n is even, a prime, a perfect power, has a factor below 2^16, is not n = 1 mod 4 with the top bit of its byte-size set, or is wider than 8192 bits."""
    @property
    def n(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of n's big-endian bytes."""
    @property
    def backend(self) -> str: ...
    @property
    def products(self) -> int:
        """Products modulo n^2 computed under this key so far (one modulo p^2 or q^2 counts as one quarter); exact, noise-free.  A squaring counts as a product."""
    def verify(self, proof: bytes) -> bool:
        """Exactly two primes, both 3 modulo 4, gcd(n, phi(n)) = 1 and gcd(p - 1, q - 1) = 2, as the holder proves (non-interactive): see paillier/proof.rs of the core."""
    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        """first: the number of the first element's stream; the parts of a longer draw, each with its own, are together the bytes of the whole."""
    def lift(self, plain: PlainVec) -> CipherVec:
        """(1 + n)^m, no randomness: readable by anyone."""
    def ciphers_from_bytes(self, data: bytes, start: int = 0, stop: int | None = None) -> CipherVec:
        """The ciphertexts in data[start:stop], which is not copied.  Validates every element: 0 < c < n^2 and gcd(c, n) = 1 (batched).  Raises InvalidBytes."""

@final
class PrivateKey:
    """p and q; zeroised on drop.  No repr of its contents, no pickling."""

    @staticmethod
    def generate(bits: int, seed: bytes, *, backend: str | None = None, threads: int | None = None) -> PrivateKey:
        """p, q of bits/2 each, p = q = 3 mod 4, gcd(n, phi) = 1; deterministic in the 32-byte seed.  Any multiple of 16 from 64 to 8192 (the caller enforces policy)."""
    @staticmethod
    def from_bytes(data: bytes, *, backend: str | None = None, threads: int | None = None) -> PrivateKey: ...
    def to_bytes(self) -> bytes: ...
    @property
    def public_key(self) -> PublicKey: ...
    def prove(self) -> bytes: ...
    def encrypt(self, plain: PlainVec, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        """The same ciphertexts as public_key.encrypt(plain, seed, exponent_bits, first), faster (CRT)."""
    def decrypt(self, ciphers: CipherVec, whole: bool = False) -> PlainVec:
        """Centred: (-n/2, n/2).  Constant-time CRT in the exponent, blinded, recombination verified.  Raises Overflow if |m| > 2^(bits - 41) (head-room of 40 bits) unless `whole`, RuntimeError where a fault made the computation contradict itself."""

@final
class CipherVec:
    """(length,) ciphertexts under one key, kept in Montgomery form in one buffer.  Whether they may leave is decided above (protocols.cipher)."""

    @property
    def public_key(self) -> PublicKey: ...
    def __len__(self) -> int: ...
    def to_bytes(self) -> bytes:
        """length x (2*bits/8) bytes, little-endian."""
    def hashes(self, each: int) -> bytes:
        """SHA-256 of the bytes of every `each` ciphertexts, 32 bytes each."""
    def residues(self) -> list[int]:
        """c mod n: what is left of a ciphertext without its plaintext (for audits)."""
    def __add__(self, other: CipherVec) -> CipherVec: ...
    def __sub__(self, other: CipherVec) -> CipherVec: ...
    def __neg__(self) -> CipherVec:
        """One batched inversion for the whole vector."""
    def add_plain(self, plain: PlainVec) -> CipherVec: ...
    def mul_plain(self, plain: PlainVec) -> CipherVec:
        """Elementwise; signed scalars without an inversion an element; a plain of length 1 is broadcast."""
    def sum(self) -> CipherVec: ...
    def take(self, rows: NDArray[np.int64]) -> CipherVec: ...
    def concat(self, other: CipherVec) -> CipherVec: ...
    def matmul(self, matrix: NDArray[np.int64]) -> CipherVec:
        """matrix @ self, (rows, d) x (d,) -> (rows,): few bases, many results: tables of windows that bases share (Straus)."""
    def t_matmul(self, matrix: NDArray[np.int64]) -> CipherVec:
        """matrix.T @ self, (rows, d) x (rows,) -> (d,): many bases, few results: signed buckets (Pippenger)."""
    def pack(self, width: int, slots: int) -> CipherVec:
        """Shift-and-add, as PlainVec.pack."""
    def rerandomise(self, seed: bytes, exponent_bits: int, first: int = 0) -> CipherVec:
        """first: as of PublicKey.encrypt."""
    def histogram(self, bins: NDArray[np.int64], n_bins: int) -> CipherVec:
        """bins (rows, features) in [0, n_bins), -1 skips; returns (features * n_bins,) sums, feature-major."""

@final
class PointVec:
    """(length,) ristretto255 points (RFC 9496), canonical 32-byte encodings at the border."""

    @staticmethod
    def hash_to_group(items: list[bytes], domain: bytes) -> PointVec:
        """RFC 9380 expand_message_xmd(SHA-512) to 64 bytes, then the ristretto255 map (ristretto255_XMD:SHA-512_R255MAP_RO_)."""
    @staticmethod
    def from_bytes(data: bytes) -> PointVec:
        """Raises InvalidBytes at a non-canonical encoding, a point off the group or the identity."""
    def to_bytes(self) -> bytes: ...
    def __len__(self) -> int: ...
    def mul(self, scalar: bytes) -> PointVec:
        """Every point times one scalar (32 bytes little-endian, canonical, non-zero)."""
    def tags(self) -> bytes:
        """16 bytes a point: the first half of SHA-512 of its encoding under a fixed domain."""
    def take(self, rows: NDArray[np.int64]) -> PointVec: ...

@final
class DpfKeys:
    """(length,) keys of one of two parties for point functions on tables of 2^bits entries (Boyle, Gilboa, Ishai, CCS 2016), leaves in Z_2^128.

    A key alone says nothing about its point.  Zeroised on drop; no repr of its contents, no pickling.
    """

    @staticmethod
    def deal(seed: bytes, points: NDArray[np.int64], bits: int) -> tuple[DpfKeys, DpfKeys]:
        """Keys of party 0 and 1 of the functions that are 1 at points[i], in [0, 2^bits), 1 <= bits <= 20.  Deterministic in the 32-byte seed,
        which must deal once: keys of two points under one seed tell their holder where the points differ."""
    @staticmethod
    def from_bytes(data: bytes) -> DpfKeys:
        """Raises InvalidBytes at whatever `to_bytes` cannot have written."""
    def to_bytes(self) -> bytes:
        """26 bytes, then 16 * (bits + 2) + ceil((bits - 1) / 8) a row: 242 for 13 bits."""
    def __len__(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def party(self) -> int:
        """0 or 1."""
    def take(self, start: int, stop: int) -> DpfKeys: ...
    def look_up(self, x: NDArray[np.int64], tables: NDArray[np.int64]) -> list[PlainVec]:
        """For each of the (t, 2^bits) tables T and every row this party's share of T[(x[i] - point[i]) mod 2^bits]: a signed 128-bit integer.

        One evaluation a row serves all tables.  The shares of both parties add up to the value v modulo 2^128, hence as integers except with
        probability (|v| + 1) / 2^128.  x (length,) in [0, 2^bits), known to both.
        """
    def look_up_sums(self, x: NDArray[np.int64], tables: NDArray[np.int64]) -> PlainVec:
        """(t,) the same, summed over the rows modulo 2^128: for what is opened as a sum only."""

class DpfTables:
    """(t, 2^bits) tables of 64-bit integers, laid out once for the look-ups of many keys: 32 bytes per entry, 16 where a table spans less
    than 2^52.  No repr of its contents, no pickling."""

    def __init__(self, tables: NDArray[np.int64]) -> None: ...
    def __len__(self) -> int: ...
    def look_up(self, keys: DpfKeys, x: NDArray[np.int64]) -> list[PlainVec]:
        """As `keys.look_up(x, tables)`; one row over 2^16 entries takes a sixth of its time."""

class DpfRecords:
    """2^bits records of whole 64-bit words, for look-ups of many keys by exclusive or.  No repr of its contents, no pickling."""

    def __init__(self, words: NDArray[np.uint64], bits: int) -> None:
        """words (2^bits * words of a record,): record after record."""
    def __len__(self) -> int: ...
    def look_up(self, keys: DpfKeys) -> NDArray[np.uint64]:
        """(rows * words,) for every key this party's share of the record at its point: the exclusive or of both parties' shares is the record.

        Reads all records, in a time that does not depend on the keys.
        """

def random_scalar(seed: bytes) -> bytes:
    """A uniform non-zero scalar from a 32-byte seed (64 bytes of ChaCha20 reduced)."""
