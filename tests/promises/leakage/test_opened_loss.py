"""Transcripts of trainings that end by their loss: two signs per evaluation are opened, to the arbiter, and each check
catches a planted fault."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, Keyring, Paillier
from protocols.errors import UnfreshCiphertext
from protocols.glm import dealt_products, preparation, stopping
from protocols.glm.dealt_products import RING, PaddedFactors
from protocols.glm.stopping import LossShare, LossSigns, Verdict, WeightSquares
from protocols.randomness import Seed
from tests.harness import Escrow, Recording, Sent
from tests.promises.leakage import audit
from tests.promises.leakage.test_transcript import PRESCRIBED
from tools.leakage_page import declared
from vfl.api.federation import Federation
from vfl.models.regression.base import Regression
from vfl.models.regression.spec import LinearRegression, LogisticRegression

pytestmark = pytest.mark.filterwarnings("ignore:.* tells the label of nearly every row:UserWarning")  # made of a column
Tables = tuple[pd.DataFrame, dict[str, pd.DataFrame]]
STOPS = {"max_iter": 15, "n_iter_no_change": 5, "tol": 0.5}  # ends at the third look
CASES: dict[str, tuple[Regression, int]] = {
    "exact": (LogisticRegression(**STOPS), 2),  # type: ignore[arg-type]
    "balanced": (LogisticRegression(**STOPS, class_weight="balanced"), 1),  # type: ignore[arg-type]
    "linear": (LinearRegression(**STOPS), 2),  # type: ignore[arg-type]
}


@dataclass
class Run:
    case: str
    transcript: list[Sent]
    key: DecryptionKey
    keys: Keyring
    rows: int

    def of(self, kind: type) -> list[Sent]:
        return [s for s in self.transcript if s.kind is kind]

    def padded(self) -> list[int]:
        """What guest and arbiter exchange for products."""
        return [v for s in self.of(PaddedFactors) for v in s.message(self.keys).values.to_ints()]  # type: ignore[attr-defined]


def record(tables: Tables, case: str) -> Run:
    estimator, hosts = CASES[case]
    guest, parts = tables
    guest = guest.assign(default=guest["age"] ** 2 if case == "linear" else guest["default"])
    scheme, transcript = Escrow(Paillier(1024)), list[Sent]()
    federation = Federation.local(
        guest, dict(list(parts.items())[:hosts]), on="id", label="default", cipher=scheme, convergence=False
    )
    model = federation.fit(estimator, taps={p: [Recording(p, transcript)] for p in federation.roles.all})
    assert model.n_iter_ == 15
    keys = Keyring()
    keys.add(scheme.keys[0].public)
    return Run(case, transcript, scheme.keys[0], keys, model.intersection_)


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest, small_tables: Tables) -> Run:
    return record(small_tables, request.param)


def test_an_honest_transcript_has_no_finding(run: Run) -> None:
    assert audit.undeclared(run.transcript, declared()) == []
    assert audit.unrandomised(run.transcript, run.keys) == []
    assert audit.repeated(run.transcript, run.keys) == []
    assert audit.in_clear(run.transcript, PRESCRIBED | {"LossSigns", "Verdict"}) == []
    assert set(audit.in_clear(run.transcript, PRESCRIBED)) == {"LossSigns", "Verdict"}


def test_the_arbiter_opens_two_signs_per_evaluation_and_nothing_but_masked_numbers_besides(run: Run) -> None:
    to_arbiter = {s.kind for s in run.transcript if s.receiver == "arbiter" and s.vectors(run.keys)}
    assert to_arbiter == {preparation.MaskedPads, preparation.MaskedGradientPads, LossSigns}
    assert [len(s.vectors(run.keys)[0]) for s in run.of(LossSigns)] == [2, 2]
    assert {(s.sender, s.receiver) for s in run.of(LossSigns)} == {("guest", "arbiter")}
    opened = [v for s in run.of(LossSigns) for v in run.key.open(s.vectors(run.keys)[0], 960).to_ints()]
    assert min(abs(v).bit_length() for v in opened) > 480  # the factors'
    assert {s.sender for s in run.of(Verdict)} == {"arbiter"}
    assert [len(s.vectors(run.keys)[0]) for s in run.of(LossShare)] == [2] * 3


def test_what_is_exchanged_for_products_is_uniform(run: Run) -> None:
    products = 2 if run.case == "balanced" else 1
    iterations = 15 if run.case == "balanced" else 0  # their residuals are weighted too
    assert len(run.padded()) == 2 * run.rows * (3 * products + iterations)
    assert audit.not_uniform(run.padded(), RING) == []


def test_guest_and_arbiter_together_read_no_single_hosts_weights(run: Run) -> None:
    """The hosts' sums of squares bear masks that cancel: each alone is as large as a mask; with one host there is none
    to hide among."""
    parts = [s.vectors(run.keys)[0].take(np.array([0])) for s in run.of(WeightSquares)]  # the second: multiples
    opened = [abs(v) for p in parts for v in run.key.open(p, run.key.public.plain_bits).to_ints()]
    hosts = CASES[run.case][1]
    assert len(opened) == 3 * hosts
    assert sum(v.bit_length() > 300 for v in opened) == (len(opened) if hosts > 1 else 0)


def test_planted_products_without_pads_are_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Seed.integers

    def lazy(self: Seed, length: int, bits: int) -> PlainVec:
        return PlainVec.zeros(length) if bits == dealt_products.RING else honest(self, length, bits)

    monkeypatch.setattr(Seed, "integers", lazy)
    assert audit.not_uniform(record(small_tables, "balanced").padded(), RING)


def test_planted_signs_without_fresh_randomness_are_refused(
    small_tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LossSigns", lambda two: LossSigns(CipherVec(two.key, two.raw)))
    with pytest.raises(UnfreshCiphertext, match="LossSigns"):
        record(small_tables, "linear")
