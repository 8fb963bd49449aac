"""Regressions on tables of many blocks: the same weights as in one block, and in bounded memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import glm, parts, row_blocks
from protocols.cipher import Identity, Paillier, Scheme
from protocols.errors import LocalProtocolError, PeerTimeout, RemoteProtocolError
from protocols.glm import batches, predictors, sealed_link, training
from protocols.glm.dealt_products import DealtProducts, PaddedFactors
from protocols.glm.links import IDENTITY, LOGISTIC_LINKS, POISSON, Link
from protocols.glm.plan import Penalty, Sgd, Step
from protocols.glm.stopping import Stopping
from protocols.local import run_local
from protocols.message import Message
from protocols.session import Roles, Session
from tests.harness import KNOWN
from tests.promises.long_tables.blocks import ROWS, Underway, most_underway, sends, shrink

Matrix = NDArray[np.float64]
KEY_BITS = 512
LINKS = {**LOGISTIC_LINKS, "linear": IDENTITY, "counts": POISSON}


def table(rows: int, link: Link, hosts: int) -> tuple[list[Matrix], Matrix]:
    """Of a guest and the hosts, and the labels."""
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, 6)).clip(-4, 4)
    z = x @ np.array([0.5, -0.4, 0.3, 0.2, -0.6, 0.1])
    blocks = np.split(x, [1, 3][:hosts], axis=1)
    if link is POISSON:
        return blocks, rng.poisson(np.exp(0.3 * z)).astype(float)
    y = z + rng.normal(size=rows) if link is IDENTITY else (z + rng.logistic(size=rows) > 0.4).astype(float)
    return blocks, y


def train(
    rows: int,
    passes: int,
    link: str = "exact",
    scheme: Scheme | None = None,
    underway: Underway | None = None,
    hosts: int = 2,
    deadline: float = 60.0,
    **terms: Any,
) -> Matrix:
    """The weights of all parties."""
    blocks, y = table(rows, LINKS[link], hosts)
    weights = np.random.default_rng(1).uniform(0.5, 2, (1, rows)) if terms.get("weighted") else None
    agreed = glm.Terms(LINKS[link], Penalty(1.0), passes, reveal=KNOWN, **terms)
    held = agreed.stopping is not None and agreed.stopping.validation

    def arbiter(session: Session) -> glm.Kept:
        return glm.arbiter(session, session.scheme.generate("arbiter", session.seed("key")), agreed)

    outside = glm.HeldOut(blocks[0][:90], y[None, :90], None if weights is None else weights[:, :90]) if held else None
    programs: dict[str, Any] = {
        "guest": partial(
            glm.guest, x=blocks[0], targets=y[None], terms=agreed, model_id=bytes(16), weights=weights, held_out=outside
        ),
        "arbiter": arbiter,
    }
    names = tuple(f"host{k + 1}" for k in range(hosts))
    for name, block in zip(names, blocks[1:], strict=True):
        programs[name] = partial(glm.host, x=block, terms=agreed, held_out=block[:90] if held else None)
    taps = {party: underway.of(party) for party in programs} if underway else None
    roles = Roles("guest", names, "arbiter")
    found = run_local(roles, programs, scheme or Identity(), taps=taps, deadline=deadline)
    return np.concatenate([found[p].weights.ravel() for p in roles.data_parties])


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_tables_beyond_one_message_train(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(rows, 1, hosts=1)
    shrink(monkeypatch, KEY_BITS)
    underway = Underway()
    found = train(rows, 1, scheme=Paillier(KEY_BITS), underway=underway, hosts=1)
    assert np.abs(found - whole).max() < 1e-5
    assert max(underway.most.values()) < most_underway(KEY_BITS)
    assert rows * 2 * KEY_BITS // 8 > 4 * most_underway(KEY_BITS)


def test_planted_fault_hosts_that_do_not_wait_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    for ahead, waits in ((row_blocks.AHEAD, True), (1000, False)):
        monkeypatch.setattr(training, "AHEAD", ahead)
        underway = Underway()
        train(300, 1, scheme=Paillier(KEY_BITS), underway=underway)
        assert (max(underway.most.values()) < most_underway(KEY_BITS)) == waits


def test_planted_fault_vectors_that_are_one_message_each_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, KEY_BITS, in_blocks=False)
    with pytest.raises(LocalProtocolError, match="larger than a message may be"):
        train(ROWS["3 x 10^6"], 1, scheme=Paillier(KEY_BITS))


CASES: dict[str, dict[str, Any]] = {
    "weighted": {"link": "exact", "weighted": True},
    "taylor": {"link": "taylor"},
    "counts by the loss": {"link": "counts", "stopping": Stopping(1e-9, 2)},
    "weighted by the loss, prepared": {
        "link": "exact",
        "weighted": True,
        "stopping": Stopping(1e-9, 2, True),
        "prepared": True,
    },
    "weighted by the loss": {"link": "exact", "weighted": True, "stopping": Stopping(1e-9, 2)},
    "linear by the loss": {"link": "linear", "stopping": Stopping(1e-9, 2)},
    "linear by the loss of held-out rows": {"link": "linear", "weighted": True, "stopping": Stopping(1e-9, 2, True)},
    "mini-batches": {"link": "exact", "sgd": Sgd(batch_size=64)},
    "by a verdict": {"link": "exact", "settles": True},
}


@pytest.mark.parametrize("case", CASES)
def test_every_training_is_the_same_in_blocks(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = {"mini-batches": 2, "by a verdict": 20}.get(case, 6)
    monkeypatch.setattr(batches.Batches, "of", drawn)
    whole = train(150, passes, **CASES[case])
    monkeypatch.setattr(parts, "ROWS", 37)
    found = train(150, passes, **CASES[case])
    assert np.abs(found - whole).max() < 1e-4


def drawn(self: batches.Batches, step: Step) -> batches.Rows:
    """The rows of a step, by an order that is the same in both trainings."""
    if self.count == 1:
        return slice(None)
    order = np.random.default_rng(step.number // self.count).permutation(self.rows)
    batch = step.number % self.count
    return order[self.rows * batch // self.count : self.rows * (batch + 1) // self.count]


FAULTS = ("missing", "repeated", "reordered", "oversize")
SENT: list[tuple[str, type[Message], str]] = [
    *((fault, predictors.Predictor, "host2") for fault in FAULTS),
    *((fault, training.Residual, "guest") for fault in FAULTS),
    *((fault, sealed_link.MaskedPredictors, "guest") for fault in FAULTS),
    *((fault, sealed_link.ResidualShare, "arbiter") for fault in ("repeated", "oversize")),
]


@pytest.mark.parametrize(("fault", "kind", "sender"), SENT)
def test_planted_faults_are_found(
    fault: str, kind: type[Message], sender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS", 37)
    with sends(fault, kind, sender), pytest.raises(RemoteProtocolError) as found:
        train(150, 1, scheme=Paillier(KEY_BITS))
    assert found.value.party == sender


def test_a_missing_answer_runs_into_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 37)
    with sends("missing", sealed_link.ResidualShare, "arbiter"), pytest.raises(PeerTimeout):
        train(150, 1, scheme=Paillier(KEY_BITS), deadline=1.0)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("kind", "sender"),
    [(sealed_link.MaskedPredictors, "guest"), (PaddedFactors, "arbiter"), (DealtProducts, "host1")],
)
def test_planted_faults_in_a_loss_are_found(
    kind: type[Message], sender: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS", 37)
    with sends(fault, kind, sender), pytest.raises(RemoteProtocolError) as found:
        train(150, 2, "linear", scheme=Paillier(1024), stopping=Stopping(1e-9, 2), weighted=True)
    assert found.value.party == sender
