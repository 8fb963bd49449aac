"""The arbiter's attack by bits of its own shares: if they drove the rounding of gradients, sums would tell who lies in
a bin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from protocols._native import PlainVec
from protocols.boosting import gradients
from protocols.boosting.gradients import Pair, deal, look_up_margins, of_looked_up
from protocols.boosting.params import Params
from protocols.boosting.scale import Scale
from protocols.cipher import Identity
from protocols.glm.sealed_link import receive_edge, tell_edge
from protocols.kept import KeptVec
from protocols.parts import parts
from protocols.session import Session
from tests.promises.attacks.trees.arbiter_view import View, watching
from tests.promises.attacks.trees.attacks import Bits, Floats, Ints
from tests.unit.protocols.boosting.samples import drawn_from
from tests.unit.protocols.boosting.world import Trained, bin_blocks, train

SIZES = {1: 20, 5: 4, 60: 2}  # rows of a bin: how many such bins a column has
ROWS, COLUMNS, ROUNDS = 300, 10, 200
RATE = 0.03  # of learning: the lower, the less a sum moves by itself from round to round
SMOOTH = 5  # rounds


@dataclass
class Known:
    """What the arbiter draws or computes for each row of each round, of g and of h."""

    shares: list[list[PlainVec]] = field(default_factory=list)
    pads: dict[str, PlainVec] = field(default_factory=dict)

    def lines(self, scale: Scale) -> dict[str, list[Floats]]:
        """By kind of number, of g and h: (rounds, rows) low bits, those that a cut drops."""
        rho = [[self.pads[f"round {t} rho {q}"] for q in range(2)] for t in range(len(self.shares))]
        kinds = {
            "share": self.shares,
            "pad": rho,
            "sent": [[a - b for a, b in zip(s, r, strict=True)] for s, r in zip(self.shares, rho, strict=True)],
        }
        return {
            name: [
                np.array([(line[q].residue(shift).to_i64() & ((1 << shift) - 1)) / 2.0**shift for line in rounds])
                for q, shift in enumerate(scale.shifts)
            ]
            for name, rounds in kinds.items()
        }


def table() -> tuple[Floats, Ints, Floats]:
    """The guest's column, the host's, and labels; each host column has bins of SIZES rows, the rest share one."""
    rng = np.random.default_rng(4)
    sizes = [size for size, count in SIZES.items() for _ in range(count)]
    line = np.repeat(np.arange(len(sizes) + 1), [*sizes, ROWS - sum(sizes)])
    theirs = np.array([rng.permutation(line) for _ in range(COLUMNS)]).T
    mine = rng.normal(size=(ROWS, 1))
    return mine, theirs, (mine[:, 0] + rng.logistic(size=ROWS) > 0).astype(np.float64)


def training(bits: int, *, local: bool) -> tuple[Trained, View, Known, Ints]:
    """local: planted, each holder cuts its own share."""
    mine, theirs, y = table()
    p = Params(
        n_estimators=ROUNDS, learning_rate=RATE, max_depth=1, min_bin_rows=1, gradient_bits=bits, min_child_weight=0.0
    )
    blocks, known, values, drawn = (
        bin_blocks([mine, theirs.astype(np.float64)], p),
        Known(),
        gradients.of_looked_up,
        gradients.pads,
    )

    def looked_up(looked: list[PlainVec], scale: Scale, labels: PlainVec | None) -> list[PlainVec]:
        found = values(looked, scale, labels)
        if labels is None:
            known.shares.append(found)
        return found

    def pads(keys: Any, party: str, label: str, scale: Scale, rows: int) -> list[PlainVec]:
        found = drawn(keys, party, label, scale, rows)
        known.pads.update({f"{label} {q}": pad for q, pad in enumerate(found)})
        return found

    with watching() as view, pytest.MonkeyPatch.context() as patch:
        if local:
            for name, function in (("guest", cut_guest), ("arbiter", cut_arbiter), ("host", cut_host)):
                patch.setattr(gradients, name, function)
        patch.setattr(gradients, "of_looked_up", looked_up)
        patch.setattr(gradients, "pads", pads)
        trained = train(blocks, y, p, Identity(), randomness=drawn_from(2, 1))
    if local:
        known.pads = {f"round {t} rho {q}": PlainVec.zeros(ROWS) for t in range(ROUNDS) for q in range(2)}
    assert trained.opened.order is not None
    return trained, view, known, blocks[1].bins[trained.opened.order]


def cut_guest(
    session: Session, keys: Any, scale: Scale, label: str, margin: Any, y: Floats, weight: Any, inside: Any
) -> Pair:
    looked, edge = look_up_margins(session, margin[:], scale.curves, *parts(len(y)), first=True)
    tell_edge(session, [edge])
    one = PlainVec.from_i64(np.ones(len(y), dtype=np.int64))
    values = of_looked_up(looked, scale, scale.labels(y[:]))
    return Pair(*(KeptVec.of(v.shift_right(s) + one) for v, s in zip(values, scale.shifts, strict=True)))


def cut_arbiter(session: Session, keys: Any, scale: Scale, label: str, margin: Any) -> tuple[Pair, int]:
    looked, edge = look_up_margins(session, margin[:], scale.curves, *parts(len(margin)), first=False)
    beyond, values = receive_edge(session, [edge]), gradients.of_looked_up(looked, scale, None)
    return Pair(*(KeptVec.of(v.shift_right(s)) for v, s in zip(values, scale.shifts, strict=True))), beyond


def cut_host(session: Session, keys: Any, scale: Scale, label: str, rows: int) -> None:
    deal(session, *parts(rows), len(scale.curves))


def told(trained: Trained, view: View, known: Known, bins: Ints) -> dict[int, float]:
    """By rows of a bin, the mean AUC of "row i lies in this bin" by the kind of low bits that does best."""
    assert trained.opened.scale is not None
    opened = view.sums(1, "host1", 0)
    found: dict[int, list[list[float]]] = {size: [] for size in SIZES}
    for lines in known.lines(trained.opened.scale).values():
        aucs: dict[int, list[float]] = {size: [] for size in SIZES}
        for column in range(COLUMNS):
            of_bins = [per_bin(opened, column, q) for q in (1, 2)]
            for b, size in enumerate(s for s, count in SIZES.items() for _ in range(count)):
                score = sum(match(line, sums[:, b]) for line, sums in zip(lines, of_bins, strict=True))
                aucs[size].append(auc(bins[:, column] == b, score))
        for size, values in aucs.items():
            found[size].append(values)
    return {size: max(float(np.mean(values)) for values in kinds) for size, kinds in found.items()}


def per_bin(opened: Sequence[Any], column: int, quantity: int) -> Floats:
    """(rounds, bins) sums of g (quantity 1) or h (2) over each bin but the last: differences of what stands left of a
    cut and of the one before."""
    cuts = sum(SIZES.values())
    left = np.array([entry[quantity][0][column * cuts : (column + 1) * cuts] for entry in opened], dtype=np.float64)
    return np.diff(left, axis=1, prepend=0.0)


def auc(inside: Bits, score: Floats) -> float:
    """As scikit-learn's, in less time."""
    few = inside.sum()
    return float((rankdata(score)[inside].sum() - few * (few + 1) / 2) / (few * (len(inside) - few)))


def match(line: Floats, sums: Floats) -> Floats:
    """(rows,) how well a row's low bits, taken off, explain what a bin's sum does from round to round."""
    rest = sums - np.convolve(np.pad(sums, SMOOTH // 2, mode="edge"), np.ones(SMOOTH) / SMOOTH, mode="valid")
    return np.asarray(-(line - line.mean(axis=0)).T @ rest) / (np.linalg.norm(rest) + 1e-9)


BITS = [4, 6, 8]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.slow
def test_low_bits_of_the_arbiter_tell_nothing_of_bins(bits: int) -> None:
    found = told(*training(bits, local=False))
    print(f"{bits} bits: AUC by rows of a bin {found}")
    assert max(found.values()) <= 0.55


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.slow
def test_with_a_local_cut_they_tell(bits: int) -> None:
    found = told(*training(bits, local=True))
    print(f"planted, {bits} bits: AUC by rows of a bin {found}")
    assert found[1] > 0.95
    assert found[5] > 0.95
    assert found[60] > 0.75
