"""Whole transcripts of training and scoring: everything is declared, randomised and unrepeated, nothing goes where it should not; and each check
catches a planted fault."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import chisquare

from protocols.boosting import hidden, opening, shared, transfer
from protocols.boosting.params import Params
from protocols.cipher import CipherVec, DecryptionKey, Keyring
from protocols.errors import UnfreshCiphertext
from protocols.message import Disclosure, Message
from protocols.randomness import Seed
from tests.boosting.world import Floats, Trained, bin_blocks, roles_of, score, train
from tests.harness import TOY, Escrow, Recording, Sent
from tests.leakage import audit
from vfl.docs import declared

ROWS = 150
PRESCRIBED = {
    "shared": {"BinSums", "OwnWins", "Directions", "NodeRows", "AllDirections"},
    "hidden": {"SeatSums", "SeatWins", "MaskedBits"},
}
TO_HOST = {"shared": {"RowGradients", "OwnWins", "NodeRows"}, "hidden": {"RowGradients", "SeatWins", "Choices", "PadSeed"}}


@dataclass
class Run:
    transcript: list[Sent]
    scored: list[Sent]
    keys: Keyring
    trained: Trained


def data(flip: bool = False) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(ROWS, 6))
    y = (x[:, 4] + x[:, 5] + 0.5 * rng.logistic(size=ROWS) > 0).astype(np.float64)
    return x, rng.permutation(y) if flip else y


def record(membership: str, hosts: int = 1, flip: bool = False) -> Run:
    x, y = data(flip)
    p = Params(n_estimators=2, max_depth=3, max_bin=6, membership=membership, min_bin_rows=5, guest_only_trees=0)
    blocks = bin_blocks([x[:, :2], x[:, 2:]] if hosts == 1 else [x[:, :2], x[:, 2:4], x[:, 4:]], p)
    scheme, transcript, scored = Escrow(TOY), list[Sent](), list[Sent]()
    roles = roles_of(hosts)
    trained = train(blocks, y, p, scheme, taps={q: [Recording(q, transcript)] for q in roles.all})
    assert np.array_equal(score(trained, blocks, TOY, taps={q: [Recording(q, scored)] for q in roles.all}), trained.rounds.margin)
    keys = Keyring()
    keys.add(scheme.keys[0].public)
    return Run(transcript, scored, keys, trained)


@pytest.fixture(scope="module", params=[("shared", 1), ("shared", 2), ("hidden", 1), ("hidden", 2)], ids=str)
def run(request: pytest.FixtureRequest) -> tuple[str, Run]:
    return request.param[0], record(*request.param)


def test_an_honest_transcript_has_no_finding(run: tuple[str, Run]) -> None:
    membership, r = run
    both = [*r.transcript, *r.scored]
    assert audit.undeclared(both, declared()) == []
    assert audit.unrandomised(both, r.keys) == []
    assert audit.repeated(r.transcript, r.keys) == []
    assert audit.in_clear(both, PRESCRIBED[membership]) == []
    assert any(len(part) for part in r.trained.hosts)


def test_hosts_receive_ciphertexts_and_what_is_prescribed(run: tuple[str, Run]) -> None:
    """No leaf value, gain, sum or count in any message to a host: nothing but these kinds, none of which has a field for them."""
    membership, r = run
    to_hosts = {s.kind.kind for s in r.transcript if s.receiver.startswith("host") and s.kind.disclosure > Disclosure.PUBLIC}
    assert to_hosts <= TO_HOST[membership]
    floats = [name for s in r.transcript for name, kind in s.kind.schema() if kind is float]
    assert floats == []
    if membership == "hidden":
        assert {s.kind.kind for s in r.transcript if s.receiver == "arbiter"} == {"DealOrder"}
    else:
        assert not any("arbiter" in (s.sender, s.receiver) for s in r.transcript)


def test_lists_hold_no_product_of_what_the_host_received(run: tuple[str, Run]) -> None:
    """The guest knows the factors in its own ciphertexts: the sums carry another one, of |n| + 128 bits, which `release` demands (a raw sum is refused)."""
    _, r = run
    inputs = {residue for s in r.transcript if s.kind is opening.RowGradients for v in s.vectors(r.keys) for residue in v.raw.residues()}
    sums = [v for s in r.transcript if s.kind in (shared.BinSums, hidden.SeatSums) for v in s.vectors(r.keys)]
    assert sums
    assert not inputs & {residue for v in sums for residue in v.raw.residues()}


def shapes(transcript: list[Sent], receiver: str) -> list[tuple[str, str, int]]:
    """What a receiver sees of a transcript without its contents; SeatWins without the number of ties, which belong to its own wins."""
    return [(s.sender, s.kind.kind, 0 if s.kind is hidden.SeatWins else len(s.data)) for s in transcript if s.receiver == receiver]


def test_hidden_looks_the_same_to_a_host_whatever_the_labels() -> None:
    first, second = record("hidden"), record("hidden", flip=True)
    assert Counter(shapes(first.transcript, "host1")) == Counter(shapes(second.transcript, "host1"))
    assert Counter(shapes(first.scored, "host1")) == Counter(shapes(second.scored, "host1"))
    assert Counter(shapes(first.transcript, "arbiter")) == Counter(shapes(second.transcript, "arbiter"))


def test_shared_does_not() -> None:
    assert Counter(shapes(record("shared").transcript, "host1")) != Counter(shapes(record("shared", flip=True).transcript, "host1"))


def choices(r: Run) -> list[tuple[int, np.ndarray]]:
    """(2^level, indices) of each Choices."""
    sizes = [1 << level for _ in range(2) for level in range(3)]
    sent = [s.message(r.keys) for s in r.transcript if s.kind is transfer.Choices]
    return [(size, np.frombuffer(m.shifts, dtype=np.uint8)) for size, m in zip(sizes, sent, strict=True)]  # type: ignore[attr-defined]


def uniform(r: Run) -> bool:
    return all(chisquare(np.bincount(e, minlength=size)).pvalue > 1e-4 for size, e in choices(r) if size > 1)


def test_choices_are_uniform_and_a_planted_constant_index_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert uniform(record("hidden"))
    monkeypatch.setattr(transfer, "indices", lambda seed, rows, size: np.zeros(rows, dtype=np.uint64))
    assert not uniform(record("hidden"))


def test_what_the_guest_does_not_choose_is_uniform_and_planted_zero_pads_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def masked() -> float:
        r = record("hidden")
        last = [s.message(r.keys) for s in r.transcript if s.kind is transfer.MaskedBits][2::3]  # of 4 seats
        bits = np.concatenate([np.unpackbits(np.frombuffer(m.bits, dtype=np.uint8)) for m in last])  # type: ignore[attr-defined]
        return float(bits.mean())

    assert abs(masked() - 0.5) < 0.06
    monkeypatch.setattr(transfer, "pads_of", lambda seed, rows, size: np.zeros(rows, dtype=np.uint64))
    assert masked() < 0.42  # seats without a split hold 0


def test_planted_undeclared_message_is_found(run: tuple[str, Run]) -> None:
    class Hint(Message, disclosure=Disclosure.PUBLIC, learns="nothing"):
        x: int

    assert audit.undeclared([*run[1].transcript, Sent("guest", "host1", Hint, b"")], declared()) == ["Hint"]


@pytest.mark.parametrize("membership", ["shared", "hidden"])
def test_planted_sums_that_are_not_randomised_are_refused_and_found(membership: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CipherVec, "rerandomise", lambda self, seed, *, to_holder=False: self)
    with pytest.raises(UnfreshCiphertext):
        record(membership)
    monkeypatch.setattr(CipherVec, "release", lambda self, to, where: self.raw.to_bytes())
    monkeypatch.setattr(DecryptionKey, "encrypt", lambda self, plain, seed: CipherVec(self.public, self.public.raw.lift(plain)))  # type: ignore[attr-defined]
    found = record(membership)
    assert set(audit.unrandomised(found.transcript, found.keys)) == {
        "RowGradients to host1",
        f"{'Bin' if membership == 'shared' else 'Seat'}Sums to guest",
    }


def test_planted_reuse_of_randomness_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, same = CipherVec.rerandomise, Seed("host1", b"always the same".ljust(32))
    monkeypatch.setattr(
        CipherVec,
        "rerandomise",
        lambda self, seed, *, to_holder=False: honest(self.take(np.zeros(len(self), dtype=np.int64)), same, to_holder=to_holder),
    )
    monkeypatch.setattr(DecryptionKey, "encrypt", lambda self, plain, seed: self.public.encrypt(plain, Seed("guest", b"again".ljust(32))))
    monkeypatch.setattr(CipherVec, "release", lambda self, to, where: self.raw.to_bytes())
    transcript: list[Sent] = []
    scheme, p = Escrow(TOY), Params(n_estimators=2, max_depth=1, membership="shared", min_bin_rows=5)
    x, y = data()
    train(bin_blocks([x[:, :2], x[:, 2:]], p), y, p, scheme, taps={q: [Recording(q, transcript)] for q in ("guest", "host1")})
    keys = Keyring()
    keys.add(scheme.keys[0].public)
    assert "RowGradients to host1" in audit.repeated(transcript, keys)


def test_planted_gains_in_a_message_would_be_seen(run: tuple[str, Run]) -> None:
    class Told(Message, disclosure=Disclosure.REVEALED, permit="own-wins-to-host", learns="the gain"):
        gain: float

    planted = [*run[1].transcript, Sent("guest", "host1", Told, b"")]
    assert audit.in_clear(planted, PRESCRIBED[run[0]]) == ["Told"]
