"""What coalitions of a network with two hidden layers and two hosts read together, in training and in scoring: the
limits that docs/threat-model.md states, and what ends there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from protocols._native import PlainVec
from protocols.glm.block import fixed_point
from protocols.look_up import CUT
from protocols.network import first_layer, scoring
from protocols.network.activations import FRACTION
from protocols.network.dealt import Dealt
from protocols.network.plan import PRODUCT
from protocols.network.rows import FINEST, Own
from tests.unit.protocols.glm.test_glm import problem
from tests.unit.protocols.network.networks import TERMS, Floats
from tests.unit.protocols.network.test_scoring import Scorer
from tests.unit.protocols.network.twin import looked_up

ROWS, RING, WIDTHS = list(range(12)), 1 << 128, (2, 2, 2)
DEALER, OTHER = 1, 2  # hosts


def signed(values: list[int], bits: int = 128) -> list[int]:
    return [(v + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for v in values]


class Watched:
    """Trains a network of two layers with two hosts.  Of every run: the arbiter's share of each layer's sums as they
    are shared again, what guest and arbiter open of each factor, and both shares of its pad, which the dealer drew; of
    the training's first step what the hosts have of its last layer's gradient, and the arbiter's pads of it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.shares, self.opened = list[list[int]](), dict[str, PlainVec]()
        self.pads, self.gradients, self.hidden = dict[str, dict[str, PlainVec]](), list[PlainVec](), list[PlainVec]()
        patch.setattr(scoring, "reshared", self.reshared(scoring.reshared))
        patch.setattr(Dealt, "open", self.open(Dealt.open))
        patch.setattr(first_layer, "propagate_host", self.kept(first_layer.propagate_host, "host2"))
        patch.setattr(first_layer, "propagate_arbiter", self.kept(first_layer.propagate_arbiter, "arbiter"))
        self.scorer = Scorer(replace(TERMS, hidden=(4, 3), batch_size=40), WIDTHS)

    def reshared(self, honest: Any) -> Any:
        def reshared(session: Any, *given: Any) -> Any:
            found = honest(session, *given)
            self.shares += [found.to_ints()] if session.me == "arbiter" else []
            return found

        return reshared

    def open(self, honest: Any) -> Any:
        def open_(dealt: Dealt, *given: Any, **factors: PlainVec) -> None:
            honest(dealt, *given, **factors)
            self.opened = dict(dealt.opened)
            self.pads["guest" if dealt.first else "arbiter"] = dealt.pads

        return open_

    def kept(self, honest: Any, who: str) -> Any:
        def kept(session: Any, *given: Any) -> Any:
            found = honest(session, *given)
            if session.me == "host2" == who:
                self.gradients.append(found)
            elif who == "arbiter":
                self.hidden.append(given[1].residual)
            return found

        return kept

    def scored(self, blocks: list[Floats]) -> list[list[int]]:
        """The arbiter's shares of each layer's sums of the first rows."""
        self.shares.clear()
        self.scorer.scores(blocks, ROWS)
        return list(self.shares)

    def moved(self, by: dict[int, float], rows: int = len(ROWS)) -> list[Floats]:
        """The parties' columns, moved in the first rows of some of them."""
        blocks = [block.copy() for block in self.scorer.blocks]
        for party, step in by.items():
            blocks[party][:rows] += step
        return blocks

    def second(self, blocks: list[Floats]) -> Floats:
        """The second layer's sums in the clear, one unit after the other."""
        twin = self.scorer.twin
        w, c = twin.further[0]
        sums = w.used @ self.first(blocks) + (c.used << FRACTION)[:, np.newaxis]
        return np.asarray(sums / 2.0**PRODUCT).ravel()

    def first(self, blocks: list[Floats]) -> Any:
        """The first layer's activations."""
        twin = self.scorer.twin
        z = twin.first.used @ fixed_point(np.concatenate(blocks, axis=1)[ROWS], True).T
        return looked_up(twin.plan.terms.curves[0].value, z)

    def read(self, by: dict[int, float]) -> tuple[Floats, Floats]:
        """By how much the second layer's sums change where some parties' columns do, as the arbiter's shares have it,
        and in truth."""
        both = self.scorer.blocks, self.moved(by)
        before, after = (self.scored(blocks)[1] for blocks in both)
        told = signed([b - a for a, b in zip(before, after, strict=True)])
        return np.array([value / 2.0**FINEST for value in told]), self.second(both[1]) - self.second(both[0])


@pytest.fixture(scope="module")
def watched() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield Watched(patch)


# -- arbiter and a host that does not deal, in scoring


@pytest.mark.parametrize("by", [{OTHER: 0.5}, {DEALER: 0.5}])
def test_scorings_between_which_one_host_s_columns_change_tell_nothing(watched: Watched, by: dict[int, float]) -> None:
    read, truth = watched.read(by)
    assert np.abs(truth).max() > 0.1
    assert np.abs(read - truth).min() > 1e3  # uniform modulo 2^128


def test_pads_that_are_not_bound_to_all_parties_values_give_the_changes_away(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: pads of the second layer that the guest draws from its own values alone."""
    bound = Own.bound_pads
    monkeypatch.setattr(Own, "bound_pads", lambda own, rows, first: bound(own, rows, PlainVec.zeros(len(first))))
    read, truth = watched.read({OTHER: 0.5})
    assert np.abs(truth).max() > 0.1
    assert np.abs(read - truth).max() < 1e-3


def test_the_arbiter_sees_of_each_row_whether_any_value_changed_and_no_more(watched: Watched) -> None:
    before, after = watched.scored(watched.scorer.blocks), watched.scored(watched.moved({OTHER: 0.5}, rows=5))
    for layer, units in enumerate((4, 3)):
        same = np.array([a == b for a, b in zip(before[layer], after[layer], strict=True)]).reshape(units, -1)
        assert not same[:, :5].any()
        assert same[:, 5:].all()


# -- the dealer with one of the two


def test_the_dealer_and_either_holder_read_activations_and_other_hosts_do_not(watched: Watched) -> None:
    """Why the job needs `dealer-collusion`."""
    watched.scored(watched.scorer.blocks)
    pads = watched.pads["guest"]["A1"].add_mod_2_128(watched.pads["arbiter"]["A1"])
    truth = watched.first(watched.scorer.blocks).ravel() / 2.0**FRACTION
    padded = np.array(signed(watched.opened["A1"].to_ints())) / 2.0 ** (FRACTION + CUT)
    read = np.array(signed(watched.opened["A1"].add_mod_2_128(pads).to_ints())) / 2.0 ** (FRACTION + CUT)
    assert np.abs(read - truth).max() < 1e-3
    assert np.abs(padded - truth).min() > 1e3


# -- arbiter and any host, in training


def labels_read(numbers: list[int]) -> float:
    """The AUC with which a step's numbers of some unit tell labels."""
    _, y = problem(n=40, widths=WIDTHS)
    return max(abs(roc_auc_score(y, one) - 0.5) + 0.5 for one in np.array(numbers, dtype=float).reshape(4, -1))


def test_arbiter_and_any_host_read_labels_from_a_step_and_two_hosts_do_not(watched: Watched) -> None:
    bits = watched.scorer.twin.plan.slots[0].g_bits
    e, r = watched.gradients[0], watched.hidden[0]
    assert labels_read(signed((e + r).to_ints(), bits)) == 1.0
    assert labels_read(signed(e.to_ints(), bits)) < 0.8
