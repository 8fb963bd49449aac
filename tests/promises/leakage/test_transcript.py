"""Whole transcripts of a training whose iterations compute with ciphertexts (`preparation = "none"`): everything is
declared, randomised, unrepeated and blinded; and each check catches a planted fault."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from protocols import look_up
from protocols._native import PlainVec
from protocols.cipher import CipherVec, DecryptionKey, EncryptionKey, Keyring
from protocols.curves import DEGREE, TABLE_BITS
from protocols.errors import UnfreshCiphertext
from protocols.glm import IDENTITY, LOGISTIC_LINKS, POISSON, batches, predictors, sealed_link, terms, training
from protocols.glm.block import Block
from protocols.glm.links import Link
from protocols.glm.plan import Penalty, Plan, rows_log2
from protocols.message import Message
from protocols.randomness import Seed
from tests.harness import TOY, Escrow, Recording, Sent, short_masks
from tests.promises.leakage import audit
from tools.leakage_page import PAGE, declared, leakage_page
from vfl.api.federation import Federation
from vfl.models.regression.spec import LinearRegression, LogisticRegression, PoissonRegression

PASSES = 12
PRESCRIBED = {
    "LabelScale",
    "IntersectionSize",
    "HostRows",
    "GuestRows",
    "ReblindedIds",
    "AgreedSize",
    "CommonRows",
    "Scores",
    "ArbiterScores",
    "EdgeShare",
}
Tables = tuple[pd.DataFrame, dict[str, pd.DataFrame]]


@dataclass
class Run:
    transcript: list[Sent]
    key: DecryptionKey
    keys: Keyring
    plan: Plan
    widths: dict[str, int]
    link: str
    form: Link

    @property
    def passes(self) -> int:
        """Steps of all models together."""
        return PASSES * (3 if self.link == "classes" else 1) * self.plan.batches

    @property
    def sealed(self) -> bool:
        """Whether the link is a look-up."""
        return self.link not in ("taylor", "linear")

    def opened(self) -> list[list[int]]:
        return audit.opened(self.transcript, self.key, self.keys, self.plan, self.widths)

    def not_uniform(self, kind: type[Message] = training.MaskedGradient) -> list[str]:
        """What there is against the numbers that the arbiter opened of this kind being uniform modulo n."""
        return audit.not_uniform_modulo(audit.packs(self.transcript, self.key, self.keys, kind), self.key.public)


CASES = {
    "exact": (LogisticRegression(max_iter=PASSES), LOGISTIC_LINKS["exact"], Penalty(1.0)),
    "taylor": (LogisticRegression(max_iter=PASSES, link="taylor"), LOGISTIC_LINKS["taylor"], Penalty(1.0)),
    "linear": (LinearRegression(max_iter=PASSES), IDENTITY, Penalty(1.0)),
    "poisson": (PoissonRegression(max_iter=PASSES), POISSON, Penalty(1.0, mean=True)),
    "balanced": (LogisticRegression(max_iter=PASSES, class_weight="balanced"), LOGISTIC_LINKS["exact"], Penalty(1.0)),
    "batches": (
        LogisticRegression(max_iter=PASSES, solver="sgd", batch_size=32),
        LOGISTIC_LINKS["exact"],
        Penalty(1.0),
    ),
    "classes": (LogisticRegression(max_iter=PASSES), LOGISTIC_LINKS["exact"], Penalty(1.0)),
}
LABELS = {
    "linear": lambda t: t["age"] ** 2 + 1e4 * t["default"],
    "poisson": lambda t: t["default"] * 3 + 1,
    "classes": lambda t: np.arange(len(t)) % 3,
}


def record(tables: Tables, hosts: int, link: str = "exact", preparation: str | None = "none") -> Run:
    guest, all_hosts = tables
    estimator, form, penalty = CASES[link]
    guest = guest.assign(default=LABELS.get(link, lambda t: t["default"])(guest))
    scheme, transcript = Escrow(TOY), list[Sent]()
    settings = {"on": "id", "label": "default", "convergence": False, "preparation": preparation}
    federation = Federation.local(guest, dict(list(all_hosts.items())[:hosts]), **settings, cipher=scheme)
    taps = {p: [Recording(p, transcript)] for p in federation.roles.all}
    model = federation.fit(estimator, taps=taps)
    (key,), keys = scheme.keys, Keyring()
    keys.add(key.public)
    widths = {p: part.shares.latest.shape[1] for p, part in model.parts.items()}
    told = [s.message(keys) for s in transcript if s.kind is terms.LabelScale]
    assert len(told) == (hosts + 1 if link in ("poisson", "balanced") else 0)
    if told:
        given = {"weighted": link == "balanced", "prepared": preparation != "none"}
        form = terms.scaled(terms.Terms(form, penalty, PASSES, **given), told[0])  # type: ignore[arg-type]
    plan = form.plan(rows_log2(model.intersection_), penalty, PASSES, len(widths), key.public.plain_bits, estimator.sgd)
    return Run(transcript, key, keys, plan, widths, link, form)


RUNS = [
    (1, "exact"),
    (2, "exact"),
    (1, "taylor"),
    (2, "taylor"),
    (1, "linear"),
    (2, "poisson"),
    (1, "balanced"),
    (1, "classes"),
    (1, "batches"),
    (2, "batches"),
]


@pytest.fixture(scope="module", params=RUNS, ids=lambda p: f"{p[1]}-{p[0]}")
def run(request: pytest.FixtureRequest, small_tables: Tables) -> Run:
    return record(small_tables, *request.param)


def test_an_honest_transcript_has_no_finding(run: Run) -> None:
    assert {s.kind for s in run.transcript} >= {
        predictors.WeightShare,
        predictors.Predictor,
        training.Residual,
        training.MaskedGradient,
    }
    assert audit.undeclared(run.transcript, declared()) == []
    assert audit.unrandomised(run.transcript, run.keys) == []
    assert audit.repeated(run.transcript, run.keys) == []
    assert audit.in_clear(run.transcript, PRESCRIBED) == []
    values = [v for opened in run.opened() for v in opened]
    assert len(values) == run.passes * sum(run.widths.values())
    assert run.not_uniform() == []


def test_what_the_arbiter_opened_tells_nothing_of_the_gradients(run: Run, small_tables: Tables) -> None:
    """Opened values of equal passes in two runs differ by masks: their difference is as large as a mask, not as a
    gradient."""
    again = record(small_tables, len(run.widths) - 1, run.link)
    for first, second in zip(run.opened(), again.opened(), strict=True):
        assert all(abs(a - b) > 2 ** (run.plan.gradient_bits + 20) for a, b in zip(first, second, strict=True))


def test_of_batches_the_arbiter_sees_sizes_only_and_hosts_a_seed(run: Run) -> None:
    orders = [s for s in run.transcript if s.kind is batches.RowOrder]
    hosts = [p for p in run.widths if p != "guest"]
    assert [(s.sender, s.receiver) for s in orders] == [("guest", h) for h in hosts if run.link == "batches"]
    sizes = {len(v) for s in run.transcript if s.kind is predictors.Predictor for v in s.vectors(run.keys)}
    assert sizes == {(50 if len(run.widths) == 2 else 40) // run.plan.batches}


def test_nothing_but_masked_gradients_is_ever_opened_by_the_arbiter(run: Run) -> None:
    to_arbiter = {s.kind.kind for s in run.transcript if s.receiver == "arbiter" and s.vectors(run.keys)}
    assert to_arbiter == {"MaskedGradient"} | ({"MaskedPredictors"} if run.sealed else set())


def test_masked_predictors_and_look_up_positions_are_uniform(run: Run) -> None:
    if not run.sealed:
        pytest.skip("linear links open no predictor and look nothing up")
    rows = (50 if len(run.widths) == 2 else 40) // run.plan.batches
    assert run.not_uniform(sealed_link.MaskedPredictors) == []
    for receiver in ("guest", "arbiter"):
        seen = [
            s.message(run.keys).index
            for s in run.transcript
            if s.kind is look_up.LookupIndex and s.receiver == receiver
        ]  # type: ignore[attr-defined]
        positions = (np.concatenate(seen) + 0.5) / 2.0**TABLE_BITS - 0.5  # the middle of each position
        assert audit.not_uniform([int(p * 2**64) for p in positions], 64) == []
        assert len(np.unique(np.stack(seen)[:, 0])) > PASSES // 2  # a row's position moves freely between passes
        factors = [
            s.message(run.keys) for s in run.transcript if s.kind is look_up.MaskedFactors and s.receiver == receiver
        ]
        for part, each in (("factors", DEGREE), ("rest", 1)):
            values = [v for f in factors for v in getattr(f, part).to_ints()]
            assert len(values) == run.passes * rows * each
            assert audit.not_uniform(values, look_up.RING) == []


def test_the_edge_count_is_all_that_the_shares_open_to(run: Run) -> None:
    edges = [s for s in run.transcript if s.kind is sealed_link.EdgeShare]
    assert len(edges) == (run.passes if run.sealed else 0)
    assert all((s.sender, s.receiver) == ("guest", "arbiter") for s in edges)


def test_planted_undeclared_message_is_found(run: Run) -> None:
    class Gossip(Message, disclosure=training.PUBLIC, learns="nothing"):
        x: int

    planted = [*run.transcript, Sent("host", "guest", Gossip, b"")]
    assert audit.undeclared(planted, declared()) == ["Gossip"]


def test_planted_gradient_in_the_clear_is_found(run: Run) -> None:
    class Gradient(Message, disclosure=training.REVEALED, permit="scores-to-guest", learns="the gradient"):
        g: PlainVec

    assert audit.in_clear([*run.transcript, Sent("arbiter", "guest", Gradient, b"")], PRESCRIBED) == ["Gradient"]


def test_planted_missing_randomness_is_refused_and_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(self: CipherVec, seed: Seed) -> CipherVec:
        return self

    monkeypatch.setattr(CipherVec, "rerandomise", lazy)
    with pytest.raises(UnfreshCiphertext):
        record(small_tables, 1)
    # even where the type is deceived, the audit sees it
    monkeypatch.setattr(CipherVec, "release", lambda self, to, where: self.raw.to_bytes())
    monkeypatch.setattr(
        DecryptionKey, "encrypt", lambda self, plain, seed: CipherVec(self.public, self.public.raw.lift(plain))
    )  # type: ignore[attr-defined]
    run = record(small_tables, 1)
    assert "WeightShare to guest" in audit.unrandomised(run.transcript, run.keys)
    assert audit.repeated(run.transcript, run.keys)


def test_planted_reuse_of_randomness_is_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seed, "into", lambda self, digest: b"always the same".ljust(32))
    run = record(small_tables, 1)
    assert audit.unrandomised(run.transcript, run.keys) == []
    assert "WeightShare to guest" in audit.repeated(run.transcript, run.keys)


def test_planted_missing_mask_is_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EncryptionKey, "uniform", lambda self, seed, length: PlainVec.zeros(length))
    run = record(small_tables, 1)
    assert run.not_uniform()


def test_planted_short_mask_is_found(small_tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    short_masks(monkeypatch, TOY.bits - 6)
    assert record(small_tables, 1).not_uniform(sealed_link.MaskedPredictors)


def test_planted_gradient_beside_the_mask_is_opened_as_it_is(
    small_tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without masks the arbiter opens exact gradients: the positive control of the check above."""
    gradients: list[int] = []
    honest = Block.gradient

    def keep(self: Block, residual: CipherVec, theirs: CipherVec, mine: PlainVec) -> CipherVec:
        found = honest(self, residual, theirs, mine)
        gradients.append(len(found))
        return found

    monkeypatch.setattr(EncryptionKey, "uniform", lambda self, seed, length: PlainVec.zeros(length))
    monkeypatch.setattr(Block, "gradient", keep)
    run = record(small_tables, 1)
    values = np.array([v for opened in run.opened() for v in opened], dtype=object)
    assert len(gradients) == PASSES * 2
    assert all(abs(v) < 2**run.plan.gradient_bits for v in values)
    assert any(values)


def test_the_leakage_table_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == leakage_page(), "run `make docs`"


def test_a_stale_leakage_table_would_be_noticed() -> None:
    class NewMessage(Message, disclosure=training.PUBLIC, learns="something new"):
        x: int

    NewMessage.__module__ = "protocols.glm.training"
    try:
        assert "NewMessage" in leakage_page()
    finally:
        NewMessage.__module__ = "tests.promises.leakage.test_transcript"
