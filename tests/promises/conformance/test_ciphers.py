"""One suite over the three ciphers, and Paillier on workers: the same operations give the same integers, and freshness
obeys the same rule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import parts
from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, Identity, Keyring, Paillier, PhePaillier, Scheme
from protocols.cipher.sharded import Sharded
from protocols.errors import InvalidKey, KeyMismatch, PlaintextOverflow, UnfreshCiphertext
from protocols.randomness import Seed
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal

SEAL = Seal(b"s" * 32, b"conformance")
SHARDED = Sharded(512, Cluster(Caller(Inline(3, SEAL), SEAL)))
SCHEMES: list[Scheme] = [Paillier(512), PhePaillier(512), Identity(512), SHARDED]
KEYS = {type(s).__name__: s for s in SCHEMES}
_made: dict[str, DecryptionKey] = {}


@pytest.fixture(autouse=True, scope="module")
def leaves_of_two_rows() -> Iterator[None]:
    """So that vectors of three elements lie at two workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "LEAF", 2)
        yield


@pytest.fixture(params=sorted(KEYS))
def key(request: pytest.FixtureRequest) -> DecryptionKey:
    if request.param not in _made:
        _made[request.param] = KEYS[request.param].generate("arbiter", Seed("arbiter", b"k" * 32))
    return _made[request.param]


def seed(label: str = "r", maker: str = "guest") -> Seed:
    return Seed(maker, label.encode().ljust(32, b"."))


def enc(key: DecryptionKey, values: list[int], label: str = "r") -> CipherVec:
    return key.public.encrypt(PlainVec.from_ints(values), seed(label))


def dec(key: DecryptionKey, vector: CipherVec) -> list[int]:
    return key.open(vector, key.public.plain_bits).to_ints()


small = st.integers(-(2**60), 2**60)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_arithmetic_equals_integers(data: st.DataObject) -> None:
    n, d = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    a, b = (data.draw(st.lists(small, min_size=n, max_size=n)) for _ in range(2))
    w = data.draw(st.lists(small, min_size=d, max_size=d))
    x = np.array(
        data.draw(st.lists(st.integers(-(2**17), 2**17), min_size=n * d, max_size=n * d)), dtype=np.int64
    ).reshape(n, d)
    xs = x.astype(object)
    for name in sorted(KEYS):
        key = _made.setdefault(name, KEYS[name].generate("arbiter", Seed("arbiter", b"k" * 32)))
        ea, eb, ew = enc(key, a), enc(key, b, "s"), enc(key, w, "t")
        assert dec(key, ea + eb) == [i + j for i, j in zip(a, b, strict=True)]
        assert dec(key, ea - eb) == [i - j for i, j in zip(a, b, strict=True)]
        assert dec(key, -ea) == [-i for i in a]
        assert dec(key, ea.add_plain(PlainVec.from_ints(b))) == [i + j for i, j in zip(a, b, strict=True)]
        assert dec(key, ea.mul_plain(PlainVec.from_ints(b))) == [i * j for i, j in zip(a, b, strict=True)]
        assert dec(key, ea.mul_plain(PlainVec.from_ints([-3]))) == [-3 * i for i in a]
        assert dec(key, ea.sum()) == [sum(a)]
        assert dec(key, ea.take(np.arange(n)[::-1].copy())) == a[::-1]
        assert dec(key, ew.matmul(x)) == list(xs @ np.array(w, dtype=object))
        assert dec(key, ea.t_matmul(x)) == list(xs.T @ np.array(a, dtype=object))
        packed = ea.pack(64, 3)
        assert len(packed) == -(-n // 3)
        assert key.open(packed, key.public.plain_bits).unpack(64, 3, n).to_ints() == a
        assert dec(key, ea.rerandomise(seed("u"))) == a
        ring = Keyring()
        ring.add(key.public)
        sent = ea.rerandomise(seed("v"))
        assert dec(key, CipherVec.receive(key.public.fingerprint + sent.release(["host"], "test"), ring, "guest")) == a


def test_paillier_and_phe_open_each_other() -> None:
    ours, theirs = (KEYS[name].generate("arbiter", seed()) for name in ("Paillier", "PhePaillier"))
    assert ours.public.fingerprint == theirs.public.fingerprint
    for maker, opener in ((ours, theirs), (theirs, ours)):
        ring = Keyring()
        ring.add(opener.public)
        data = maker.public.fingerprint + enc(maker, [7, -8, 2**70]).release(["host"], "test")
        assert dec(opener, CipherVec.receive(data, ring, "guest")) == [7, -8, 2**70]


def refused(vector: CipherVec, *receivers: str) -> bool:
    try:
        vector.release(receivers, "test")
    except UnfreshCiphertext as error:
        return error.party in receivers
    return False


def test_what_is_fresh_and_to_whom(key: DecryptionKey) -> None:
    assert not refused(enc(key, [1]), "host")
    assert refused(enc(key, [1]), "guest")  # its own maker
    assert refused(enc(key, [1]), "arbiter")  # the holder of the key wants a longer exponent
    assert not refused(enc(key, [1]).rerandomise(seed("x")), "arbiter")
    assert refused(enc(key, [1]), "host", "guest")  # a broadcast needs freshness to each
    for raw in (
        enc(key, [1, 2]).sum(),
        enc(key, [1]).mul_plain(PlainVec.from_ints([3])),
        enc(key, [1]).matmul(np.array([[2], [3]])),
        enc(key, [1, 2]).t_matmul(np.array([[2], [3]])),
        enc(key, [1, 2]).pack(64, 2),
        enc(key, [1, 2]).take(np.array([0, 0])),
        enc(key, [1, 2]).take(np.array([1, 0])),  # the choice shows in symbols of a peer's ciphertexts
        enc(key, [1]) + enc(key, [2], "other").mul_plain(PlainVec.from_ints([5])),  # so does the factor 5
    ):
        assert refused(raw, "host")
        assert not refused(raw.rerandomise(seed("y")), "host")
    for still in (
        enc(key, [1]).add_plain(PlainVec.from_ints([3])),
        -enc(key, [1]),
        enc(key, [1]) - enc(key, [2], "other"),
    ):
        assert not refused(still, "host")


def test_a_factor_is_spent_once(key: DecryptionKey) -> None:
    vector = enc(key, [1])
    moved = vector.add_plain(PlainVec.from_ints([2]))
    assert refused(vector, "host")
    assert not refused(moved, "host", "other")
    assert refused(moved, "host")
    doubled = enc(key, [1])
    assert refused(doubled + doubled, "host")
    a = enc(key, [1])
    b = CipherVec(a.key, a.raw, a._factors)  # a second handle on the same factor
    assert refused(a + b, "host")


def test_what_was_received_cannot_go_back(key: DecryptionKey) -> None:
    ring = Keyring()
    ring.add(key.public)
    data = key.public.fingerprint + enc(key, [1]).release(["host"], "test")
    assert refused(CipherVec.receive(data, ring, "guest"), "guest")
    assert not refused(CipherVec.receive(data, ring, "guest"), "other")


def test_opening_checks_the_promised_range(key: DecryptionKey) -> None:
    assert key.open(enc(key, [2**40 - 1]), 40).to_ints() == [2**40 - 1]
    with pytest.raises(PlaintextOverflow):
        key.open(enc(key, [2**40]), 40)


def test_keys_do_not_mix() -> None:
    a, b = (Paillier(512).generate("arbiter", seed(label)) for label in ("one", "two"))
    with pytest.raises(KeyMismatch):
        enc(a, [1]) + enc(b, [1])


def test_a_peers_key_needs_its_proof() -> None:
    key = Paillier(512).generate("arbiter", seed())
    n, proof = key.public.raw.n, key.prove()
    assert Paillier(512).accept(n, proof, "arbiter").fingerprint == key.public.fingerprint
    other = Paillier(512).generate("arbiter", seed("other"))
    for bad_n, bad_proof in (
        (n, other.prove()),
        (n, proof[:-1]),
        (n, b""),
        (n, bytes(len(proof))),
        (n + 2, proof),
        (n * 3, proof),
        (15, proof),
    ):
        with pytest.raises(InvalidKey):
            Paillier(512).accept(bad_n, bad_proof, "arbiter")
    with pytest.raises(InvalidKey):
        Paillier(1024).accept(n, proof, "arbiter")


def test_a_uniform_mask_hides_a_plaintext_of_any_size(key: DecryptionKey) -> None:
    """Of a number beyond the head-room too, where masks that exceed what they hide would show it; what is opened fits
    into no head-room."""
    n = key.public.raw.n if key.public.raw.n > 1 else 1 << key.public.raw.bits
    mask = key.public.uniform(seed("mask"), 300)
    assert all(-n // 2 <= m <= n // 2 for m in mask.to_ints())
    low, high = sum(m < -n // 4 for m in mask.to_ints()), sum(m > n // 4 for m in mask.to_ints())
    assert min(low, high) > 40  # 75 each, on average
    if key.public.raw.n > 1:
        huge = PlainVec.from_ints([(1 << (key.public.raw.bits - 3)) - 7 * k for k in range(3)])
        hidden = key.public.encrypt(huge, seed()).add_plain(mask.take(np.arange(3)))
        opened = key.open_whole(hidden).to_ints()
        assert [(o - m - h) % n for o, m, h in zip(opened, mask.to_ints(), huge.to_ints(), strict=False)] == [0] * 3


def test_only_the_whole_opening_gives_what_is_beyond_the_head_room(key: DecryptionKey) -> None:
    beyond = enc(key, [1 << (key.public.plain_bits + 20)])
    assert key.open_whole(beyond).to_ints() == [1 << (key.public.plain_bits + 20)]
    with pytest.raises(PlaintextOverflow):
        dec(key, beyond)
