"""Scores of regressions and bins by the label, over many blocks: the same numbers, and bad blocks are found."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import parts
from protocols.binning import by_label
from protocols.cipher import Paillier
from protocols.errors import LocalProtocolError, RemoteProtocolError
from protocols.glm.scoring import MaskedProducts
from tests.harness import TOY
from tests.promises.long_tables.blocks import ROWS, shrink
from tests.promises.long_tables.blocks import sends as sending
from tests.unit.protocols.binning import test_woe as woe
from tests.unit.protocols.glm.test_scoring import World

KEY_BITS = 512
FAULTS = ("missing", "repeated", "reordered", "oversize")


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_scores_beyond_one_message_are_exact(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, KEY_BITS)
    world = World(1, rows)
    assert np.array_equal(world.score(Paillier(KEY_BITS)), world.wanted)


def test_planted_fault_products_that_are_one_message_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, KEY_BITS, in_blocks=False)
    with pytest.raises(LocalProtocolError, match="larger than a message may be"):
        World(1, ROWS["10^7"]).score(Paillier(KEY_BITS))


@pytest.mark.parametrize("models", [1, 3, 20])
def test_scores_of_several_models_are_exact_in_blocks(models: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 16)
    world = World(2, 40, models=models)
    assert np.array_equal(world.score(Paillier(KEY_BITS)), world.wanted)


def test_bins_by_the_label_are_exact_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = woe.run(TOY)
    monkeypatch.setattr(parts, "ROWS", 37)
    for name, columns in woe.run(TOY)["guest"][1].items():
        for found, expected in zip(columns, whole["guest"][1][name], strict=True):
            assert np.array_equal(found.merged.rows, expected.merged.rows)
            assert np.array_equal(found.merged.events, expected.merged.events)


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_in_scores_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 37)
    with sending(fault, MaskedProducts, "h0"), pytest.raises(RemoteProtocolError) as found:
        World(1, 150).score(Paillier(KEY_BITS))
    assert found.value.party == "h0"


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_in_labels_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 37)
    with sending(fault, by_label.BinnedLabels, "guest"), pytest.raises(RemoteProtocolError) as found:
        woe.run(TOY)
    assert found.value.party == "guest"
