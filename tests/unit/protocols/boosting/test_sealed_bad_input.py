"""Messages of sealed trees that do not fit: one plain error, which names the sender; of every kind that training and
scoring have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import look_up
from protocols._native import DpfKeys, PlainVec
from protocols.boosting import (
    exact_cut,
    factors,
    gradients,
    held_out,
    keys,
    leaves,
    opening,
    prepare,
    product,
    rounding,
    scale,
    scoring,
    sealed,
    walk,
)
from protocols.boosting.params import Params
from protocols.boosting.prepare import Owned
from protocols.cipher import CipherVec, Identity, key_offer
from protocols.errors import DataError, ModelError, PlaintextOverflow, RemoteProtocolError
from protocols.glm import sealed_link
from protocols.message import Message
from protocols.randomness import Seed, run_seed
from protocols.session import Session
from tests.harness import TOY, Recording, Sent
from tests.unit.protocols.boosting.samples import small, tables
from tests.unit.protocols.boosting.test_bad_input import sent_instead
from tests.unit.protocols.boosting.world import Trained, score, train

SCHEME = Identity(1024)
P = small(early_stopping_rounds=3)
BLOCKS, Y = tables(P, [2, 3], seed=3, rows=120, missing=0.0)
MORE: dict[str, Any] = {"weight": np.arange(120) % 3 + 0.5, "held_out": np.arange(120) % 4 == 0}

Change = Callable[[Any], dict[str, Any]]


def first(vector: CipherVec, length: int) -> CipherVec:
    taken = vector.take(np.arange(length))
    return taken.rerandomise(Seed("a party of the test", run_seed()))


def short(field: str) -> Change:
    """One number, or byte, less."""

    def change(m: Any) -> dict[str, Any]:
        value = getattr(m, field)
        if isinstance(value, CipherVec):
            return {field: first(value, len(value) - 1)}
        plain = isinstance(value, np.ndarray) or not hasattr(value, "take")
        return {field: value[:-1] if plain else value.take(np.arange(len(value) - 1))}

    return change


def other_keys(bits: int, party: int) -> Change:
    """As many, of a table of another size or for the other party."""
    return lambda m: {"keys": DpfKeys.deal(bytes(32), np.zeros(len(m.keys), dtype=np.int64), bits)[party]}


def wide(field: str) -> Change:
    """Numbers beyond the ring."""

    def change(m: Any) -> dict[str, Any]:
        value = getattr(m, field)
        return {field: value + PlainVec.from_ints([1 << 200]).take(np.zeros(len(value), dtype=np.int64))}

    return change


def numbers(field: str, by: int) -> Change:
    return lambda m: {field: getattr(m, field) + np.int32(by)}


TRAINING: list[tuple[type[Message], Change, set[str]]] = [
    (opening.SplitColumns, lambda m: {"count": -1}, {"host1"}),
    (opening.SplitColumns, lambda m: {"count": 2}, {"guest"}),
    (sealed.SealedStart, lambda m: {"columns": m.columns[:1]}, {"guest"}),
    (sealed.SealedStart, lambda m: {"columns": m.columns - np.int32(9)}, {"guest"}),
    (sealed.SealedStart, lambda m: {"rows": 0}, {"guest"}),
    (sealed.SealedStart, lambda m: {"rows": m.rows + 1}, {"guest"}),
    (sealed.SealedStart, lambda m: {"rows": 1 << 40}, {"guest"}),
    (sealed.SealedStart, lambda m: {"held_out": b"\xff" * len(m.held_out)}, {"guest"}),
    (sealed.SealedStart, short("held_out"), {"guest"}),
    (sealed.SealedStart, lambda m: {"model_id": b"short"}, {"guest"}),
    (sealed.TreeRowOrder, short("seed"), {"guest"}),
    (keys.PairKey, short("key"), {"guest", "arbiter"}),
    (scale.TargetScale, lambda m: {"label_log2": 99}, {"guest"}),
    (scale.TargetScale, lambda m: {"weight_log2": -99}, {"guest"}),
    (prepare.EncryptedPads, short("pads"), {"arbiter"}),
    (prepare.MaskedPadSums, short("sums"), {"guest", "host1"}),
    (look_up.Deal, short("seed"), {"host1"}),
    (look_up.LookupIndex, short("index"), {"guest", "arbiter"}),
    (look_up.MaskedFactors, short("rest"), {"guest", "arbiter"}),
    (sealed_link.EdgeShare, short("share"), {"guest"}),
    (gradients.Reshared, short("g"), {"arbiter"}),
    (gradients.Reshared, short("h"), {"arbiter"}),
    (gradients.Reshared, wide("g"), {"arbiter"}),
    (gradients.CutShare, short("h"), {"host1"}),
    (gradients.CutShare, wide("h"), {"host1"}),
    (factors.FactorLessPad, short("v"), {"arbiter"}),
    (factors.FactorLessPad, wide("v"), {"arbiter"}),
    (factors.FactorShare, short("w"), {"guest"}),
    (factors.FactorShare, wide("w"), {"guest"}),
    (factors.FactorProduct, short("v"), {"host1"}),
    (factors.FactorProduct, wide("v"), {"host1"}),
    (sealed.LevelShares, short("shares"), {"arbiter"}),
    (sealed.RootSums, lambda m: {"sums": PlainVec.zeros(0)}, {"guest"}),
    (sealed.Blocks, short("xi"), {"guest"}),
    (sealed.Blocks, wide("xi"), {"guest"}),
    (sealed.MaskedSums, short("sums"), {"guest", "host1"}),
    (sealed.Owners, numbers("owners", 5), {"arbiter"}),
    (sealed.Owners, numbers("owners", -5), {"arbiter"}),
    (sealed.Owners, short("owners"), {"arbiter"}),
    (sealed.Owners, short("positions"), {"arbiter"}),
    (sealed.Owners, numbers("positions", 5000), {"arbiter"}),
    (sealed.Wins, short("positions"), {"arbiter"}),
    (sealed.Wins, numbers("positions", 5000), {"arbiter"}),
    (sealed.Wins, lambda m: {"helps": -1}, {"arbiter"}),
    (sealed.Wins, lambda m: {"helps": 1000}, {"arbiter"}),
    (product.ShareLessPad, short("x"), {"guest", "arbiter"}),
    (product.ShareLessPad, wide("x"), {"guest", "arbiter"}),
    (product.ShareLessPad, short("u"), {"guest", "arbiter"}),
    (product.DirectionShare, short("s"), {"guest", "host1"}),
    (product.DirectionShare, wide("s"), {"guest", "host1"}),
    (product.DirectionShare, lambda m: {"low": m.low + b"."}, {"guest", "host1"}),
    (product.ProductShare, short("x"), {"host1"}),
    (product.ProductShare, wide("x"), {"host1"}),
    (product.ProductShare, short("u"), {"host1"}),
    (leaves.DealtLeaves, short("rest"), {"host1"}),
    (leaves.MaskedMembership, short("u"), {"guest"}),
    (leaves.MaskedLeaves, short("values"), {"arbiter"}),
    (held_out.HeldOutShare, lambda m: {"share": first(m.share, 0)}, {"arbiter"}),
    (held_out.HeldOutSign, lambda m: {"value": first(m.value, 0)}, {"guest"}),
    (held_out.RoundsKept, lambda m: {"rounds": -1}, {"arbiter"}),
    (held_out.RoundsKept, lambda m: {"rounds": 99}, {"arbiter"}),
]

SCORING: list[tuple[type[Message], Change, set[str]]] = [
    (
        walk.SealedName,
        lambda m: {"rows": m.rows + 1},
        {"guest", "arbiter"},
    ),  # the arbiter believes it: the guest then hears too much
    (walk.SealedName, lambda m: {"rows": -1}, {"guest"}),
    (walk.SealedName, lambda m: {"outputs": 0}, {"guest"}),
    (walk.SealedName, lambda m: {"outputs": 10**6}, {"guest"}),
    (walk.HelpOrder, short("places"), {"arbiter"}),
    (walk.HelpOrder, numbers("places", -50), {"arbiter"}),
    (walk.HelpOrder, numbers("places", 50), {"arbiter"}),
    (keys.PairKey, short("key"), {"guest", "arbiter"}),
    (product.ShareLessPad, short("u"), {"guest", "arbiter"}),
    (product.DirectionShare, short("low"), {"guest", "host1"}),
    (product.ProductShare, short("u"), {"host1"}),
    (leaves.DealtLeaves, short("rest"), {"host1"}),
    (scoring.ScoreGrid, lambda m: {"score_bits": -1}, {"arbiter"}),
    (scoring.ScoreGrid, lambda m: {"score_bits": 21}, {"arbiter"}),
    (rounding.DealtRounding, short("seed"), {"host1"}),
    (rounding.DealtRounding, lambda m: {"keys": m.keys.take(1, len(m.keys))}, {"host1"}),
    (rounding.DealtRounding, other_keys(4, 0), {"host1"}),
    (rounding.DealtRounding, other_keys(exact_cut.TABLE, 1), {"host1"}),
    (rounding.DealtRounding, lambda m: {"upper": m.upper + b"."}, {"host1"}),
    (rounding.DealtRounding, lambda m: {"products": m.products + b"."}, {"host1"}),
    (rounding.MaskedNumbers, short("numbers"), {"guest"}),
    (rounding.MaskedKey, short("numbers"), {"arbiter"}),
    (exact_cut.CutOpening, short("masked"), {"guest", "arbiter"}),
    (rounding.OpenedScores, short("shares"), {"arbiter"}),
]

NOTHING_TO_GET_WRONG = {held_out.MoreRounds, held_out.LowerLoss}  # one bit
ELSEWHERE = {key_offer.PublicKeyOffer}  # tests/unit/native/test_key_proof.py


def names(lies: list[tuple[type[Message], Change, set[str]]]) -> list[str]:
    return [f"{kind.kind}-{k}" for k, (kind, _, _) in enumerate(lies)]


@pytest.mark.parametrize(("kind", "change", "senders"), TRAINING, ids=names(TRAINING))
def test_a_message_of_training_that_does_not_fit_names_its_sender(
    kind: type[Message], change: Change, senders: set[str]
) -> None:
    with sent_instead(kind.kind, change), pytest.raises(RemoteProtocolError) as refused:
        train(BLOCKS, Y, P, SCHEME, **MORE)
    assert refused.value.party in senders


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(BLOCKS, Y, P, SCHEME, **MORE)


@pytest.mark.parametrize(("kind", "change", "senders"), SCORING, ids=names(SCORING))
def test_a_message_of_scoring_that_does_not_fit_names_its_sender(
    kind: type[Message], change: Change, senders: set[str], trained: Trained
) -> None:
    with sent_instead(kind.kind, change), pytest.raises(RemoteProtocolError) as refused:
        score(trained, BLOCKS, SCHEME)
    assert refused.value.party in senders


def test_every_kind_of_message_is_tried() -> None:
    sent: list[Sent] = []
    taps = {q: [Recording(q, sent)] for q in ("guest", "host1", "arbiter")}
    start = train(BLOCKS, Y, P, SCHEME, taps=taps, **MORE)
    score(start, BLOCKS, SCHEME, taps=taps)
    tried = {kind for kind, _, _ in [*TRAINING, *SCORING]}
    assert {s.kind for s in sent} == tried | NOTHING_TO_GET_WRONG | ELSEWHERE


@pytest.mark.parametrize("party", ["host1", "arbiter"])
def test_parts_of_two_models_do_not_score_together(party: str) -> None:
    """The one whose part is another says so."""
    trained = train(BLOCKS, Y, P, SCHEME, **MORE)
    assert trained.arbiter is not None
    if party == "arbiter":
        trained.arbiter = replace(trained.arbiter, model_id=b"another model...")
    else:
        trained.hosts[0].model_id = b"another model..."
    with pytest.raises(ModelError, match="guest scores with another model") as refused:
        score(trained, BLOCKS, SCHEME)
    assert refused.value.party == party


@pytest.mark.parametrize("party", ["host1", "arbiter"])
def test_parts_of_two_models_are_not_continued_together(party: str) -> None:
    p = Params(n_estimators=2, max_depth=2, max_bin=8, min_bin_rows=1)
    start = train(BLOCKS, Y, replace(p, n_estimators=1), SCHEME)
    assert start.arbiter is not None
    if party == "arbiter":
        start.arbiter = replace(start.arbiter, model_id=b"another model...")
    else:
        start.hosts[0].model_id = b"another model..."
    with pytest.raises(ModelError, match="another model") as refused:
        train(BLOCKS, Y, p, SCHEME, after=start)
    assert refused.value.party == party


@pytest.mark.parametrize("party", ["guest", "host1"])
def test_sums_that_are_not_over_the_rows_are_noticed(party: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that adds up anything else: parts of a node with more h than the node."""
    honest = Owned.answer

    def wrong(self: Owned, session: Session, tree: int, level: int, xi: PlainVec) -> PlainVec:
        found = honest(self, session, tree, level, xi)
        return found + session.seed("anything").integers(len(found), 40) if session.me == party else found

    monkeypatch.setattr(Owned, "answer", wrong)
    with pytest.raises(PlaintextOverflow, match="outside the range") as caught:
        train(BLOCKS, Y, P, TOY, **MORE)
    assert caught.value.party == party


def test_labels_and_weights_beyond_all_bounds_are_refused() -> None:
    p = small(objective="reg:squarederror")
    with pytest.raises(DataError, match="too large or too small"):
        train(BLOCKS, Y * 1e14, p, SCHEME)
    with pytest.raises(DataError, match="too large or too small"):
        train(BLOCKS, Y, small(), SCHEME, weight=np.full(120, 1e-14))
