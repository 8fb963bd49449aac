"""What a guest reads below the grid of scores that sealed trees open, if it scores a row many times: with columns that
no tree uses, and with columns that move the margin by amounts that it knows; and of the key that decides the rounding.

The models are made by hand: the guest's trees move a margin by 1/2, 1/4, .. of a step, and its last columns are used by
no tree; the host's trees give a row's margin, which the attacker wants to know below a step.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from protocols.binning.quantile import Binned, Binner
from protocols.boosting import rounding, scoring
from protocols.boosting.ensemble import Ensemble, HostSplits
from protocols.boosting.params import Params
from protocols.boosting.rounding import BELOW, KEY, NUMBERS
from protocols.boosting.sealed_parts import GUEST, ArbiterTrees, GuestTrees, Shape
from protocols.cipher import Identity
from protocols.glm.sealed_link import UNIT
from protocols.local import run_local
from protocols.randomness import Seed
from tests.unit.protocols.boosting.world import Floats, Ints, roles_of

ROWS, MOVES, UNUSED, BITS = 60, 10, 6, 10
NAME, STEP = b"made by hand ...", 1 << (UNIT - BITS)
P = Params(n_estimators=2 * MOVES, max_depth=1, score_bits=BITS)
OWNER = np.repeat([GUEST, 1], MOVES)[:, None]
COLUMN = np.tile(np.arange(MOVES), 2)[:, None]
SHAPE = Shape(1, OWNER, np.zeros_like(OWNER))
MOVED = STEP >> np.arange(1, MOVES + 1)  # by each of the guest's trees, where its column is 1


def table(bins: Any) -> Binned:
    columns = bins.shape[1]
    return Binned(Binner((np.array([0.5]),) * columns, (False,) * columns, (None,) * columns), bins.astype(np.int16))


def values() -> Ints:
    """(trees, 2) leaf values."""
    of_host = np.random.default_rng(3).integers(-(STEP << 6), STEP << 6, (MOVES, 2))
    return np.concatenate([np.stack([np.zeros_like(MOVED), MOVED], axis=1), of_host])


def truth(theirs: Any) -> Ints:
    """(rows,) what the host's trees add."""
    return np.asarray(values()[MOVES + np.arange(MOVES), theirs].sum(axis=1))


def opened(mine: Any, theirs: Any, names: list[bytes]) -> Ints:
    """(rows,) the steps of the grid that the guest reads."""
    nothing = np.zeros(SHAPE.owner.shape, dtype=np.bool_)
    own = Ensemble(P, NAME, np.zeros(1), ())
    part = GuestTrees(own, SHAPE, COLUMN, np.zeros_like(COLUMN), nothing, 2.0**-UNIT, b"g" * KEY)
    splits = HostSplits(NAME, COLUMN[MOVES:, 0].tolist(), [0] * MOVES, [False] * MOVES)
    splits.seat, splits.trees = [(MOVES + k, 0, 0) for k in range(MOVES)], 2 * MOVES
    programs: dict[str, Any] = {
        "guest": partial(scoring.guest, binned=table(mine), part=part, names=names),
        "host1": partial(scoring.host, binned=table(theirs), part=splits, depth=1),
        "arbiter": partial(scoring.arbiter, part=ArbiterTrees(NAME, 1, BITS, SHAPE, values(), b"k" * KEY)),
    }
    found = run_local(roles_of(1), programs, Identity(), deadline=60.0)["guest"][:, 0]
    return np.rint(found * 2.0**BITS).astype(np.int64)


@pytest.fixture
def rows() -> tuple[Any, list[bytes]]:
    rng = np.random.default_rng(4)
    return rng.integers(0, 2, (ROWS, MOVES)), [b"customer %d" % k for k in range(ROWS)]


def off(guess: Floats, theirs: Any) -> float:
    """The mean error of guesses of the margin, in steps."""
    return float(np.abs(guess - truth(theirs) / STEP).mean())


def test_columns_that_no_tree_uses_average_the_rounding_slowly(rows: tuple[Any, list[bytes]]) -> None:
    """n scores of one margin tell it to about 1 / (2 sqrt n) of a step; the control opens a margin less a number below
    a step, as earlier builds did: about 1 / n."""
    theirs, names = rows
    times = 1 << UNUSED
    extra = (np.arange(times)[:, None] >> np.arange(UNUSED)) & 1
    mine = np.tile(np.hstack([np.zeros((times, MOVES), dtype=np.int64), extra]), (ROWS, 1))
    found = opened(mine, np.repeat(theirs, times, axis=0), [n for n in names for _ in range(times)])
    honest = off(found.reshape(ROWS, times).mean(axis=1), theirs)
    less = truth(theirs)[:, None] / STEP - np.random.default_rng(5).random((ROWS, times))
    control = off((less.max(axis=1) + less.min(axis=1) + 1) / 2, theirs)
    print(f"{times} scores of a row: off by {honest:.4f} of a step, a margin less a number by {control:.4f}")
    assert control < 1 / times < 2 / times < honest
    assert 0.2 < honest * np.sqrt(times) < 0.5


def moved(moves: Ints, theirs: Any, names: list[bytes]) -> Ints:
    """(rows,) what the guest reads where its trees move each row's margin by these parts, of 2^MOVES, of a step."""
    bits = (moves[:, None] >> (MOVES - 1 - np.arange(MOVES))) & 1
    return opened(np.hstack([bits, np.zeros((ROWS, UNUSED), dtype=np.int64)]), theirs, names)


def bisected(theirs: Any, names: list[bytes]) -> float:
    """The guest halves in each scoring what it does not know of the fraction of a row's margin; how far it is off."""
    first = moved(np.zeros(ROWS, dtype=np.int64), theirs, names)
    low, high = np.zeros(ROWS), np.ones(ROWS)
    for _ in range(MOVES):
        moves = np.floor((1 - (low + high) / 2) * (1 << MOVES)).astype(np.int64)
        at, over = 1 - moves / (1 << MOVES), moved(moves, theirs, names) > first
        low, high = np.where(over, np.maximum(low, at), low), np.where(over, high, np.minimum(high, at))
    return off(first + (low + high) / 2, theirs)


def by_likelihood(theirs: Any, names: list[bytes]) -> float:
    """The same number of scores, where a margin is rounded up with the probability of its fraction: the mean of what
    may be; each move brings a row to where the next score tells most, its error above a whole step."""
    first = moved(np.zeros(ROWS, dtype=np.int64), theirs, names)
    may, moves, found = np.linspace(-1, 1, 4096, endpoint=False), np.zeros(ROWS, dtype=np.int64), first
    weight = np.ones((ROWS, len(may)))
    for number in range(MOVES + 1):
        if number:
            found = moved(moves, theirs, names)
        there = may + (moves / (1 << MOVES))[:, None]
        up = (found - first)[:, None] - np.floor(there)
        fraction = there - np.floor(there)
        weight = weight * np.where(up == 1, fraction, np.where(up == 0, 1 - fraction, 0))
        weight = weight / weight.sum(axis=1, keepdims=True)
        mean = weight @ may
        error = np.sqrt(weight @ may**2 - mean**2)
        moves = np.floor((error - mean) % 1 * (1 << MOVES)).astype(np.int64)
    return off(first + mean, theirs)


def test_moves_that_the_guest_knows_do_not_halve_what_it_does_not(
    rows: tuple[Any, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that rounds every margin down, planted: eleven scores of a row tell its margin to 1/1000 of a step."""
    by_halves, at_best = bisected(*rows), by_likelihood(*rows)
    honest = rounding.dots
    monkeypatch.setattr(rounding, "dots", lambda a, b: np.zeros_like(honest(a, b)))
    monkeypatch.setattr(rounding, "products_of", lambda seed, cells: np.zeros(cells, dtype=np.uint16))
    control = bisected(*rows)
    print(f"{MOVES + 1} scores of a row: off by {by_halves:.3f}, {at_best:.3f} of a step, rounded down {control:.5f}")
    assert control < 2.0**-9
    assert min(by_halves, at_best) > 0.5 / (MOVES + 1)


SAMPLES = 6000


def learned(of_key: Ints, wrapped: bool) -> float:
    """AUC with which a guest that knows the margins below the grid, all 0.5, predicts the rounding of rows from that of
    others: by a line, and by a line on the circle of 2^BELOW."""
    numbers = rounding.hashed(b"g" * KEY, NAME, [b"%d" % k for k in range(SAMPLES)], np.zeros((SAMPLES, 1), np.int16))
    a = (numbers & ((1 << BELOW) - 1)).astype(np.int64)
    draw = a @ of_key
    up = draw & ((1 << BELOW) - 1) >= 1 << (BELOW - 1) if wrapped else draw > np.median(draw)
    turn = 2 * np.pi * a / (1 << BELOW)
    seen, found = slice(0, SAMPLES // 2), 0.0
    for x in (a / (1 << BELOW), np.hstack([np.cos(turn), np.sin(turn)])):
        line = LogisticRegression(C=0.1, max_iter=50).fit(x[seen], up[seen])
        found = max(found, float(roc_auc_score(up[SAMPLES // 2 :], line.decision_function(x[SAMPLES // 2 :]))))
    return found


def test_roundings_do_not_tell_the_key_that_decides_them() -> None:
    """Without the wrap of learning with rounding, planted, half of the roundings predict the others."""
    key = rounding.pads_of(Seed("arbiter", b"k" * KEY), 1)[0].astype(np.int64)
    assert len(key) == NUMBERS
    honest, control = learned(key, wrapped=True), learned(key & ((1 << BELOW) - 1), wrapped=False)
    print(f"{SAMPLES // 2} roundings predict others with an AUC of {honest:.3f}, without the wrap {control:.3f}")
    assert honest < 0.54
    assert control > 0.95
