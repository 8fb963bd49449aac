"""Whole transcripts of a training as it is by default, its iterations prepared: everything is declared, randomised,
unrepeated and a one-time pad; and each check catches a planted fault."""

from __future__ import annotations

import pytest

from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey
from protocols.errors import UnfreshCiphertext
from protocols.glm import predictors, preparation, prepared, training
from protocols.glm.chunks import layouts
from protocols.message import Message
from protocols.randomness import Seed
from tests.promises.leakage import audit
from tests.promises.leakage.test_transcript import PRESCRIBED, RUNS, Run, Tables, record
from tools.leakage_page import declared

OFFLINE = {
    preparation.PreparedWeights,
    preparation.PreparedPredictor,
    preparation.MaskedPads,
    preparation.PreparedResiduals,
    preparation.MaskedGradientPads,
}
DIRECT = {predictors.WeightShare, predictors.Predictor, training.Residual, training.MaskedGradient}


@pytest.fixture(scope="module", params=RUNS, ids=lambda p: f"{p[1]}-{p[0]}")
def run(request: pytest.FixtureRequest, small_tables: Tables) -> Run:
    return record(small_tables, *request.param, preparation=None)


def numbers(run: Run, kind: type[Message]) -> list[int]:
    """All numbers of a kind of message, as their receivers can have them at best: opened where they are encrypted."""
    found = list[int]()
    for sent in run.transcript:
        if sent.kind is kind:
            (value,) = (getattr(sent.message(run.keys), name) for name, _ in kind.schema())
            found += (run.key.open_whole(value) if isinstance(value, CipherVec) else value).to_ints()
    return found


def not_uniform(run: Run) -> set[str]:
    """The kinds of numbers that are in the clear to their receiver and are not uniform over their range."""
    slots, n = layouts(run.plan, run.form, None)[0], run.key.public.raw.n
    ranges: dict[type[Message], int] = {
        preparation.MaskedPads: n,
        preparation.MaskedGradientPads: n,
        prepared.WeightsLessPad: 1 << slots.u_bits,
        prepared.PaddedPredictor: 1 << slots.z_bits,
        prepared.MeanLessPad: 1 << slots.g_bits,
        prepared.ResidualLessPad: 1 << slots.g_bits,
    }
    found = set()
    for kind, modulus in ranges.items():
        values = numbers(run, kind)
        assert values
        assert all(-modulus <= 2 * v <= modulus for v in values)
        if audit.not_uniform([(v << 200) // modulus for v in values], 200):
            found.add(kind.kind)
    return found


def test_an_honest_transcript_has_no_finding(run: Run) -> None:
    kinds = {s.kind for s in run.transcript}
    assert kinds >= OFFLINE
    assert not kinds & DIRECT
    assert audit.undeclared(run.transcript, declared()) == []
    assert audit.unrandomised(run.transcript, run.keys) == []
    assert audit.repeated(run.transcript, run.keys) == []
    assert audit.in_clear(run.transcript, PRESCRIBED) == []


def test_everything_in_the_clear_is_a_one_time_pad(run: Run) -> None:
    """Of each weight in each iteration, and of each row's predictor and residual."""
    assert not_uniform(run) == set()
    digits = layouts(run.plan, run.form, None)[0].digits.count
    assert len(numbers(run, prepared.WeightsLessPad)) == run.passes * digits * sum(run.widths.values())
    rows = (50 if len(run.widths) == 2 else 40) // run.plan.batches
    hosts = len(run.widths) - 1
    assert len(numbers(run, prepared.PaddedPredictor)) == run.passes * rows * hosts
    assert len(numbers(run, prepared.ResidualLessPad)) == run.passes * rows * hosts


def test_the_arbiter_opens_nothing_else(run: Run) -> None:
    to_arbiter = {s.kind for s in run.transcript if s.receiver == "arbiter" and s.vectors(run.keys)}
    assert to_arbiter == {preparation.MaskedPads, preparation.MaskedGradientPads}


def test_nothing_encrypted_travels_once_an_iteration_has_begun(run: Run) -> None:
    """Until the next chunk: per model and batch one set of ciphertexts for all iterations of a chunk."""
    chunks = len(layouts(run.plan, run.form, None)) * run.plan.batches * (3 if run.link == "classes" else 1)
    sent = [s for s in run.transcript if s.kind is preparation.MaskedPads]
    assert len(sent) == chunks < run.passes


def test_planted_missing_randomness_is_refused_and_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CipherVec, "rerandomise", lambda self, seed: self)
    with pytest.raises(UnfreshCiphertext):
        record(small_tables, 1, preparation=None)
    # even where the type is deceived, the audit sees it
    monkeypatch.setattr(CipherVec, "release", lambda self, to, where: self.raw.to_bytes())
    monkeypatch.setattr(
        DecryptionKey, "encrypt", lambda self, plain, seed: CipherVec(self.public, self.public.raw.lift(plain))
    )
    run = record(small_tables, 1, preparation=None)
    assert {"PreparedWeights to guest", "PreparedResiduals to telecom"} <= set(
        audit.unrandomised(run.transcript, run.keys)
    )


def test_planted_reuse_of_randomness_is_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seed, "into", lambda self, digest: b"always the same".ljust(32))
    run = record(small_tables, 1, preparation=None)
    assert audit.unrandomised(run.transcript, run.keys) == []
    assert "PreparedWeights to guest" in audit.repeated(run.transcript, run.keys)


def test_planted_short_masks_are_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EncryptionKey, "uniform", lambda self, seed, length: seed.integers(length, 300))
    run = record(small_tables, 1, preparation=None)
    assert not_uniform(run) == {"MaskedPads", "MaskedGradientPads"}


def test_planted_missing_pads_are_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = preparation.drawn
    monkeypatch.setattr(
        preparation, "drawn", lambda *given: [PlainVec.zeros(len(pad)) for pad in honest(*given)]
    )  # neither weights nor residuals have one
    run = record(small_tables, 1, preparation=None)
    assert not_uniform(run) >= {"WeightsLessPad", "MeanLessPad", "ResidualLessPad"}
