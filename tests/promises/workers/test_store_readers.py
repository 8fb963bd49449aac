"""Who reads what an engine carries, without any key, compares partial sums with the rows that went to a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from protocols import parts
from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, Keyring, Paillier
from protocols.cipher.sharded import Sharded
from protocols.randomness import Seed
from protocols.workers.calls import Job
from protocols.workers.cluster import Cluster
from protocols.workers.run import Caller, Inline
from protocols.workers.seal import Seal, Sealed

BITS, ROWS, WORKERS, BINS = 512, 600, 3, 20
SIZE = BITS // 4  # bytes of a ciphertext
SECRET, RUN = b"s" * 32, b"a run"


class Clear(Seal):
    """The planted fault, as an earlier build had it: sealed values, and vectors in the clear beside them."""

    def _seal(self, where: Any, values: Any, ciphers: Any) -> Sealed:
        return super()._seal(where, values, ()) + tuple(ciphers)

    def _open(self, where: Any, parts: Any) -> tuple[list[Any], list[bytes]]:
        return super()._open(where, parts[:1])[0], list(parts[1:])


class Crossing(NamedTuple):
    worker: int
    operation: str
    called: Sealed
    answered: Sealed


class Read(Inline):
    """Workers, and all that an engine carries to and from them."""

    def __init__(self, seal: Seal) -> None:
        super().__init__(WORKERS, seal)
        self.carried: list[Crossing] = []

    def call(self, jobs: Sequence[Job]) -> list[Sealed]:
        answers = super().call(jobs)
        self.carried += [Crossing(*job, answer) for job, answer in zip(jobs, answers, strict=True)]
        return answers


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> DecryptionKey:
    monkeypatch.setattr(parts, "LEAF", 64)
    return Paillier(BITS).generate("arbiter", Seed("arbiter", b"k" * 32))


def at_workers(arbiter: DecryptionKey, seal: Seal) -> tuple[CipherVec, Read]:
    """Gradients that a host has received, at its workers."""
    workers, ring = Read(seal), Keyring()
    ring.add(Sharded(BITS, Cluster(Caller(workers, seal))).accept(arbiter.public.raw.n, arbiter.prove(), "arbiter"))
    gradients = PlainVec.from_ints([int(v) for v in np.random.default_rng(1).integers(-1000, 1000, ROWS)])
    sent = arbiter.public.encrypt(gradients, Seed("guest", b"2" * 32)).release(["host"], "test")
    return CipherVec.receive(arbiter.public.fingerprint + sent, ring, "guest"), workers


def numbers(sealed: Sealed) -> list[int]:
    """What stands in the vectors of a call or an answer, if they are in the clear."""
    data = b"".join(sealed[1:])
    return [int.from_bytes(data[at : at + SIZE], "little") for at in range(0, len(data) - SIZE + 1, SIZE)]


def bins_read(sent: list[int], carried: Sequence[Crossing], modulus: int) -> dict[int, int]:
    """The bin of each row that a sum of one or two rows contains, as the guest reads it that sent the ciphertexts, or
    whoever has read them in a call: without a key."""
    found, row_of = dict[int, int](), {value: row for row, value in enumerate(sent)}
    rows_at = {worker: range(first, last) for worker, first, last in parts.portions(ROWS, WORKERS)}
    inverse = [pow(value, -1, modulus) for value in sent]
    for crossing in (c for c in carried if c.operation == "histogram"):
        for bin_, total in enumerate(numbers(crossing.answered)):
            if total in row_of:
                found[row_of[total]] = bin_
            for row in rows_at[crossing.worker]:
                other = row_of.get(total * inverse[row] % modulus, row)
                if other != row:
                    found |= {row: bin_, other: bin_}
    return found


@pytest.mark.parametrize(("kind", "share"), [(Seal, 0.0), (Clear, 0.9)])
def test_bins_of_a_small_nodes_rows(arbiter: DecryptionKey, kind: type[Seal], share: float) -> None:
    """Planted: vectors that travel beside the sealed values give most of them away."""
    vector, workers = at_workers(arbiter, kind(SECRET, RUN))
    rng = np.random.default_rng(0)
    bins, node = rng.integers(0, BINS, (ROWS, 1)), np.sort(rng.choice(ROWS, 30, replace=False))
    vector.take(node).histogram(bins[node], BINS)
    sent = numbers((b"", vector.raw.to_bytes()))
    read = bins_read(sent, workers.carried, arbiter.public.raw.n**2)
    assert share * len(node) <= len(read) <= 2 * share * len(node)
    assert all(row in node and bins[row, 0] == bin_ for row, bin_ in read.items())


USES: dict[str, Callable[[CipherVec], CipherVec]] = {
    "product": lambda v: v.t_matmul(np.arange(3 * ROWS).reshape(ROWS, 3)),
    "histogram": lambda v: v.histogram(np.arange(ROWS)[:, None] % BINS, BINS),
    "sum": lambda v: v.sum(),
    "rows in another order": lambda v: v.take(np.arange(ROWS)[::-1].copy()),
    "joined": lambda v: v.take(np.arange(3, 300)).concat(v),
    "matrix product of bases": lambda v: v.take(np.arange(3)).matmul(np.arange(3 * ROWS).reshape(ROWS, 3)),
    "packed": lambda v: v.pack(64, 3),
}


@pytest.mark.parametrize("use", USES)
def test_no_ciphertext_crosses_in_the_clear(arbiter: DecryptionKey, use: str) -> None:
    """Neither what came from a peer nor a result, which the key's holder could read before its mask."""
    for kind in (Seal, Clear):
        vector, workers = at_workers(arbiter, kind(SECRET, RUN))
        result = USES[use](vector)
        data = vector.raw.to_bytes() + result.raw.to_bytes()
        carried = b"|".join(part for c in workers.carried for part in (*c.called, *c.answered))
        seen = sum(data[at : at + SIZE] in carried for at in range(0, len(data), SIZE))
        assert (seen > 0) == (kind is Clear), use
        assert seen == 0 or seen >= ROWS
