"""Vectors at workers: the bytes of a vector in one process, whatever the workers, and whatever happens to them."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from protocols import parts
from protocols._native import InvalidBytes, PlainVec
from protocols.cipher import CipherVec, DecryptionKey, Keyring, Paillier, operations, sharded_vector
from protocols.cipher.sharded import Sharded
from protocols.cipher.sharded_vector import Drawn, Portion, assemble
from protocols.errors import ComputeError, InvalidCiphertext, LocalProtocolError, PlaintextOverflow
from protocols.randomness import Seed
from protocols.workers import cluster as clusters
from protocols.workers.calls import Job
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal, Sealed

SEAL = Seal(b"s" * 32, b"a run")
ROWS = 23
RNG = np.random.default_rng(0)
X = RNG.integers(-(2**17), 2**17, (ROWS, 3))
BINS = RNG.integers(-1, 4, (ROWS, 2))
VALUES = [int(v) for v in RNG.integers(-(2**40), 2**40, ROWS)]


@pytest.fixture(autouse=True)
def small_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LEAF", 2)


class Workers(Inline):
    """Workers of which one may be replaced before a job, and that keep what crosses."""

    def __init__(self, count: int) -> None:
        super().__init__(count, SEAL)
        self.jobs: list[Job] = []
        self.crossed: list[bytes] = []
        self.lose: Callable[[Job, int], bool] = lambda job, number: False
        self.lose_within = self.lose

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        answers = []
        for job in jobs:
            self.jobs.append(job)
            if self.lose(job, len(self.jobs)):
                self.replace(job.worker)
            answers += super().call([job])
            if self.lose_within(job, len(self.jobs)):  # its answer is lost too
                self.replace(job.worker)
                answers[-1:] = super().call([job])
            self.crossed += [*job.arguments, *answers[-1]]
        return answers

    def held(self) -> int:
        return sum(len(state._held) for state in self._states)


def sharded(count: int) -> tuple[DecryptionKey, Workers]:
    workers = Workers(count)
    return Sharded(512, Cluster(Caller(workers, SEAL))).generate("arbiter", seed("key")), workers


def seed(label: str) -> Seed:
    return Seed("guest", label.encode().ljust(32, b"."))


def plain(values: Sequence[int]) -> PlainVec:
    return PlainVec.from_ints(list(values))


def steps(key: DecryptionKey, *, holder: bool = False) -> Iterator[tuple[str, CipherVec]]:
    """Every operation, and a name for each result."""
    public = key.public
    a = (key if holder else public).encrypt(plain(VALUES), seed("a"))
    b, w = public.encrypt(plain(VALUES[::-1]), seed("b")), public.encrypt(plain([5, -7, 9]), seed("w"))
    yield from (("encrypt", a), ("sum", a.sum()), ("t_matmul", a.t_matmul(X)), ("matmul", w.matmul(X)))
    yield from (("histogram", a.histogram(BINS, 4)), ("pack", a.pack(64, 3)), ("pack into many", a.pack(64, 2)))
    yield from (("add", a + b), ("subtract", a - b), ("negate", -a), ("add_plain", b.add_plain(plain(VALUES))))
    yield from (("mul_plain", a.mul_plain(plain(VALUES))), ("times one", a.mul_plain(plain([-3]))))
    yield from (("concat", a.concat(w)), ("concat short", w.concat(w)), ("slice", a.take(np.arange(3, 20))))
    yield from (("short slice", a.take(np.arange(5, 7))), ("order", a.take(np.arange(ROWS)[::-1].copy())))
    yield from (("repeated", w.take(np.zeros(9, dtype=np.int64))), ("none", a.take(np.zeros(0, dtype=np.int64))))
    yield "for the holder", a.rerandomise(seed("r"))
    yield "packed for the holder", public.encrypt(plain(VALUES), seed("c")).pack(40, 3).rerandomise(seed("p"))


@pytest.mark.parametrize("count", [1, 2, 3, 50])
@pytest.mark.parametrize("holder", [False, True])
def test_every_operation_gives_the_bytes_of_no_workers(count: int, holder: bool) -> None:
    alone, (key, _) = Paillier(512).generate("arbiter", seed("key")), sharded(count)
    for (name, due), (_, found) in zip(steps(alone, holder=holder), steps(key, holder=holder), strict=True):
        assert found.raw.to_bytes() == due.raw.to_bytes(), name
        assert (found.digest(), len(found)) == (due.digest(), len(due)), name
        assert key.open_whole(found) == alone.open_whole(due), name


def test_what_is_long_lies_at_workers_and_what_is_not_does_not() -> None:
    key, workers = sharded(3)
    long, short = (key.public.encrypt(plain(VALUES[:n]), seed("a")) for n in (5, 2))
    assert [len(long.raw.portions), short.raw.portions] == [3, []]  # type: ignore[attr-defined]
    assert {job.worker for job in workers.jobs} == {0, 1, 2}
    assert parts.portions(5, 3) == [(0, 0, 2), (1, 2, 4), (2, 4, 5)]
    assert parts.portions(3, 3) == [(1, 0, 2), (2, 2, 3)]
    assert parts.portions(0, 3) == []


def test_the_holders_workers_decrypt_and_others_do_not_have_the_key() -> None:
    key, workers = sharded(2)
    assert key.open(key.encrypt(plain(VALUES), seed("a")), 50).to_ints() == VALUES
    assert {job.operation for job in workers.jobs} == {"key", "encrypt", "decrypt"}
    with pytest.raises(PlaintextOverflow):
        key.open(key.encrypt(plain([1 << 480] * 5), seed("a")), 600)
    other, there = Sharded(512, Cluster(Caller(Workers(2), SEAL))), Keyring()
    there.add(other.accept(key.public.raw.n, key.prove(), "arbiter"))
    sent = key.encrypt(plain(VALUES), seed("a")).release(["host"], "test")
    theirs = CipherVec.receive(key.public.fingerprint + sent, there, "arbiter")
    assert {type(p.held.made.values[0].values[0]) for p in theirs.raw.portions} == {int}  # type: ignore[attr-defined]
    assert {p.held.made.values[0].values[0] for p in theirs.raw.portions} == {operations.PUBLIC}  # type: ignore[attr-defined]
    assert key.open(theirs, 50).to_ints() == VALUES


def test_invalid_ciphertexts_are_refused_at_the_worker() -> None:
    key, _ = sharded(2)
    there = Keyring()
    there.add(key.public)
    sent = key.encrypt(plain(VALUES), seed("a")).release(["host"], "test")
    for bad in (sent[:-1], sent[:-128] + bytes(128), sent[:-128] + b"\xff" * 128):
        with pytest.raises(InvalidCiphertext):
            CipherVec.receive(key.public.fingerprint + bad, there, "guest")
    with pytest.raises(InvalidBytes):
        key.public.raw.ciphers_from_bytes(bytes(128 * 9))


def test_rows_in_their_order_stay_where_they_are() -> None:
    """Those of a tree's node: their sums move no ciphertext; a draw and a second vector move some."""
    alone, (key, workers) = Paillier(512).generate("arbiter", seed("key")), sharded(3)
    rows = np.array([0, 3, 4, 7, 8, 9, 15, 22])
    due, whole = (one.public.encrypt(plain(VALUES), seed("a")) for one in (alone, key))
    before = len(workers.jobs)
    node, expected = whole.take(rows), due.take(rows)
    assert node.histogram(BINS[rows], 4).raw.to_bytes() == expected.histogram(BINS[rows], 4).raw.to_bytes()
    assert node.t_matmul(X[rows]).raw.to_bytes() == expected.t_matmul(X[rows]).raw.to_bytes()
    here = {job.operation for job in workers.jobs[before:]}
    assert here <= {"select", "place", "histogram", "t_matmul", "drop"}
    fresh, also = (v.rerandomise(seed("r")) for v in (node, expected))
    assert fresh.raw.to_bytes() == also.raw.to_bytes()
    other = key.public.encrypt(plain(VALUES[:8]), seed("b"))
    assert key.open(node + other, 60).to_ints() == [VALUES[r] + v for r, v in zip(rows, VALUES, strict=False)]
    assert key.open(other - node, 60).to_ints() == [v - VALUES[r] for r, v in zip(rows, VALUES, strict=False)]
    one = whole.take(np.array([20]))
    assert key.open(one + key.public.encrypt(plain([1]), seed("c")), 60).to_ints() == [VALUES[20] + 1]
    for bad in ([-1, 2], [3, 23]):
        with pytest.raises(ValueError):
            whole.take(np.array(bad))


# -- one draw, one factor


def factors(key: DecryptionKey, vector: CipherVec) -> list[int]:
    """What is left of each ciphertext without its plaintext: equal for equal factors."""
    return vector.raw.residues()


def test_no_two_rows_share_a_factor() -> None:
    key, _ = sharded(3)
    fresh = key.public.encrypt(plain([7] * ROWS), seed("a"))
    again = fresh.t_matmul(np.eye(ROWS, dtype=np.int64)).rerandomise(seed("b"))
    for vector in (fresh, again):
        assert len(set(factors(key, vector))) == ROWS


def test_planted_fault_parts_that_begin_in_one_stream_share_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody could then tell differences of plaintexts; that is what the test above would find."""
    honest = operations.CIPHER_OPERATIONS["encrypt"]

    def from_the_start(state, values, ciphers):  # type: ignore[no-untyped-def]
        return honest(state, [*values[:-1], 0], ciphers)

    from protocols.workers import run

    monkeypatch.setitem(run.OPERATIONS, "encrypt", from_the_start)
    key, _ = sharded(3)
    fresh = key.public.encrypt(plain([7, 8] * 9), seed("a"))
    left = factors(key, fresh)
    assert len(set(left)) < len(left)
    n, data = key.public.raw.n, fresh.raw.to_bytes()
    values = [int.from_bytes(data[i : i + 128], "little") for i in range(0, len(data), 128)]
    i, j = next((i, j) for i in range(18) for j in range(i) if left[i] == left[j])
    quotient = values[i] * pow(values[j], -1, n * n) % (n * n)
    assert (quotient - 1) % n == 0  # 1 + (m_i - m_j) n: the attack works, which distinct streams prevent


def test_parts_of_one_draw_stay_fresh_and_of_two_are_refused() -> None:
    key, _ = sharded(3)
    raw = key.public.raw
    one, other = (raw.encrypt(plain(VALUES[:6]), name * 32, 256).portions for name in (b"1", b"2"))  # type: ignore[attr-defined]
    drawn = [Drawn(part, 1, part.first) for part in one]
    assert assemble(raw, drawn).to_bytes() == raw.encrypt(plain(VALUES[:6]), b"1" * 32, 256).to_bytes()  # type: ignore[arg-type]
    twice = Drawn(Portion(one[0].held, 2, 4), 1, 0)  # the streams of the first part again
    for bad in (
        [drawn[0], Drawn(other[1], 2, 2), drawn[2]],
        [drawn[0], twice, drawn[2]],
        [drawn[0], drawn[2]],
        [drawn[1], drawn[0], drawn[2]],
    ):
        with pytest.raises(LocalProtocolError, match="not of one draw"):
            assemble(raw, bad)  # type: ignore[arg-type]


def test_a_seed_gives_other_factors_to_other_inputs() -> None:
    """Also where the same draw is made again for other plaintexts or ciphertexts, with and without workers."""
    for key in (Paillier(512).generate("arbiter", seed("key")), sharded(2)[0]):
        one, other = (key.public.encrypt(plain([k] * 5), seed("a")) for k in (1, 2))
        assert not set(factors(key, one)) & set(factors(key, other))
        zero = key.public.encrypt(plain([0] * 5), seed("b"))
        fresh = [(v + zero.mul_plain(plain([0]))).rerandomise(seed("c")) for v in (one, other)]
        assert not set(factors(key, fresh[0])) & set(factors(key, fresh[1]))
        assert one.raw.to_bytes() == key.public.encrypt(plain([1] * 5), seed("a")).raw.to_bytes()


# -- workers that are lost


@pytest.mark.parametrize("when", ["lose", "lose_within"])
def test_a_worker_that_is_lost_changes_nothing(when: str) -> None:
    """Before and within calls of every operation."""
    due = [v.raw.to_bytes() for _, v in steps(sharded(3)[0])]
    key, workers = sharded(3)
    list(steps(key))
    total = len(workers.jobs)
    assert total > 100
    for at in range(1, total, 19):
        key, workers = sharded(3)
        setattr(workers, when, lambda job, number, at=at: number == at)
        assert [v.raw.to_bytes() for _, v in steps(key)] == due


def test_a_worker_that_is_always_lost_ends_in_an_error_with_a_remedy() -> None:
    key, workers = sharded(2)
    vector = key.public.encrypt(plain(VALUES), seed("a"))
    workers.lose = lambda job, number: job.operation == "total"
    with pytest.raises(ComputeError, match="lost its worker") as caught:
        vector.sum()
    assert "memory" in caught.value.remedy


def test_a_part_that_comes_back_different_is_not_drawn_for() -> None:
    """A worker that computes other ciphertexts when it starts again would give two vectors the same factors."""
    key, workers = sharded(2)
    vector = key.public.encrypt(plain(VALUES), seed("a"))
    vector.digest()
    part = vector.raw.portions[1]  # type: ignore[attr-defined]
    spoilt, made = part.held, part.held.made
    other = plain([1] * (part.last - part.first)).to_bytes()
    spoilt.made = clusters.Made(made.operation, (made.values[0], other, *made.values[2:]), made.ciphers)
    assert len(vector.rerandomise(seed("r"))) == ROWS  # the positive control: nothing was lost
    workers.replace(1)
    with pytest.raises(ComputeError, match="worker 1 has computed another result"):
        vector.rerandomise(seed("r"))


# -- what workers hold, and what crosses


def test_workers_forget_what_the_driver_has_forgotten() -> None:
    key, workers = sharded(3)
    kept = list(steps(key))
    most = workers.held()
    del kept
    gc.collect()
    for _ in range(3):
        list(steps(key))
        gc.collect()
        key.public.encrypt(plain(VALUES), seed("a")).sum()
    assert workers.held() < most / 2
    placed = key.public.raw.cluster._placed  # type: ignore[attr-defined]
    assert len(placed) == 3 * 2  # X and its bins: each once for each worker


def test_matrices_are_placed_once_and_leave_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    key, workers = sharded(2)
    vector = key.public.encrypt(plain(VALUES), seed("a"))
    for _ in range(3):
        vector.t_matmul(X.copy())
    assert sum(job.operation == "place" for job in workers.jobs) == 2
    monkeypatch.setattr(clusters, "PLACED", X.nbytes // 2 + 50)
    vector.t_matmul(X + 1)
    vector.t_matmul(X)
    assert sum(job.operation == "place" for job in workers.jobs) == 6


def test_the_driver_keeps_no_matrix_and_ciphertexts_only_where_it_is_told() -> None:
    """What a peer sent goes to whoever keeps it, and comes from there when a worker is lost."""
    asked, workers = list[int](), Workers(2)

    def keep(data: bytes) -> Callable[[], bytes]:
        return lambda: asked.append(len(data)) or data  # type: ignore[func-returns-value]

    key = Sharded(512, Cluster(Caller(workers, SEAL), keep)).generate("arbiter", seed("key"))
    there, matrix = Keyring(), X.copy()
    there.add(key.public)
    sent = key.encrypt(plain(VALUES), seed("a")).release(["host"], "test")
    vector, gone = CipherVec.receive(key.public.fingerprint + sent, there, "guest"), weakref.ref(matrix)
    due = key.open(vector.t_matmul(matrix), 100).to_ints()
    del matrix
    gc.collect()
    assert gone() is None
    assert asked == []
    workers.replace(0)
    assert key.open(vector.t_matmul(X), 100).to_ints() == due
    assert asked == [vector.raw.portions[0].last * 128]  # type: ignore[attr-defined]


class Made:
    """A matrix that is made when it is asked for."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.asked, self.made = matrix, list[int](), list[weakref.ref[np.ndarray]]()

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, rows: slice) -> np.ndarray:
        found = self.matrix[rows].copy()
        self.asked.append(len(found))
        self.made.append(weakref.ref(found))
        return found


def test_a_matrix_that_is_made_in_pieces_is_never_whole_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """With it a worker multiplies as with the whole, also one that was lost."""
    monkeypatch.setattr(sharded_vector, "PIECE", 2 * 5 * X[0].nbytes)
    key, workers = sharded(2)
    alone, bases, tall = Paillier(512).generate("arbiter", seed("key")), plain(range(len(X[0]))), np.tile(X, (2, 1))
    due, theirs = (one.public.encrypt(bases, seed("a")) for one in (alone, key))
    matrix = Made(tall)
    found = theirs.matmul(matrix)
    assert found.raw.to_bytes() == due.matmul(tall).raw.to_bytes() == due.matmul(Made(tall)).raw.to_bytes()
    assert max(matrix.asked) == 5 < len(tall) // 4
    gc.collect()
    assert not any(one() is not None for one in matrix.made)
    matrix.asked.clear()
    workers.replace(1)
    assert found.raw.to_bytes() == due.matmul(tall).raw.to_bytes()
    assert sum(matrix.asked) == len(tall) - found.raw.portions[0].last  # type: ignore[attr-defined]


def test_long_values_go_to_whoever_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = list[bytes]()

    def keep(data: bytes) -> Callable[[], bytes]:
        kept.append(data)
        return lambda: data

    monkeypatch.setattr(clusters, "LONG", 80)  # longer than a key here
    key = Sharded(512, Cluster(Caller(Workers(2), SEAL), keep)).generate("arbiter", seed("key"))
    mask = plain(VALUES)
    key.public.encrypt(mask, seed("a")).add_plain(mask)
    pieces = [mask.slice(a, b).to_bytes() for _, a, b in parts.portions(len(mask), 2)]
    assert kept == pieces * 2  # of an encryption, and of a sum; no seed


def test_products_at_workers_are_counted() -> None:
    key, _ = sharded(2)
    alone = Paillier(512).generate("arbiter", seed("key"))
    for one in (key, alone):
        vector = one.public.encrypt(plain(VALUES), seed("a"))
        before = one.public.raw.products
        vector.mul_plain(plain(VALUES)).digest()
        assert one.public.raw.products - before > 40 * ROWS


def test_canaries_find_no_seed_key_plaintext_or_feature_in_what_crosses() -> None:
    key, workers = sharded(3)
    list(steps(key, holder=True))
    carried, raw = b"\n".join(workers.crossed), key._raw
    n = key.public.raw.n
    secrets = {
        "private key": raw._native.to_bytes()[:16],  # type: ignore[attr-defined]
        "modulus": n.to_bytes(64, "big")[:16],
        "seed": seed("a").into(hashlib.sha256(plain(VALUES).to_bytes()).digest())[:8],
        "features": X[:2].tobytes(),
        "bins": BINS[:4].tobytes(),
        "plaintexts": plain(VALUES).to_bytes()[-16:],
        "secret of the party": b"s" * 16,
    }
    assert {name for name, canary in secrets.items() if canary in carried} == set()
    opened = b"\n".join(
        value if isinstance(value, bytes) else getattr(value, "tobytes", bytes)()
        for job in workers.jobs
        for value in SEAL.open_call(*job)[0]
        if not isinstance(value, int)
    )
    found = {name for name, canary in secrets.items() if canary in opened}  # the positive control
    assert found == {"private key", "seed", "features", "bins", "plaintexts"}
