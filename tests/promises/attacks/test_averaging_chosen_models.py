"""An aggregator that opens sums of its own choice: with the same one for all members it chooses the model and reads
rows, the limit that docs/threat-model.md names; with another one for a single member it reads nothing, and with noise
on all sums neither.

The model is a step in one column, placed elsewhere in each round: what a sum of updates changes by is the row over
which the step has moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vfl
from protocols.averaging import secure_sum_aggregator, setup
from protocols.averaging.lists import History
from protocols.averaging.masks import Words
from protocols.averaging.secure_sum import OpenedSum, Sum
from protocols.averaging.setup import Identities
from protocols.errors import RemoteProtocolError
from protocols.randomness import Seed
from protocols.session import Session
from vfl.models.averaging import program
from vfl.models.averaging.course import SCALE, Course, limbs
from vfl.models.averaging.private import Noise
from vfl.models.averaging.private_course import PrivateCourse

pytestmark = pytest.mark.filterwarnings("ignore:one member that drops out:UserWarning")

COLUMNS, VICTIM, HUGE, RATE = ["age", "income"], "h2", 1e12, 0.001
FROM, UPTO, ROUNDS = 20.0, 80.0, 150


def tables() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    found = {}
    for k in range(3):
        x = np.round(rng.normal([50, 3000], [12, 900], (12, 2)), 1)
        found[f"h{k}"] = pd.DataFrame(x, columns=COLUMNS).assign(y=(rng.random(12) < 0.3).astype(int))
    return found


class Chooses:
    """The aggregator's program, which members only hear.  alone: whether it sends the chosen sums to the victim
    alone."""

    def __init__(self, *, alone: bool) -> None:
        self.alone, self.sums = alone, list[Any]()

    def __call__(
        self,
        session: Session,
        spec: vfl.Averaging,
        identities: Identities,
        columns: int,
        patience: float,
        noise: Noise | None,
    ) -> Course:
        assert noise is None
        terms = spec.terms(session.roles.members)
        agreed = setup.aggregator(session, terms, identities)
        side = secure_sum_aggregator.Aggregator(session.me, terms, agreed, identities)
        side._check = lambda sender, message: None  # type: ignore[method-assign]  # it knows what it did
        turn = lambda length: secure_sum_aggregator._turn(session, side, length, patience)  # noqa: E731
        course = Course(spec, terms, columns)
        found = turn(course.length)
        self._send(session, side, found, lambda name: scale(1.0 if self._chosen(name) else HUGE))
        course.opened(Sum(found.turn, found.survivors, scale(1.0)))
        weights = np.zeros(columns + 1)
        for number in range(spec.rounds):
            found = turn(course.length)
            self.sums.append(found.words.view("<i8")[:-1] * course.unit)
            step = np.array([2000.0, 0.0, -2000.0 * (FROM + 0.05 + (number + 1) * (UPTO - FROM) / spec.rounds)])
            moved = np.append(np.rint((step - weights) / course.unit).astype(np.int64), 1).view(np.uint64)
            still = np.append(np.zeros(columns + 1, np.uint64), np.uint64(1))
            self._send(
                session, side, found, lambda name, moved=moved, still=still: moved if self._chosen(name) else still
            )
            weights = weights + moved.view(np.int64)[:-1] * course.unit
            course.opened(Sum(found.turn, found.survivors, moved))
        return course

    def _chosen(self, name: str) -> bool:
        return name == VICTIM or not self.alone

    def _send(self, session: Session, side: Any, found: Sum, words: Callable[[str], Words]) -> None:
        true: OpenedSum = side.opened
        for name in session.roles.members:
            own = words(name).tobytes()
            forged = OpenedSum(found.turn, true.survivors, true.signers, true.signatures, own)
            session.channels[name].send(forged)

    def rows(self) -> Any:
        """Of each round over whose step a row lies, its columns."""
        changes = np.diff(np.array(self.sums)[1:], axis=0) / RATE
        return changes[np.abs(changes[:, 0]) > 1][:, :2] if len(self.sums) > 2 else np.zeros((0, 2))


def scale(deviation: float) -> Words:
    """A scale by which columns stay as they are, or become 0."""
    first, second = [0.0, 0.0, 0.5], [deviation**2, deviation**2, 0.5]
    return limbs([round(one * 2**SCALE) for one in (*first, *second)] + [1], 64, 3, Seed("attack", bytes(32)))


def read(monkeypatch: pytest.MonkeyPatch, names: list[str], *, alone: bool) -> float:
    """The part of these members' rows that the aggregator reads, both columns to a tenth."""
    chooses = Chooses(alone=alone)
    monkeypatch.setattr(program, "aggregator", chooses)
    held = tables()
    spec = vfl.Averaging(rounds=ROUNDS, learning_rate=RATE * 12)  # of the mean over 12 rows
    vfl.Members.local(held, label="y").fit(spec)
    rows = chooses.rows() / 12
    true = pd.concat([held[name] for name in names])[COLUMNS].to_numpy()
    return float(np.mean([len(rows) > 0 and np.abs(rows - one).max(axis=1).min() < 0.06 for one in true]))


def test_members_that_receive_different_sums_send_no_further_update(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RemoteProtocolError, match="signature of"):
        read(monkeypatch, [VICTIM], alone=True)


def test_positive_control_keys_that_say_nothing_of_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = History.add
    monkeypatch.setattr(History, "add", lambda self, turn, survivors, words: honest(self, turn, survivors, b""))
    assert read(monkeypatch, [VICTIM], alone=True) > 0.6


def test_an_aggregator_that_chooses_the_model_of_all_reads_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit: nobody notices, though it does not learn whose rows they are."""
    part = read(monkeypatch, list(tables()), alone=False)
    print(f"rows of all members that were read: {part:.2f}")
    assert part > 0.4


# -- with noise

BOUNDS = {"age": (0, 100), "income": (0, 6000)}
RANGE = np.array([[50.0, 3000.0], [50.0, 3000.0]])  # middles and halves


class ChoosesUnderNoise:
    """The same aggregator in a run with noise.  A clipped gradient keeps its direction, by which a row is read."""

    def __init__(self) -> None:
        self.sums = list[Any]()

    def __call__(
        self,
        session: Session,
        spec: vfl.Averaging,
        identities: Identities,
        columns: int,
        patience: float,
        noise: Noise | None,
    ) -> Course:
        terms = spec.terms(session.roles.members)
        side = secure_sum_aggregator.Aggregator(
            session.me, terms, setup.aggregator(session, terms, identities), identities
        )
        side._check = lambda sender, message: None  # type: ignore[method-assign]
        course = PrivateCourse(spec, terms, columns, noise=noise)
        while course.due is not None:
            found = secure_sum_aggregator._turn(session, side, course.length, patience)
            wanted = self._scale(columns) if course.due == "scale" else self._move(course, found)
            words = np.rint(wanted / course.unit).astype(np.int64).view(np.uint64)
            true = side.opened
            assert true is not None
            for name in session.roles.members:
                forged = OpenedSum(found.turn, true.survivors, true.signers, true.signatures, words.tobytes())
                session.channels[name].send(forged)
            course.opened(Sum(found.turn, found.survivors, words))
        return course

    def _scale(self, columns: int) -> Any:
        """Sums of 10^6 rows, by which columns are as they are between their bounds."""
        return 1e6 * np.array([*np.zeros(columns + 1), *np.ones(columns + 1), 1.0])

    def _move(self, course: PrivateCourse, found: Sum) -> Any:
        """What moves all members to the next model."""
        self.sums.append(found.words.view("<i8") * course.unit)
        ends = (np.array([FROM, UPTO]) - RANGE[0, 0]) / RANGE[1, 0]
        at = ends[0] + 0.001 + course.number * (ends[1] - ends[0]) / course.spec.rounds
        step = np.array([2e5, 0.0, -2e5 * at])
        return (course.weights - step) * course.counted / course.spec.learning_rate

    def rows(self) -> Any:
        changes = np.diff(np.array(self.sums)[1:], axis=0)
        there = changes[np.abs(changes[:, 2]) > 0.1]
        return there[:, :2] / there[:, 2:] * RANGE[1] + RANGE[0]


def read_under_noise(monkeypatch: pytest.MonkeyPatch) -> float:
    """The part of all members' rows that the aggregator reads, both columns to one percent."""
    chooses = ChoosesUnderNoise()
    monkeypatch.setattr(program, "aggregator", chooses)
    held, privacy = tables(), vfl.Privacy(epsilon=10, delta=1e-4, bounds=BOUNDS)
    vfl.Members.local(held, label="y").fit(vfl.Averaging(rounds=ROUNDS, learning_rate=1.0), privacy=privacy)
    rows, true = chooses.rows(), pd.concat(held.values())[COLUMNS].to_numpy()
    return float(np.mean([len(rows) > 0 and (np.abs(rows / one - 1) < 0.01).all(axis=1).any() for one in true]))


def test_noise_hides_rows_from_an_aggregator_that_chooses_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    part = read_under_noise(monkeypatch)
    print(f"rows that were read under noise: {part:.2f}")
    assert part < 0.1


def test_positive_control_hardly_any_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noise, "sigma", property(lambda self: 1))
    assert read_under_noise(monkeypatch) > 0.4
