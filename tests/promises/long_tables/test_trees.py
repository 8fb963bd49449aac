"""Trees on tables of many blocks: equal to the twin's, and in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import look_up, parts
from protocols.boosting import gradients, leaves, opening, prepare, product, scoring, sealed
from protocols.boosting.params import Params
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.message import Message
from tests.harness import TOY
from tests.promises.long_tables.blocks import ROWS, Underway, most_underway, sends, shrink
from tests.unit.protocols.boosting.samples import check_scores, sealed_and_its_twin, small, tables
from tests.unit.protocols.boosting.world import joined, roles_of, same, score, train, twin_trees


def params(**changes: object) -> Params:
    return small(**{"n_estimators": 1, "max_depth": 2, "max_bin": 4, **changes})


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_sealed_trees_of_tables_beyond_one_message_equal_the_twin(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, TOY.bits)
    p = params(gradient_bits=4)
    blocks, y = tables(p, [2, 3], seed=1, rows=rows)
    trained, trees = sealed_and_its_twin(p, blocks, y, TOY)
    check_scores(trained, blocks, trees, TOY)


def test_planted_fault_vectors_that_are_one_message_each_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, TOY.bits, in_blocks=False)
    p = params(gradient_bits=4)
    blocks, y = tables(p, [2, 3], seed=1, rows=ROWS["3 x 10^6"])
    with pytest.raises(LocalProtocolError, match="larger than a message may be"):
        train(blocks, y, p, TOY)


def test_open_trees_of_a_table_beyond_one_message_equal_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, TOY.bits)
    p = params(membership="open")
    blocks, y = tables(p, [2, 3], seed=1, rows=ROWS["3 x 10^6"])
    trained = train(blocks, y, p, TOY)
    expected, rounds = twin_trees(blocks, y, p)
    assert same(joined(trained), expected)
    assert np.array_equal(score(trained, blocks, TOY), rounds.margin)


@pytest.mark.parametrize("membership", ["sealed", "open"])
def test_no_party_is_far_ahead_of_another(membership: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    p = params(membership=membership)
    blocks, y = tables(p, [2, 2, 2], seed=2, rows=500)
    underway = Underway()
    trained = train(blocks, y, p, TOY, taps={party: underway.of(party) for party in roles_of(2).all})
    planes = 1 if membership == "open" else sealed.layout_of(p, 500, TOY.bits, weighted=False).planes
    assert len(joined(trained)) == 1
    assert max(underway.most.values()) < most_underway(TOY.bits, planes)
    assert 500 * planes * 2 * TOY.bits // 8 > 5 * most_underway(TOY.bits, planes)


FAULTS = ("missing", "repeated", "reordered", "oversize")
SENT: list[tuple[str, type[Message], str]] = [
    *((fault, prepare.EncryptedPads, "arbiter") for fault in FAULTS),
    *((fault, sealed.Blocks, "guest") for fault in FAULTS),
    *((fault, gradients.CutShare, "host1") for fault in FAULTS),
    *((fault, leaves.DealtLeaves, "host1") for fault in FAULTS),
    ("repeated", look_up.Deal, "host1"),
    ("repeated", sealed.LevelShares, "arbiter"),
    ("oversize", product.ShareLessPad, "arbiter"),
    ("missing", leaves.MaskedMembership, "guest"),
    *((fault, opening.RowGradients, "guest") for fault in FAULTS),
]


@pytest.mark.parametrize(("fault", "kind", "sender"), SENT)
def test_planted_faults_are_found(
    fault: str, kind: type[Message], sender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS", 37)
    p = params(membership="open" if kind is opening.RowGradients else "sealed")
    blocks, y = tables(p, [2, 3], seed=1, rows=150)
    with sends(fault, kind, sender), pytest.raises(RemoteProtocolError) as found:
        train(blocks, y, p, TOY)
    assert found.value.party == sender


@pytest.mark.parametrize("fault", ["missing", "repeated", "reordered"])
def test_planted_faults_in_scoring_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 37)
    p = params(membership="open")
    blocks, y = tables(p, [2, 3], seed=1, rows=150)
    trained = train(blocks, y, p, TOY)
    with sends(fault, scoring.AllDirections, "host1"), pytest.raises(RemoteProtocolError) as found:
        score(trained, blocks, TOY)
    assert found.value.party == "host1"
