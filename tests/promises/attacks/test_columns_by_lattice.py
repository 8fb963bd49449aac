"""Arbiter and guest together: the hosts' columns themselves, from predictors that are exact integers.

Weights are whole numbers of units, and so predictors z = X w of many iterations are integer combinations of X's columns:
short vectors of the lattice that they span are these columns, or small combinations of them.  Prepared iterations with
exact predictors told more: a host's share of X u_t holds, in its last places, X u_(t-1) / 2^width, and the two know u.
Those of look-ups are coarser than what spills over (digits.py), and of two digits of each column.
"""  # noqa: E501

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols._native import PlainVec
from protocols.cipher import Identity
from protocols.glm import preparation, prepared
from protocols.glm.block import fixed_point
from protocols.glm.chunks import layouts
from protocols.glm.digits import COARSE, EXACT, Digits
from protocols.glm.links_on_shares import SealedOnShares
from protocols.glm.plan import Penalty, rows_log2
from protocols.glm.predictors import Predictor
from protocols.glm.preparation import PreparedPredictor
from protocols.glm.prepared import PaddedPredictor
from protocols.session import Session
from tests.harness import TOY, Escrow
from tests.promises.attacks.families import problem
from tests.promises.attacks.host_view import Matrix, record
from tests.promises.attacks.test_prepared_iterations import LINK
from vfl.attacks.lattice import reduced

COLUMNS, PASSES = 3, 34
STAGES = (2.0**4, 2.0**8, 2.0**14, 2.0**24, 2.0**32, 2.0**38)  # how exact the predictors are taken to be


def table() -> tuple[list[Matrix], Matrix]:
    _, blocks, y = problem("exact")
    return [blocks[0], blocks[1][:, :COLUMNS]], y


def seen_together() -> tuple[Matrix, Matrix]:
    """(iterations, rows) what arbiter and guest make of the host's predictors, and (iterations, columns) which multiple
    of the digits of the host's columns they know to be in it, in units of these digits' weights."""
    blocks, y = table()
    scheme: Any = Escrow(Identity())  # type: ignore[arg-type]
    drawn, honest = list[list[PlainVec]](), preparation.drawn

    def recorded(session: Session, label: str, *rest: Any) -> list[PlainVec]:
        found = honest(session, label, *rest)
        if label == "weight pad host":
            drawn.append(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "drawn", recorded)
        view, transcript = record(blocks, y, LINK, PASSES, scheme, prepared=True)
    key, predictors, known = scheme.keys[0], [], []
    chunks = layouts(LINK.plan(rows_log2(len(y)), Penalty(1.0), PASSES, 2, key.public.plain_bits), LINK, None)
    packs = [key.open_whole(s.message(view.keys).v) for s in transcript if s.kind is PreparedPredictor]  # type: ignore[attr-defined]
    padded = iter([s.message(view.keys).values for s in transcript if s.kind is PaddedPredictor])  # type: ignore[attr-defined]
    for slots, pack, u in zip(chunks, packs, drawn, strict=True):
        for t, cut in enumerate(slots.cut_rows(pack, len(y))):
            z = (next(padded) + cut).residue(slots.z_bits).to_ints()
            if t:  # the slot below is that of the same row
                predictors.append([float(v) for v in z])
                known.append([v / 2.0**slots.z_width for v in u[t - 1].residue(slots.z_bits).to_ints()])
    return np.array(predictors), np.array(known)


def columns_found(predictors: Matrix, known: Matrix, digits: Digits = COARSE) -> float:
    """z_t = X (w_t + k_t), with known k_t and integers w_t, where X are the first digits of the columns, or all: the
    part of the entries of the first digits that is found to 3% of a column's deviation, with the exactness that finds
    most."""
    counts = {COLUMNS, known.shape[1]}
    return max(found_among(predictors, known[:, :count], digits) for count in counts)


def found_among(predictors: Matrix, known: Matrix, digits: Digits) -> float:
    """With so many columns as are known."""
    passes = len(predictors)
    span = np.linalg.svd(predictors, full_matrices=False)[0][:, : known.shape[1]]
    off = np.eye(passes) - span @ span.T
    basis, found = np.array([[int(i == j) for j in range(passes)] for i in range(passes)], dtype=object), [0.0]
    truth = digits.of_rows(fixed_point(table()[0][1], intercept=False))[:, :COLUMNS]
    for exactness in STAGES:
        far = np.rint(exactness * basis.astype(np.longdouble) @ off.astype(np.longdouble))
        both = reduced(np.array([[*map(int, a), *b] for a, b in zip(far, basis, strict=True)], dtype=object))
        basis = both[:, passes:]
        whole = np.array([nearest(both.astype(np.float64), exactness * off @ k) + k for k in known.T]).T
        x = np.linalg.lstsq(whole, predictors, rcond=None)[0].T
        found.append(float((np.abs(x[:, :COLUMNS] - truth) < 2 ** (digits.features[0] - 5)).mean()))
    return max(found)


def nearest(both: Matrix, target: Matrix) -> Matrix:
    """Babai's nearest plane: the integers w for which w + k is almost in the span."""
    passes = len(both)
    axes, left, w = np.linalg.qr(both.T)[0], -np.r_[target, np.zeros(passes)], np.zeros(passes)
    for i in reversed(range(passes)):
        q = np.rint(left @ axes[:, i] / (both[i] @ axes[:, i]))
        left, w = left - q * both[i], w + q * both[i, passes:]
    return w


def test_arbiter_and_guest_do_not_find_a_host_s_columns_in_prepared_iterations() -> None:
    assert columns_found(*seen_together()) < 0.2


def test_planted_exact_predictors_without_an_error_give_the_columns_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SealedOnShares, "digits", EXACT)
    assert columns_found(*seen_together(), EXACT) < 0.2
    monkeypatch.setattr(prepared, "error_bits", lambda digits, rows: 1)
    predictors, known = seen_together()
    assert columns_found(predictors, known, EXACT) > 0.99
    assert columns_found(predictors, np.roll(known, 1, axis=0), EXACT) < 0.2  # of other iterations


def test_exact_predictors_give_the_columns_away() -> None:
    """Of the direct protocol, and wherever a loss is opened: declared in docs/threat-model.md."""
    blocks, y = table()
    scheme = Escrow(TOY)
    view, transcript = record(blocks, y, LINK, 12, scheme)
    opened = [scheme.keys[0].open_whole(s.message(view.keys).z).to_ints() for s in transcript if s.kind is Predictor]  # type: ignore[attr-defined]
    z = np.array(opened[1:], dtype=object)  # the first are 0
    few = [[*map(int, 2**20 * z[t, :10]), *(int(t == s) for s in range(len(z)))] for t in range(len(z))]
    basis = reduced(np.array(few, dtype=object))[-COLUMNS:, 10:]
    vectors = reduced(basis @ z)
    truth = fixed_point(blocks[1], intercept=False)
    assert {j for v in vectors for j in range(COLUMNS) if (v == truth[:, j]).all() or (v == -truth[:, j]).all()} == {
        *range(COLUMNS)
    }
