"""What all sums of a run say together, where all of them are compared, and where only the last four are.

Members come and go in every round, and an aggregator that keeps all sums solves for each member's part, as if updates
did not change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols.averaging.secure_sum import Sum
from tests.unit.vfl.models.averaging.test_course import members

TWELVE = tuple(f"m{k:02}" for k in range(12))


def tables() -> dict[str, tuple[Any, Any]]:
    rng = np.random.default_rng(4)
    found = {}
    for k, name in enumerate(TWELVE):
        x = rng.normal(rng.normal(0, 0.5, 4), 1, size=(40 + 7 * k, 4))
        found[name] = x, (x @ [1.0, -1.0, 0.5, 0.0] + rng.normal(size=len(x)) > 0).astype(float)
    return found


class Course:
    """A run with members that drop out at random, and what its aggregator keeps."""

    def __init__(self, rounds: int, learning_rate: float, seed: int, window: str) -> None:
        own = members(tables(), rounds=rounds, learning_rate=learning_rate, local_epochs=5, window=window)
        terms, rng = own["m00"].course.terms, np.random.default_rng(seed)
        self.sets: list[frozenset[str]] = []
        self.sums, self.rows = list[Any](), list[int]()
        self.truth: dict[str, Any] = {}
        turn = 0
        while own["m00"].course.due is not None:
            turn += 1
            answered = frozenset(name for name in TWELVE if turn == 1 or rng.random() > 0.1)
            order = terms.order(b"seed", turn, "left out")
            before = list(dict.fromkeys(self.sets)) if terms.whole_run else self.sets[-3:]
            found = terms.survivors(answered, before, order) if len(answered) >= terms.threshold else None
            if found is None:
                continue
            given = {name: own[name].numbers(turn) for name in TWELVE}
            total = np.sum([given[name] for name in found], axis=0, dtype=np.uint64)
            if own["m00"].course.due == "update":
                self.sets.append(found)
                self.sums.append(total.view(np.int64)[:-1].astype(float) * own["m00"].course.unit)
                self.rows.append(int(total[-1]))
                unit = own["m00"].course.unit
                self.truth = {name: words.view(np.int64)[:-1] * unit for name, words in given.items()}
            for one in own.values():
                one.opened(Sum(turn, found, total))

    def solved(self, last: int) -> tuple[Any, Any]:
        """By member, its update and its rows, by least squares from the last sums."""
        matrix = np.array([[float(name in each) for name in TWELVE] for each in self.sets[-last:]])
        return (
            np.linalg.lstsq(matrix, np.array(self.sums[-last:]), rcond=None)[0],
            np.linalg.lstsq(matrix, np.array(self.rows[-last:], float), rcond=None)[0],
        )

    def read(self, last: int) -> float:
        """The correlation of what was solved for with the last updates, without what all members have in common."""
        solved, _ = self.solved(last)
        truth = np.array([self.truth[name] for name in TWELVE])
        return float(np.corrcoef((solved - solved.mean(0)).ravel(), (truth - truth.mean(0)).ravel())[0, 1])


def fewest_different(run: Course) -> int:
    return len(set(run.sets))


@pytest.mark.slow
def test_over_a_whole_run_neither_rows_nor_updates_are_read() -> None:
    """The default: at most four different groups, all combinations of which are of three members at least."""
    runs = [Course(rounds=100, learning_rate=0.5, seed=seed, window="run") for seed in range(2)]
    reads = [run.read(100) for run in runs]
    print(f"whole run: correlation {np.round(reads, 2)}, groups {[fewest_different(run) for run in runs]}")
    assert all(fewest_different(run) <= 4 for run in runs)
    assert np.mean(reads) < 0.6
    for run in runs:
        off = np.abs(run.solved(100)[1] - [len(y) for _, y in tables().values()])
        assert np.median(off) > 5  # rows


@pytest.mark.slow
def test_positive_control_recent_sums_give_both_away_in_a_long_run() -> None:
    """Where only the last four are compared: the limit that docs/threat-model.md names."""
    runs = [Course(rounds=100, learning_rate=0.5, seed=seed, window="recent") for seed in range(2)]
    reads = [run.read(60) for run in runs]
    print(f"recent: correlation {np.round(reads, 2)}, groups {[fewest_different(run) for run in runs]}")
    assert np.mean(reads) > 0.9
    for run in runs:
        assert run.solved(100)[1] == pytest.approx([len(y) for _, y in tables().values()], abs=1e-6)
