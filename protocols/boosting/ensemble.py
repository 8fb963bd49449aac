"""What guest and hosts keep of open trees (hosts of sealed ones too), and the guest's state while they are trained.
The parts are never joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.binning.quantile import Bins, Candidates
from protocols.boosting import goss, objective
from protocols.boosting.packing import Floats
from protocols.boosting.params import Params
from protocols.boosting.tree import LEAF, Tree
from protocols.errors import ConfigError, DataError
from protocols.parts import parts
from protocols.recovery.checkpoint import Arrays

Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The guest's part of open trees: the structure of all trees, its own splits, gains and leaf values; of hosts'
    splits the handles only."""

    params: Params
    model_id: bytes
    base: Floats  # (outputs,) the margin before any tree
    trees: tuple[Tree, ...]  # tree t adds to output t % num_class

    def margin(self, leaf_steps: list[Floats], rows: int) -> Floats:
        """(rows, outputs) from every tree's step of every row."""
        total = np.tile(self.base, (rows, 1))
        for t, step in enumerate(leaf_steps):
            total[:, t % self.params.num_class] += step
        return total

    def importance(self, kind: str = "gain") -> dict[tuple[int, int], float]:
        """By (party, column) at the guest (party 0), and by (party, -1) for hosts, whose columns it cannot distinguish:
        summed gains, or splits ("split")."""
        found: dict[tuple[int, int], float] = {}
        for tree in self.trees:
            for node in np.flatnonzero(tree.owner != LEAF):
                owner = int(tree.owner[node])
                name = (owner, int(tree.feature[node]) if owner == 0 else -1)
                found[name] = found.get(name, 0.0) + (float(tree.gain[node]) if kind == "gain" else 1.0)
        return found


@dataclass(eq=False)
class HostSplits:
    """A host's part: what each handle stands for, in the order in which they were won.  It never learns gains.

    Of sealed trees: seat, the (joint tree, level, seat) of each handle; trees, how many joint trees there are;
    score_key (32,) secret bytes: what the name follows from under which this host counts the model's scores.
    """

    model_id: bytes
    feature: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    missing_left: list[bool] = field(default_factory=list)
    seat: list[tuple[int, int, int]] = field(default_factory=list)
    trees: int = 0
    score_key: bytes = field(default=b"", repr=False)

    def __len__(self) -> int:
        return len(self.feature)

    def keep(self, candidates: Candidates, c: int, seat: tuple[int, int, int] | None = None) -> int:
        """A new handle for candidate `c`."""
        if seat is not None:
            self.seat.append(seat)
        self.feature.append(int(candidates.feature[c]))
        self.cut.append(int(candidates.cut[c]))
        self.missing_left.append(bool(candidates.missing_left[c]))
        return len(self) - 1

    def continued(self, model_id: bytes, kept: int) -> HostSplits:
        """A copy of the first `kept` under another name, to which other trees can be added."""
        return HostSplits(
            model_id,
            self.feature[:kept],
            self.cut[:kept],
            self.missing_left[:kept],
            self.seat[:kept],
            self.trees,
            self.score_key,
        )

    def first(self, trees: int) -> HostSplits:
        """A copy with the first sealed trees alone."""
        kept = sum(tree < trees for tree, _, _ in self.seat)
        return replace(self.continued(self.model_id, kept), trees=trees)

    def handles_by_level(self, depth: int) -> list[list[int]]:
        """Of sealed trees, the handles at each level in the order of trees and seats."""
        found: list[list[tuple[int, int, int]]] = [[] for _ in range(depth)]
        for handle, (tree, level, seat) in enumerate(self.seat):
            found[level].append((tree, seat, handle))
        return [[handle for _, _, handle in sorted(level)] for level in found]

    def save(self) -> Arrays:
        """All but the model's name, which is agreed before the first tree."""
        return {
            "feature": np.array(self.feature, np.int64),
            "cut": np.array(self.cut, np.int64),
            "missing_left": np.array(self.missing_left, np.bool_),
            "seat": np.array(self.seat, np.int64).reshape(-1, 3),
            "trees": np.array(self.trees),
        }

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.feature, self.cut, self.missing_left = (
            saved[name].tolist() for name in ("feature", "cut", "missing_left")
        )
        self.seat = [(tree, level, seat) for tree, level, seat in saved["seat"].tolist()]
        self.trees = int(saved["trees"])

    def goes_left(self, binned: Bins, rows: NDArray[np.integer[Any]] | slice, handle: int) -> Bits:
        return binned.goes_left(rows, self.feature[handle], self.cut[handle], self.missing_left[handle])


class Rounds:
    """The guest's side of training: labels and weights, the margins so far, the trees so far, and when to stop.

    y (n,), weight (n,) or None for ones, held_out (n,): rows that no tree is trained on and on which early stopping
    evaluates the loss.
    before: trees to continue, and the margins (n, outputs) that they give.  Raises DataError for labels that do not
    fit, ConfigError.
    """

    def __init__(
        self,
        p: Params,
        y: Floats,
        *,
        weight: Floats | None = None,
        held_out: Bits | None = None,
        before: tuple[Ensemble, Floats] | None = None,
    ) -> None:
        self.p, self.y = p, np.asarray(y, dtype=np.float64)
        self.weight = np.broadcast_to(np.float64(1), len(self.y)) if weight is None else weight  # of which one is held
        self.held_out = np.zeros(len(y), dtype=np.bool_) if held_out is None else held_out
        self.check()
        train = ~self.held_out
        self.trees: list[Tree] = []
        self.before = b""  # the name of the model that is continued
        if before is None:
            self.base = objective.base_margin(p, self.y[train], self.weight[train])
            self.margin = np.tile(self.base, (len(y), 1))
        else:
            model, self.margin = before[0], before[1].copy()
            p.check_continues(model.params, len(model.trees))
            self.base, self.trees, self.before = model.base, list(model.trees), model.model_id
        self.first = len(self.trees)
        self._losses: list[float] = []

    def check(self) -> None:
        objective.check_labels(self.p, self.y[~self.held_out])
        if not (np.isfinite(self.weight).all() and (self.weight >= 0).all() and self.weight[~self.held_out].sum() > 0):
            raise DataError("row weights must be finite, at least 0 and not all 0", remedy="Correct the weights")
        if self.p.early_stopping_rounds and not self.held_out.any():
            raise ConfigError(
                "early_stopping_rounds needs rows that are held out", remedy="Hold some out, or leave it at 0"
            )

    @property
    def numbers(self) -> range:
        """The rounds to train."""
        return range(self.first // self.p.num_class, self.p.n_estimators)

    def gradients(self, number: int) -> RoundGradients:
        """Of a round; all its trees use the margins from before it."""
        return RoundGradients(self, number)

    def add(self, grown: Sequence[tuple[Tree, NDArray[np.integer[Any]]]]) -> None:
        """A round's trees, one a class, each with the leaf (n,) of every row."""
        self.trees += [tree for tree, _ in grown]
        for part in parts(len(self.margin)):
            self.margin[part.rows] += np.column_stack([tree.value[at[part.rows]] for tree, at in grown])
        if self.held_out.any():
            self._losses.append(objective.loss(self.p, self.y[self.held_out], self.margin[self.held_out]))

    def won(self, party: int) -> int:
        """How many splits of all trees so far are this party's: its next handle."""
        return sum(int((tree.owner == party).sum()) for tree in self.trees)

    def save(self) -> Arrays:
        """The trees and what the next one starts from; gradients, which reveal labels, are computed again."""
        parts = {
            f.name: np.concatenate([getattr(tree, f.name) for tree in self.trees] or [np.zeros(0)])
            for f in fields(Tree)
        }
        return parts | {
            "nodes": np.array([len(tree) for tree in self.trees], np.int64),
            "margin": self.margin,
            "losses": np.array(self._losses),
        }

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        edges = np.cumsum(saved["nodes"])[:-1]
        trees = zip(*(np.split(saved[f.name], edges) for f in fields(Tree)), strict=True) if len(saved["nodes"]) else ()
        self.trees = [Tree(*parts) for parts in trees]
        self.margin, self._losses = saved["margin"], saved["losses"].tolist()

    def stops(self) -> bool:
        """After a round: whether the held-out loss has not improved for `early_stopping_rounds` rounds."""
        patience = self.p.early_stopping_rounds
        return bool(patience) and len(self._losses) - 1 - int(np.argmin(self._losses)) >= patience

    def ensemble(self, model_id: bytes) -> Ensemble:
        """The guest's part; with early stopping, up to the best of the new rounds."""
        best = len(self.trees)
        if self.p.early_stopping_rounds and self._losses:
            best = self.first + (int(np.argmin(self._losses)) + 1) * self.p.num_class
        trees = tuple(self.trees[:best])
        return Ensemble(self.p, model_id, self.base, trees)


class RoundGradients:
    """Exact g and h of each row in a round, of which none is held; sampled (n,): the round's rows."""

    def __init__(self, rounds: Rounds, number: int) -> None:
        self._rounds, self._factor = rounds, None
        if goss.samples(rounds.p, number):
            g = np.concatenate([self.block(part.rows)[0] for part in parts(len(rounds.y))])
            self.sampled, self._factor = goss.draw(rounds.p, number, g, ~rounds.held_out)
        else:
            self.sampled = rounds.p.sampled(number, rounds.held_out)

    def block(self, rows: slice) -> tuple[Floats, Floats]:
        """As `packing.Gradients`."""
        own = self._rounds
        g, h = objective.gradients(own.p, own.y[rows], own.margin[rows], own.weight[rows])
        if self._factor is None:
            return g, h
        factor = self._factor[rows, None]
        return g * factor, h * factor


def may_end(p: Params, number: int) -> bool:
    """Whether early stopping may end training after a round: after each but the last."""
    return bool(p.early_stopping_rounds) and number + 1 < p.n_estimators


def tells(p: Params, number: int, first: int) -> bool:
    """Whether hosts, who are asked for a round, hear before it whether early stopping has ended training; first: the
    number of the first new round."""
    return bool(p.early_stopping_rounds) and number >= p.guest_only_trees and number > first
