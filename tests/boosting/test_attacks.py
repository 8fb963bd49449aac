"""What a host can make of a transcript for the labels, and the guest of directions for a host's table; on real data, both profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.boosting.params import Params
from protocols.cipher import Identity
from tests.boosting.attacks import choice_features, entropy_share, label_gain, node_features
from tests.boosting.test_accuracy import credit
from tests.boosting.world import bin_blocks, train
from tests.harness import Recording, Sent

ROWS, TREES, DEPTH = 4000, 8, 4


@pytest.fixture(scope="module")
def found(data_folder: Path) -> dict[str, tuple[float, float, float]]:
    """By profile: AUC that a host gains with 40 labels, and the shares of its bins' entropy that the guest is given in training and in scoring."""
    blocks, y = credit(data_folder, ROWS)
    result = {}
    for membership in ("shared", "hidden"):
        p = Params(n_estimators=TREES, max_depth=DEPTH, membership=membership)
        binned, transcript = bin_blocks(blocks, p), list[Sent]()
        trained = train(binned, y, p, Identity(), taps={"guest": [Recording("guest", transcript)]})
        shared = membership == "shared"
        received = node_features(transcript, ROWS, TREES, DEPTH) if shared else choice_features(transcript, DEPTH)
        training, scoring = (entropy_share(trained, binned, 1, all_rows=wide) for wide in (False, shared))
        result[membership] = (label_gain(blocks[1], received, y), training, scoring)
        print(f"{membership}: label AUC {result[membership][0]:+.3f}, bin entropy {training:.0%} in training, {scoring:.0%} with scoring")
    return result


def test_clustering_by_nodes_gains_labels_in_shared_and_nothing_in_hidden(found: dict[str, tuple[float, float, float]]) -> None:
    assert found["shared"][0] > 0.03  # the positive control
    assert found["hidden"][0] <= 0.02


def test_directions_of_a_rows_path_tell_less_than_those_of_all_rows(found: dict[str, tuple[float, float, float]]) -> None:
    assert found["hidden"][2] == found["hidden"][1] < 0.3
    assert found["shared"][2] > 1.5 * found["hidden"][2]
