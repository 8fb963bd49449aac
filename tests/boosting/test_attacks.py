"""What a host can make of a transcript for the labels, and the guest of directions for a host's table; on real data, both profiles."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from protocols.boosting.params import Params
from protocols.cipher import Identity
from tests.boosting.attacks import choice_features, entropy_share, label_gain, node_features, orderable
from tests.boosting.test_accuracy import credit
from tests.boosting.world import bin_blocks, train
from tests.harness import Recording, Sent

ROWS, TREES, DEPTH = 4000, 8, 4


class Found(NamedTuple):
    label_auc: float  # that a host with 40 labels gains
    training: float  # the share of its bins' entropy that directions give the guest
    scoring: float  # the same with those of scoring
    cuts_won: float  # the share of its cuts that won a node
    pairs_ordered: float  # of all pairs of cuts of a column, those whose order directions show


@pytest.fixture(scope="module")
def found(data_folder: Path) -> dict[str, Found]:
    """By profile, what a host gains and what the guest is given."""
    blocks, y = credit(data_folder, ROWS)
    result = {}
    for membership in ("shared", "hidden"):
        p = Params(n_estimators=TREES, max_depth=DEPTH, membership=membership)
        binned, transcript = bin_blocks(blocks, p), list[Sent]()
        trained = train(binned, y, p, Identity(), taps={"guest": [Recording("guest", transcript)]})
        shared = membership == "shared"
        received = node_features(transcript, ROWS, TREES, DEPTH) if shared else choice_features(transcript, DEPTH)
        training, scoring = (entropy_share(trained, binned, 1, all_rows=wide) for wide in (False, shared))
        won, ordered = orderable(trained, binned, 1, all_rows=shared)
        result[membership] = Found(label_gain(blocks[1], received, y), training, scoring, won, ordered)
        print(membership, result[membership])
    return result


def test_clustering_by_nodes_gains_labels_in_shared_and_nothing_in_hidden(found: dict[str, Found]) -> None:
    assert found["shared"].label_auc > 0.03  # the positive control
    assert found["hidden"].label_auc <= 0.02


def test_directions_of_a_rows_path_tell_less_than_those_of_all_rows(found: dict[str, Found]) -> None:
    assert found["hidden"].scoring == found["hidden"].training < 0.3
    assert found["shared"].scoring > 1.5 * found["hidden"].scoring


def test_few_pairs_of_cuts_can_be_ordered(found: dict[str, Found]) -> None:
    assert all(0 < f.pairs_ordered < 0.1 and 0 < f.cuts_won < 0.5 for f in found.values())
